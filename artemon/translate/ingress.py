"""What a workload serves behind its sidecar: the ports that inbound listeners and clusters are made for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from artemon.model.proxy import ProxyType
from artemon.model.service import Port, Protocol, Service
from artemon.model.sidecar import IstioIngressListener
from artemon.snapshot.view import ProxyView
from artemon.translate.leniency import protocol_of

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Served:
    """One port of the application behind a sidecar.

    port: where peers connect to, the target port of the service; it names the inbound cluster.
    app_address, app_port: where the application listens; "" is the address that the client asked for.
    host, service_port: what clients call it, for telemetry; "" and 0 when no service has it.
    bind: an address of its own to listen on. ingress: the Sidecar listener that declared it, if one did.
    """

    port: int
    name: str
    protocol: Protocol
    app_port: int
    app_address: str = ""
    host: str = ""
    service_port: int = 0
    bind: str = ""
    ingress: IstioIngressListener | None = None


def served_ports(view: ProxyView) -> tuple[Served, ...]:
    """One entry for each port, in order: the Sidecar's ingress listeners when it has any, else the ports that
    the workload declared, else those of the services it is an instance of."""
    if view.proxy.type is not ProxyType.SIDECAR:
        return ()
    if view.sidecar is not None and view.sidecar.spec.ingress:
        found = _from_sidecar(view)
    elif view.proxy.ports:
        found = _from_workload(view)
    else:
        found = _from_services(view)
    first: dict[int, Served] = {}
    for served in found:
        if served.protocol is not Protocol.UDP:
            first.setdefault(served.port, served)
    return tuple(first[port] for port in sorted(first))


def _from_workload(view: ProxyView) -> Iterator[Served]:
    for port in view.proxy.ports:
        host = next((s.host for s in view.own if any(p.number == port.number for p in s.ports)), "")
        yield Served(
            port=port.listen_port,
            name=port.name,
            protocol=port.protocol,
            app_port=port.app_port,
            app_address=view.proxy.app_address or (LOOPBACK if port.app_port != port.listen_port else ""),
            host=host,
            service_port=port.number,
        )


def _from_services(view: ProxyView) -> Iterator[Served]:
    for service in view.own:
        for port in service.ports:
            target = _target_port(view, service, port)
            if target:
                yield Served(
                    port=target,
                    name=port.name,
                    protocol=port.protocol,
                    app_port=target,
                    host=service.host,
                    service_port=port.number,
                )


def _target_port(view: ProxyView, service: Service, port: Port) -> int:
    """Where this instance serves a port; the port's own target when the instance is not listed."""
    for endpoint in view.endpoints.get(service.host, ()):
        if endpoint.address in view.proxy.ip_addresses or endpoint.node == view.proxy.id:
            return endpoint.ports.get(port.name, port.target_port or port.number)
    return port.target_port or port.number


def _from_sidecar(view: ProxyView) -> Iterator[Served]:
    assert view.sidecar is not None
    by_port = {served.port: served for served in _from_services(view)}
    for ingress in view.sidecar.spec.ingress:
        if ingress.port is None:
            continue
        number = ingress.port.number
        known = by_port.get(number)
        address, _, port = ingress.default_endpoint.rpartition(":")
        is_port = port.isdigit()
        yield Served(
            port=number,
            name=ingress.port.name,
            protocol=protocol_of(ingress.port.protocol),
            app_port=int(port) if is_port else number,
            app_address=_application(address) if is_port else ingress.default_endpoint,
            host=known.host if known else "",
            service_port=known.service_port if known else 0,
            bind=ingress.bind,
            ingress=ingress,
        )


def _application(address: str) -> str:
    """`0.0.0.0` and `[::]` mean the instance's own address."""
    bare = address.strip("[]")
    return "" if bare in ("", "0.0.0.0", "::") else bare
