"""Rules of ServiceEntry (Istio `ValidateServiceEntry`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from artemon.model.resource import Resource
from artemon.model.service_entry import ServiceEntry
from artemon.validate.addresses import ip_or_block
from artemon.validate.amounts import is_http, is_tls, port, port_name, protocol
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error, repeats, warning, wrong
from artemon.validate.hosts import fqdn, partial_wildcard, wildcard_domain
from artemon.validate.scope import export_to, labels_selector
from artemon.validate.workload import workload

DYNAMIC_PROTOCOLS = frozenset({"http", "http2", "grpc", "tls", "https"})


def service_entry(resource: Resource[ServiceEntry], context: Context) -> Problems:
    """What is wrong with one entry."""
    spec = resource.spec
    yield from labels_selector(spec.workload_selector)
    if spec.workload_selector is not None and spec.endpoints:
        yield error("spec.endpoints", "must not be set together with workloadSelector")
    yield from _hosts(spec)
    for index, address in enumerate(spec.addresses):
        yield from wrong(f"spec.addresses[{index}]", ip_or_block(address))
        if "/" in address and spec.resolution not in {"NONE", "STATIC"}:
            yield error(f"spec.addresses[{index}]", "a CIDR block needs resolution NONE or STATIC")
    yield from _ports(spec)
    yield from _RESOLUTIONS[spec.resolution](spec, {port.name for port in spec.ports})
    if spec.resolution != "NONE" and len(spec.hosts) > 1:
        yield from _many_hosts(spec)
    yield from export_to(spec.export_to, namespace=resource.meta.namespace, nobody=True)


def _hosts(spec: ServiceEntry) -> Problems:
    if not spec.hosts:
        yield error("spec.hosts", "must have at least one host")
    for index, host in enumerate(spec.hosts):
        path = f"spec.hosts[{index}]"
        yield from wrong(path, '"*" is not allowed; name a domain' if host == "*" else wildcard_domain(host))
        if partial_wildcard(host):
            yield warning(path, f'"{host}" takes every name that ends so; write "*." and a domain')


def _ports(spec: ServiceEntry) -> Problems:
    for index, listed in enumerate(spec.ports):
        path = f"spec.ports[{index}]"
        yield from wrong(f"{path}.number", port(listed.number))
        yield from wrong(f"{path}.name", port_name(listed.name))
        yield from wrong(f"{path}.protocol", protocol(listed.protocol))
        if listed.target_port:
            yield from wrong(f"{path}.targetPort", port(listed.target_port))
            if spec.resolution == "NONE":
                yield warning(f"{path}.targetPort", "has no effect with resolution NONE")
        if not spec.addresses and listed.protocol.upper() in {"", "TCP"}:
            yield warning(path, "a TCP port cannot be told from others without spec.addresses")
    for index in repeats(listed.name for listed in spec.ports):
        yield error(f"spec.ports[{index}].name", f'"{spec.ports[index].name}" is given twice')
    for index in repeats(listed.number for listed in spec.ports):
        yield error(f"spec.ports[{index}].number", f"{spec.ports[index].number} is given twice")


def _none(spec: ServiceEntry, ports: Collection[str]) -> Problems:
    if spec.endpoints:
        yield error("spec.endpoints", "must not be set with resolution NONE")
    if spec.workload_selector is not None:
        yield warning("spec.workloadSelector", "has no effect with resolution NONE")


def _static(spec: ServiceEntry, ports: Collection[str]) -> Problems:
    for index, endpoint in enumerate(spec.endpoints):
        yield from workload(endpoint, f"spec.endpoints[{index}]", names=False, ports=ports)


def _dns(spec: ServiceEntry, ports: Collection[str]) -> Problems:
    if not spec.endpoints:
        for index, host in enumerate(spec.hosts):
            if fqdn(host):
                yield error(f"spec.hosts[{index}]", f'"{host}" cannot be resolved; give spec.endpoints')
    for index, endpoint in enumerate(spec.endpoints):
        path = f"spec.endpoints[{index}]"
        if endpoint.address:
            yield from workload(endpoint, path, names=True, sockets=False, ports=ports)
        else:
            yield error(f"{path}.address", f"is required with resolution {spec.resolution}")
    tcp = [listed for listed in spec.ports if not is_http(listed.protocol) and listed.protocol]
    if spec.addresses and len(spec.hosts) > 1 and tcp:
        yield warning("spec.hosts", "several hosts cannot share addresses on a TCP port")


def _dns_round_robin(spec: ServiceEntry, ports: Collection[str]) -> Problems:
    if len(spec.endpoints) > 1:
        yield error("spec.endpoints", "must have at most one entry with resolution DNS_ROUND_ROBIN")
    yield from _dns(spec, ports)


def _dynamic_dns(spec: ServiceEntry, ports: Collection[str]) -> Problems:
    for index, host in enumerate(spec.hosts):
        if not host.startswith("*"):
            yield error(f"spec.hosts[{index}]", f'"{host}" must be a wildcard with resolution DYNAMIC_DNS')
    for name, value in (("addresses", spec.addresses), ("endpoints", spec.endpoints)):
        if value:
            yield error(f"spec.{name}", "must not be set with resolution DYNAMIC_DNS")
    if spec.workload_selector is not None:
        yield error("spec.workloadSelector", "must not be set with resolution DYNAMIC_DNS")
    for index, listed in enumerate(spec.ports):
        if listed.protocol.lower() not in DYNAMIC_PROTOCOLS:
            yield error(
                f"spec.ports[{index}].protocol",
                "must be HTTP, HTTP2, GRPC or TLS with resolution DYNAMIC_DNS",
            )


_RESOLUTIONS: Mapping[str, Callable[[ServiceEntry, Collection[str]], Problems]] = {
    "NONE": _none,
    "STATIC": _static,
    "DNS": _dns,
    "DNS_ROUND_ROBIN": _dns_round_robin,
    "DYNAMIC_DNS": _dynamic_dns,
}


def _many_hosts(spec: ServiceEntry) -> Problems:
    """Hosts are told apart by authority or SNI, which plain TCP has not."""
    for index, listed in enumerate(spec.ports):
        if not is_http(listed.protocol) and not is_tls(listed.protocol):
            yield error(f"spec.ports[{index}]", "several hosts need every port to be HTTP or TLS")
            return
