"""Containers of an injected pod as processes in a network namespace, as their specifications say."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from netns import ROOT, Host

from artemon.inject import Injector

ENTRYPOINT = [sys.executable, "-m", "proxyd.pod"]
"""In place of the image's `pilot-agent`."""


def injected(pod: dict[str, Any], injector: Injector | None = None) -> dict[str, Any]:
    """The pod as an API server would store it."""
    made = (injector or Injector()).inject({"apiVersion": "v1", "kind": "Pod", **pod}, namespace="shop")
    assert not made.skipped, made.skipped
    return dict(made.result)


def container(pod: Mapping[str, Any], name: str) -> dict[str, Any]:
    spec = pod["spec"]
    found: dict[str, Any] = next(
        one for one in (*spec.get("initContainers", ()), *spec["containers"]) if one["name"] == name
    )
    return found


def command(made: Mapping[str, Any], **environment: str) -> list[str]:
    """The command line of a container: its arguments with `$(VARIABLE)` filled in."""
    out = []
    for word in made.get("args", ()):
        for name, value in environment.items():
            word = word.replace(f"$({name})", value)
        out.append(word)
    return [*ENTRYPOINT, *out]


def as_user(made: Mapping[str, Any]) -> list[str]:
    """What gives a process the user and capabilities of the container's security context, and no others. It
    may read the tests' files as well."""
    context = made.get("securityContext") or {}
    user, group = context.get("runAsUser", 1337), context.get("runAsGroup", 1337)
    added = [one.lower() for one in (context.get("capabilities") or {}).get("add") or ()]
    kept = ",".join(f"+{one}" for one in (*added, "dac_read_search"))
    caps = [f"--bounding-set=-all,{kept}", f"--inh-caps=-all,{kept}"]
    ambient = [] if user == 0 else [f"--ambient-caps=-all,{kept}"]
    return [
        "setpriv",
        f"--reuid={user}",
        f"--regid={group}",
        "--clear-groups",
        *caps,
        *ambient,
        "--no-new-privs",
    ]


def run_in(host: Host, made: Mapping[str, Any], **environment: str) -> tuple[int, str]:
    """Run a container to its end; its exit status and what it said."""
    env = {**plain_environment(made), **environment, "PYTHONPATH": str(ROOT)}
    done = host.run(*as_user(made), *command(made, **environment), env=env)
    return done.returncode, done.stdout + done.stderr


def plain_environment(made: Mapping[str, Any]) -> dict[str, str]:
    """The variables that have a value of their own."""
    return {one["name"]: one.get("value", "") for one in made.get("env") or () if "valueFrom" not in one}
