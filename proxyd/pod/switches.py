"""Switches in the environment of containers."""

from __future__ import annotations

from collections.abc import Mapping

DNS = "127.0.0.1:15053"
"""Where names are answered in a pod, where that is asked for (ISTIO_META_DNS_CAPTURE)."""
_YES = frozenset({"1", "t", "true", "yes", "on"})


def is_on(environ: Mapping[str, str], name: str) -> bool:
    """Whether a switch in the environment is on."""
    return environ.get(name, "").lower() in _YES
