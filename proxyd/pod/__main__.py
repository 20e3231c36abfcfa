"""The entry point of images: `pilot-agent`, under the name that Istio's users know."""

from __future__ import annotations

from proxyd.pod.commands import agent


def main() -> None:
    """Run the command line."""
    agent(prog_name="pilot-agent")


if __name__ == "__main__":
    main()
