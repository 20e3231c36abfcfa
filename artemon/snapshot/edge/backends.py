"""Backends of routes to destinations, and why some are none."""

from __future__ import annotations

from dataclasses import dataclass

from artemon.model.gateway_routes import BackendObjectReference
from artemon.model.hosts import service_host
from artemon.model.virtual_service import Destination, PortSelector
from artemon.snapshot.edge.grants import Grants
from artemon.snapshot.edge.known import Known
from artemon.snapshot.edge.said import Condition

_HOSTNAME = ("networking.istio.io", "Hostname")


@dataclass(frozen=True, slots=True)
class Backends:
    """Finds what routes of a kind refer to. failing: the status of what cannot be sent on."""

    known: Known
    grants: Grants
    kind: str = "HTTPRoute"
    failing: int = 500

    def find(self, ref: BackendObjectReference, namespace: str, where: str) -> Destination | Condition:
        """What a route in `namespace` means; or why it may not, or cannot, send there."""
        if (ref.group, ref.kind) == _HOSTNAME:
            return self._destination(ref.name.lower(), ref.port, where)
        if (ref.group, ref.kind) != ("", "Service"):
            return _unresolved("InvalidKind", f"{where}: {ref.group}/{ref.kind} is no kind of backend")
        there = ref.namespace or namespace
        if not self.grants.allow(self.kind, namespace, target="Service", namespace=there, name=ref.name):
            text = f"{where}: namespace {there} has no ReferenceGrant for {self.kind}s of {namespace}"
            return _unresolved("RefNotPermitted", text)
        return self._destination(service_host(ref.name, there, self.known.domain), ref.port, where)

    def _destination(self, host: str, port: int, where: str) -> Destination | Condition:
        service = self.known.service(host)
        if service is None:
            return _unresolved("BackendNotFound", f"{where}: there is no service {host}")
        if port not in {one.number for one in service.ports}:
            return _unresolved("BackendNotFound", f"{where}.port: {host} has no port {port or '(none)'}")
        return Destination(host=host, port=PortSelector(number=port))


def _unresolved(reason: str, message: str) -> Condition:
    return Condition("ResolvedRefs", False, reason, message)
