"""Where a Gateway's server sends what no rule claims: `defaultEndpoint`, on the router's own machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from artemon.model.gateway import Server
from artemon.snapshot.view import ProxyView
from artemon.translate import names

UNIX = "unix://"
_LOOPBACK = frozenset({"127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class DefaultEndpoint:
    """A loopback address with a port, or `unix://<path>` with port 0."""

    address: str
    port: int

    @property
    def cluster(self) -> str:
        """The name of the cluster that leads there."""
        return names.outbound_cluster(self.address, self.port)


def default_endpoint(server: Server) -> DefaultEndpoint | None:
    """What a server names; None when it names nothing that could be reached."""
    text = server.default_endpoint
    if text.startswith(UNIX):
        return DefaultEndpoint(text, 0)
    address, _, port = text.rpartition(":")
    if address not in _LOOPBACK or not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        return None
    return DefaultEndpoint(address.strip("[]"), int(port))


def default_endpoints(view: ProxyView) -> Iterator[DefaultEndpoint]:
    """All that the Gateways of a router name, each once."""
    servers = (server for gateway in view.gateways for server in gateway.spec.servers)
    found = (default_endpoint(server) for server in servers)
    yield from dict.fromkeys(one for one in found if one is not None)
