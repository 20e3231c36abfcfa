"""`python -m bench [snapshot] [config] [streams] [machine] [kube] [webhook] [memory]`: all by default."""

from __future__ import annotations

import sys

from bench import config, kube, machine, memory, snapshot, streams, webhook
from bench.report import show

TABLES = {
    "snapshot": ("Snapshot and translation, 1,000 services x 10 instances", snapshot.run),
    "config": ("Translation of 1,000 services, VirtualServices and DestinationRules", config.run),
    "streams": ("Streams over gRPC (plaintext, loopback), registry in memory", streams.run),
    "machine": ("A machine's proxyd", machine.run),
    "kube": ("pilotd over a cluster: 5,000 Services, 50,000 endpoints", kube.run),
    "webhook": ("injectord over TLS, 50 reviews a second", webhook.run),
    "memory": ("Memory of pilotd (RSS)", memory.run),
}


def main() -> int:
    """Prints the tables asked for; 2 for an unknown name."""
    asked = sys.argv[1:] or list(TABLES)
    unknown = [name for name in asked if name not in TABLES]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(TABLES)}", file=sys.stderr)
        return 2
    for name in asked:
        title, run = TABLES[name]
        show(title, run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
