"""Ingress: the fields of `networking.k8s.io/v1`."""

from __future__ import annotations

from typing import ClassVar, Literal

from artemon.model.message import Int32, Message, Seq


class ServiceBackendPort(Message):
    """A port of a Service, by name or number."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"port": ("name", "number")}

    name: str | None = None
    number: Int32 | None = None


class IngressServiceBackend(Message):
    """A Service of the Ingress's namespace."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    name: str = ""
    port: ServiceBackendPort | None = None


class TypedLocalObjectReference(Message):
    """Another object of the Ingress's namespace."""

    required: ClassVar[tuple[str, ...]] = ("kind", "name")

    api_group: str = ""
    kind: str = ""
    name: str = ""


class IngressBackend(Message):
    """Where requests go."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"backend": ("service", "resource")}

    service: IngressServiceBackend | None = None
    resource: TypedLocalObjectReference | None = None


class HTTPIngressPath(Message):
    """Paths, and where requests for them go."""

    required: ClassVar[tuple[str, ...]] = ("pathType", "backend")

    path: str = ""
    path_type: Literal["Exact", "Prefix", "ImplementationSpecific"] = "ImplementationSpecific"
    backend: IngressBackend | None = None


class HTTPIngressRuleValue(Message):
    """The paths of a host."""

    required: ClassVar[tuple[str, ...]] = ("paths",)

    paths: Seq[HTTPIngressPath] = ()


class IngressRule(Message):
    """A host (all without one) and its paths; without `http` everything goes to the default backend."""

    host: str = ""
    http: HTTPIngressRuleValue | None = None


class IngressTLS(Message):
    """Hosts (all without any) whose certificate is in a Secret."""

    hosts: Seq[str] = ()
    secret_name: str = ""


class Ingress(Message):
    """How requests from outside reach Services, by host and path."""

    ingress_class_name: str = ""
    default_backend: IngressBackend | None = None
    tls: Seq[IngressTLS] = ()
    rules: Seq[IngressRule] = ()
