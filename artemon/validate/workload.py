"""Rules of WorkloadEntry and WorkloadGroup (Istio `ValidateWorkloadEntry`, `ValidateWorkloadGroup`)."""

from __future__ import annotations

from collections.abc import Collection

from artemon.model.resource import Resource
from artemon.model.words import path_of
from artemon.model.workload_entry import WorkloadEntry
from artemon.model.workload_group import (
    HTTPHealthCheckConfig,
    ReadinessProbe,
    WorkloadGroup,
)
from artemon.validate.addresses import UNIX, is_ip, unix_path
from artemon.validate.amounts import not_negative, port, port_name
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error, warning, wrong
from artemon.validate.hosts import fqdn
from artemon.validate.scope import labels
from artemon.validate.texts import header_name


def workload_entry(resource: Resource[WorkloadEntry], context: Context) -> Problems:
    """What is wrong with one instance."""
    yield from workload(resource.spec, "spec", names=True)


def workload(
    entry: WorkloadEntry,
    path: str,
    *,
    names: bool,
    sockets: bool = True,
    ports: Collection[str] | None = None,
) -> Problems:
    """What is wrong with an instance, by itself or as endpoint of a ServiceEntry.

    names: whether a host name is an address. sockets: whether a Unix socket is. ports: the names of the
    service's ports; None where the service is not known.
    """
    address = entry.address
    if not address and not entry.network:
        yield error(f"{path}.address", "is required (unless network is set)")
    elif not address:
        yield warning(f"{path}.address", "is empty: only the network's gateway can reach it")
    elif address.startswith(UNIX) and sockets:
        yield from wrong(f"{path}.address", unix_path(address.removeprefix(UNIX)))
        if entry.ports:
            yield error(f"{path}.ports", "must not be set for a Unix socket")
        if ports is not None and len(ports) != 1:
            yield error(f"{path}.address", "a Unix socket needs the service to have exactly one port")
    elif not is_ip(address) and (not names or fqdn(address)):
        wanted = "an IP address or host name" if names else "an IP address"
        yield error(f"{path}.address", f'"{address}" is not {wanted}')
    for name, number in entry.ports.items():
        where = path_of((name,), f"{path}.ports")
        if ports is not None and name not in ports:
            yield error(where, f'"{name}" is not the name of a port of the service')
        yield from wrong(where, port_name(name), port(number))
    yield from labels(entry.labels, f"{path}.labels")
    yield from _locality(entry.locality, f"{path}.locality")
    if "/" in entry.service_account:
        yield error(f"{path}.serviceAccount", "must be a name without namespace")


def _locality(locality: str, path: str) -> Problems:
    parts = locality.split("/")
    if locality and (len(parts) > 3 or not parts[0]):
        yield error(path, f'"{locality}" must be region[/zone[/subzone]]')


def workload_group(resource: Resource[WorkloadGroup], context: Context) -> Problems:
    """What is wrong with a group; the address of its template is filled in by the machines that join."""
    spec = resource.spec
    if spec.template is None:
        yield error("spec.template", "is required")
    else:
        for name, number in spec.template.ports.items():
            where = path_of((name,), "spec.template.ports")
            yield from wrong(where, port_name(name), port(number))
        yield from labels(spec.template.labels, "spec.template.labels")
        yield from _locality(spec.template.locality, "spec.template.locality")
    if spec.metadata is not None:
        yield from labels(spec.metadata.labels, "spec.metadata.labels")
    if spec.probe is not None:
        yield from _probe(spec.probe, "spec.probe")


def _probe(probe: ReadinessProbe, path: str) -> Problems:
    for name, value in (
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ):
        yield from not_negative(value, f"{path}.{name}")
    if probe.http_get is not None:
        yield from _http_get(probe.http_get, f"{path}.httpGet")
    elif probe.tcp_socket is not None:
        yield from wrong(f"{path}.tcpSocket.port", port(probe.tcp_socket.port))
    elif probe.exec_ is not None:
        if not probe.exec_.command:
            yield error(f"{path}.exec.command", "is required")
    elif probe.grpc is not None:
        yield from wrong(f"{path}.grpc.port", port(probe.grpc.port))
    else:
        yield error(path, "must have one of httpGet, tcpSocket, exec and grpc")


def _http_get(check: HTTPHealthCheckConfig, path: str) -> Problems:
    yield from wrong(f"{path}.port", port(check.port))
    if check.scheme not in {"", "HTTP", "HTTPS"}:
        yield error(f"{path}.scheme", f'must be HTTP or HTTPS, not "{check.scheme}"')
    for index, header in enumerate(check.http_headers):
        yield from wrong(f"{path}.httpHeaders[{index}].name", header_name(header.name))
