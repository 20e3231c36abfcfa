"""How clients reach a service outside that is said to be reached through an egress gateway."""

from __future__ import annotations

from dataclasses import dataclass

EGRESS_GATEWAY = "artemon.io/egress-gateway"
"""The annotation of a ServiceEntry: the Gateway (`<namespace>/<name>`) that its hosts are reached through."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A Gateway as those see it who go out through it: a service without a name that applications know.

    ref: `<namespace>/<name>` of the Gateway. host, port, port_name: the service of its proxies, by
    their server with mutual TLS of the mesh. admits: namespaces (`*` for all) and patterns of hosts.
    """

    ref: str
    host: str
    port: int
    port_name: str
    admits: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Egress:
    """The way out of one service. gateway: what the annotation names. gate: where it is entered, None when
    nothing fits: then nobody gets out. here: whether the proxy in question is that gateway itself."""

    gateway: str
    gate: Gate | None = None
    here: bool = False
