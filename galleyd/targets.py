"""Where Prometheus finds the metrics of proxies (`http_sd_configs`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from artemon.daemon.address import address_text

STATUS_PORT = 15020
"""Where proxyd serves its own metrics and Envoy's, unless its settings say otherwise."""
PATH = "/stats/prometheus"


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
