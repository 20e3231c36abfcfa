"""A mesh to measure: services with instances, and the proxies of some of them."""

from __future__ import annotations

from collections.abc import Iterator

from artemon.model.proxy import Proxy, ProxyType, WorkloadPort
from artemon.model.service import Protocol
from artemon.model.workload import Workload, encode_workload
from artemon.snapshot import records
from artemon.snapshot.changes import Change
from artemon.snapshot.world import World

SERVICES = 1000
ENDPOINTS = 10
NAMESPACES = 20


def namespace(service: int) -> str:
    """The namespace of a service."""
    return f"ns{service % NAMESPACES}"


def host(service: int) -> str:
    """The host of a service."""
    return f"svc{service}.{namespace(service)}.svc.cluster.local"


def key(service: int, number: int) -> str:
    """Where an instance lies in the registry, below the root."""
    return f"workloads/{namespace(service)}/svc{service}/svc{service}-{number}"


def instance(service: int, number: int, *, shift: int = 0) -> bytes:
    """A joined workload as pilotd keeps it; `shift` moves it to another address."""
    address = f"11.{shift >> 16 & 255}.{shift >> 8 & 255}.{shift & 255}"
    workload = Workload(
        node=f"svc{service}-{number}",
        namespace=namespace(service),
        service=f"svc{service}",
        address=address if shift else f"10.{service >> 8}.{service & 255}.{number + 1}",
        ports=(WorkloadPort(80, "http", Protocol.HTTP, 8080, 8081),),
        labels={"app": f"svc{service}", "version": "v1"},
        service_account=f"svc{service}",
    )
    return encode_workload(workload)


def change(service: int, number: int, *, shift: int = 0) -> Change:
    """The instance as a change of the world."""
    found = records.read(key(service, number), instance(service, number, shift=shift))
    assert found is not None
    return found


def world(services: int = SERVICES) -> World:
    """A world with everything in it."""
    made = World()
    made.apply([change(one, number) for one in range(services) for number in range(ENDPOINTS)], ("bench", 1))
    return made


def proxies(count: int) -> Iterator[Proxy]:
    """Sidecars, spread over the namespaces, each of a workload of its own."""
    for number in range(count):
        space = namespace(number)
        port = WorkloadPort(80, "http", Protocol.HTTP, 8080, 8081)
        yield Proxy(
            id=f"sidecar~127.1.{number >> 8}.{number & 255}~p{number}.{space}~{space}.svc.cluster.local",
            type=ProxyType.SIDECAR,
            name=f"p{number}",
            namespace=space,
            ip_addresses=(f"127.1.{number >> 8}.{number & 255}",),
            labels={"app": f"p{number}"},
            ports=(port,),
            intercepts=False,
            http_proxy_port=15080,
        )
