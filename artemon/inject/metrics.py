"""Prometheus' annotations, pointed at the agent, which adds the application's metrics to the proxy's."""

from __future__ import annotations

import re

from artemon.inject import words
from artemon.inject.parts import compact, variable

SCRAPING = "ISTIO_PROMETHEUS_ANNOTATIONS"
_FIELDS = {"prometheus_io_scrape": "scrape", "prometheus_io_path": "path", "prometheus_io_port": "port"}
_NO = {"0", "f", "F", "FALSE", "false", "False"}


def merge_metrics(pod: words.Pod, proxy: dict[str, object] | None, *, port: int, enabled: bool) -> None:
    """Change the pod's annotations, and tell the proxy what they said, in place.

    enabled: what the mesh says; the pod's own annotation goes before it. Nothing is done for pods that are
    not to be scraped.
    """
    annotations = pod["metadata"]["annotations"]
    found = {name: _FIELDS[known] for name in annotations if (known := _known(name)) in _FIELDS}
    said = {field: annotations[name] for name, field in found.items()}
    wanted = annotations.get(words.MERGE_METRICS)
    on = enabled if wanted is None else wanted not in _NO
    if not on or said.get("scrape") in _NO or said.get("port") == str(port):
        return
    if proxy is not None and said:
        whole = {field: said.get(field, "") for field in ("scrape", "path", "port")}
        environment = proxy.setdefault("env", [])
        assert isinstance(environment, list)
        environment.append(variable(SCRAPING, compact(whole)))
    for name in found:
        del annotations[name]
    annotations |= {
        "prometheus.io/port": str(port),
        "prometheus.io/path": "/stats/prometheus",
        "prometheus.io/scrape": "true",
    }


def _known(name: str) -> str:
    """As Prometheus reads an annotation's name: `prometheus.io/scrape` -> `prometheus_io_scrape`."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)
