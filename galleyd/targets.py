"""Where Prometheus finds the metrics of proxies and daemons (`http_sd_configs`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from artemon.daemon.address import address_text, split_address
from artemon.errors import ArtemonError

STATUS_PORT = 15020
"""Where proxyd serves its own metrics and Envoy's, unless its settings say otherwise."""
PATH = "/stats/prometheus"


def daemon_targets(daemons: Sequence[str]) -> list[dict[str, Any]]:
    """One group for each daemon, written as NAME=HOST:PORT. Raises ArtemonError for what is not."""
    found = []
    for one in daemons:
        name, equals, address = one.partition("=")
        if not name or not equals:
            raise ArtemonError(f'daemons: "{one}" is not like pilotd=10.0.0.1:15112')
        host, port = split_address(address)
        labels = {"__metrics_path__": "/metrics", "daemon": name}
        found.append({"targets": [address_text(host, port)], "labels": labels})
    return found


def targets(proxies: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One group for each connected proxy, with its name and namespace. proxies: their statuses by name."""
    found = []
    for name, status in sorted(proxies.items()):
        parts = str(status.get("node", "")).split("~")
        if len(parts) != 4:
            continue
        kind, address = parts[0], parts[1]
        labels = {
            "__metrics_path__": PATH,
            "proxy": name.rpartition(".")[0],
            "namespace": name.rpartition(".")[2],
            "kind": kind,
        }
        found.append({"targets": [address_text(address, STATUS_PORT)], "labels": labels})
    return found
