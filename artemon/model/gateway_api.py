"""Gateway API: the fields of GatewayClass, Gateway and ReferenceGrant that its standard channel has."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from artemon.model.mesh_config import LabelSelector
from artemon.model.message import Int32, Message, Seq

GROUP = "gateway.networking.k8s.io"


class ParametersReference(Message):
    """Where further settings are (not read)."""

    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""


class GatewayClass(Message):
    """A kind of gateways, and whose they are."""

    required: ClassVar[tuple[str, ...]] = ("controllerName",)

    controller_name: str = ""
    parameters_ref: ParametersReference | None = None
    description: str = ""


class SecretObjectReference(Message):
    """A Secret with a certificate and its key."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    group: str = ""
    kind: str = "Secret"
    name: str = ""
    namespace: str = ""


class GatewayTLSConfig(Message):
    """How a listener ends TLS."""

    mode: Literal["Terminate", "Passthrough"] = "Terminate"
    certificate_refs: Seq[SecretObjectReference] = ()
    frontend_validation: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, str] = Field(default_factory=dict)


class RouteGroupKind(Message):
    """A kind of routes."""

    required: ClassVar[tuple[str, ...]] = ("kind",)

    group: str = GROUP
    kind: str = ""


class RouteNamespaces(Message):
    """Namespaces whose routes may attach."""

    from_: Literal["All", "Selector", "Same", "None"] = Field("Same", alias="from")
    selector: LabelSelector | None = None


class AllowedRoutes(Message):
    """Routes that may attach to a listener."""

    namespaces: RouteNamespaces | None = None
    kinds: Seq[RouteGroupKind] = ()


class Listener(Message):
    """A port of a Gateway and what is served there."""

    required: ClassVar[tuple[str, ...]] = ("name", "port", "protocol")

    name: str = ""
    hostname: str = ""
    port: Int32 = 0
    protocol: str = ""
    tls: GatewayTLSConfig | None = None
    allowed_routes: AllowedRoutes | None = None


class GatewayAddress(Message):
    """An address of a Gateway; a Hostname names the Service in front of its proxies."""

    type: str = "IPAddress"
    value: str = ""


class GatewayInfrastructure(Message):
    """What is written on whatever is made for a Gateway (nothing is)."""

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    parameters_ref: ParametersReference | None = None


class Gateway(Message):
    """Ports that are open to the outside, on the proxies of one gateway."""

    required: ClassVar[tuple[str, ...]] = ("gatewayClassName", "listeners")

    gateway_class_name: str = ""
    listeners: Seq[Listener] = ()
    addresses: Seq[GatewayAddress] = ()
    infrastructure: GatewayInfrastructure | None = None


class ReferenceGrantFrom(Message):
    """Who may refer."""

    required: ClassVar[tuple[str, ...]] = ("group", "kind", "namespace")

    group: str = ""
    kind: str = ""
    namespace: str = ""


class ReferenceGrantTo(Message):
    """To what; all of the kind without a name."""

    required: ClassVar[tuple[str, ...]] = ("group", "kind")

    group: str = ""
    kind: str = ""
    name: str = ""


class ReferenceGrant(Message):
    """Objects of other namespaces may refer to those of this one."""

    required: ClassVar[tuple[str, ...]] = ("from", "to")

    from_: Seq[ReferenceGrantFrom] = Field(default=(), alias="from")
    to: Seq[ReferenceGrantTo] = ()
