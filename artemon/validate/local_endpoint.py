"""Addresses on the proxy's own machine: `defaultEndpoint` of Sidecar listeners and Gateway servers."""

from __future__ import annotations

from artemon.validate.addresses import UNIX, unix_path
from artemon.validate.amounts import is_port_text
from artemon.validate.findings import Reason

_LOCAL = {"", "127.0.0.1", "0.0.0.0", "[::1]", "[::]"}
_FORMS = "127.0.0.1:<port>, 0.0.0.0:<port>, [::1]:<port>, [::]:<port> or unix:///<path>"


def local_endpoint(text: str) -> Reason:
    """Why the application cannot be found there; empty means the port of the listener."""
    if not text:
        return None
    if text.startswith(UNIX):
        return unix_path(text.removeprefix(UNIX))
    host, colon, number = text.rpartition(":")
    if not colon or host not in _LOCAL:
        return f'"{text}" must be {_FORMS}'
    return None if is_port_text(number) else f'"{number}" is not a port'
