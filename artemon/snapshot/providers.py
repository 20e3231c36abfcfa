"""Where the services are that proxies ask or report to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from artemon.model.mesh_providers import provider_host
from artemon.model.service import Service


class Asked(Protocol):
    """What a provider says of its service, `[<namespace>/]<host>`, and of the port."""

    @property
    def service(self) -> str: ...
    @property
    def port(self) -> int: ...


def provided_by(asked: Asked | None, services: Mapping[str, Service]) -> str:
    """The host of a provider's visible service, "" where there is none with its port."""
    if asked is None:
        return ""
    namespace, host = provider_host(asked.service)
    return seen(host, asked.port, services, namespace=namespace)


def seen(host: str, port: int, services: Mapping[str, Service], *, namespace: str = "") -> str:
    """`host`, "" where no visible service of the namespace ("" for any) is called so and has the port."""
    service = services.get(host)
    if service is None or (namespace and service.namespace != namespace):
        return ""
    return host if any(one.number == port for one in service.ports) else ""
