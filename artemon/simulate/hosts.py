"""Which virtual host answers for an authority (Envoy API, `VirtualHost.domains`)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from artemon.simulate.outcome import NO_VIRTUAL_HOST, Step, Stopped


def choose_host(table: RouteConfiguration, authority: str) -> tuple[VirtualHost, Step]:
    """The virtual host: by the whole name, the longest `*suffix`, the longest `prefix*`, at last `*`.
    Raises Stopped when there is none: 404."""
    name = authority.lower()
    if table.ignore_port_in_host_matching:
        name = re.sub(r":\d*$", "", name)
    by_domain = {domain.lower(): host for host in table.virtual_hosts for domain in host.domains}
    fitting = _fitting(by_domain, name)
    if not fitting:
        hosts = ", ".join(sorted(by_domain)) or "nothing"
        why = f'"{authority}" is none of {hosts}'
        raise Stopped(NO_VIRTUAL_HOST, {"status": 404}, why=why)
    domain, host = fitting[0], by_domain[fitting[0]]
    others = {by_domain[one].name: one for one in reversed(fitting[1:]) if by_domain[one] is not host}
    passed = tuple(f'virtual host {name}: "{one}" is less exact' for name, one in reversed(others.items()))
    reason = f'"{authority}" is one of its names' if domain == name else f'"{authority}" fits "{domain}"'
    return host, Step("virtual host", host.name, reason, passed)


def _fitting(by_domain: Mapping[str, VirtualHost], name: str) -> list[str]:
    """The domains that a name fits, best first."""
    suffixes = [d for d in by_domain if d.startswith("*") and len(d) > 1 and _ends(name, d[1:])]
    prefixes = [d for d in by_domain if d.endswith("*") and len(d) > 1 and _begins(name, d[:-1])]
    exact = [name] if name in by_domain and name != "*" else []
    any_name = ["*"] if "*" in by_domain else []
    by_length = sorted(suffixes, key=len, reverse=True), sorted(prefixes, key=len, reverse=True)
    return [*exact, *by_length[0], *by_length[1], *any_name]


def _ends(name: str, suffix: str) -> bool:
    return name.endswith(suffix) and len(name) > len(suffix)


def _begins(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and len(name) > len(prefix)
