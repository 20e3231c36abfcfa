"""Who still comes without mutual TLS: the reports of connected proxies, with names for addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from artemon.model.plaintext import PlaintextReport, Seen
from artemon.model.proxy import ProxyType
from artemon.translate.ingress import served_ports
from pilotd.fleet import Client, Fleet

PERMISSIVE = "PERMISSIVE"


def plaintext_callers(fleet: Fleet) -> list[dict[str, Any]]:
    """One entry for each connected sidecar: its ports that do not require mutual TLS, and who came
    without."""
    names = _names(fleet)
    found = {}
    for client in fleet.clients:
        if client.proxy.type is ProxyType.SIDECAR and client.view is not None:
            found[client.proxy.id] = _entry(client, names)
    return list(found.values())


def _entry(client: Client, names: Mapping[str, str]) -> dict[str, Any]:
    assert client.view is not None
    view, report = client.view, client.callers or PlaintextReport("")
    hosts = {one.port: one.host for one in served_ports(view)}
    modes = view.inbound_mtls
    lax = sorted(port for port in hosts if modes.of(port) == PERMISSIVE)
    return {
        "node": client.proxy.name,
        "namespace": client.proxy.namespace,
        "permissive": [{"port": port, "host": hosts[port]} for port in lax],
        "since": report.since,
        "seen": [_seen(one, hosts, names) for one in report.seen if modes.of(one.port) == PERMISSIVE],
    }


def _seen(one: Seen, hosts: Mapping[int, str], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "from": one.caller,
        "name": names.get(one.caller, ""),
        "port": one.port,
        "host": hosts.get(one.port, ""),
        "kind": one.kind,
        "count": one.count,
        "last": one.last,
    }


def _names(fleet: Fleet) -> Mapping[str, str]:
    """IP address -> whose it is, where one alone has it: a connected proxy, or an instance of a service."""
    owners: dict[str, set[str]] = {}
    for address, name in _owned(fleet):
        owners.setdefault(address, set()).add(name)
    return {address: next(iter(found)) for address, found in owners.items() if len(found) == 1}


def _owned(fleet: Fleet) -> Iterable[tuple[str, str]]:
    connected = set()
    for client in fleet.clients:
        for address in client.proxy.ip_addresses:
            connected.add(address)
            yield address, f"{client.proxy.namespace}/{client.proxy.name}"
    snapshot = fleet.snapshot
    for key, instances in snapshot.instances.items() if snapshot else ():
        for endpoint in instances:
            if endpoint.address not in connected:
                yield endpoint.address, key.host
