"""The table of kinds: every object that users write, with the names it goes by."""

from __future__ import annotations

from functools import partial

from artemon.model import gateway_api
from artemon.model.access import HostGrant, IdentityGrant, RoleBinding
from artemon.model.authorization_policy import AuthorizationPolicy
from artemon.model.destination_rule import DestinationRule
from artemon.model.envoy_filter import EnvoyFilter
from artemon.model.gateway import Gateway
from artemon.model.gateway_routes import HTTPRoute
from artemon.model.grpc_routes import GRPCRoute
from artemon.model.ingress import Ingress
from artemon.model.message import Message
from artemon.model.mixer import AttributeManifest, Handler, Instance, Rule
from artemon.model.peer_authentication import PeerAuthentication
from artemon.model.proxy_config import ProxyConfig
from artemon.model.rate_limit import RateLimit
from artemon.model.request_authentication import RequestAuthentication
from artemon.model.resource import Kind
from artemon.model.service_entry import ServiceEntry
from artemon.model.sidecar import Sidecar
from artemon.model.telemetry import Telemetry
from artemon.model.traffic_extension import TrafficExtension
from artemon.model.virtual_service import VirtualService
from artemon.model.wasm_plugin import WasmPlugin
from artemon.model.workload_entry import WorkloadEntry
from artemon.model.workload_group import WorkloadGroup

NETWORKING = "networking.istio.io"
SECURITY = "security.istio.io"
TELEMETRY = "telemetry.istio.io"
EXTENSIONS = "extensions.istio.io"
ACCESS = "access.artemon.io"
POLICY = "policy.artemon.io"
CONFIG = "config.istio.io"

_networking = partial(Kind, group=NETWORKING, versions=("v1", "v1beta1", "v1alpha3"))
_security = partial(Kind, group=SECURITY, versions=("v1", "v1beta1"))
_extensions = partial(Kind, group=EXTENSIONS, versions=("v1alpha1",))
_mixer = partial(Kind, group=CONFIG, versions=("v1alpha2",), short_names=())

VIRTUAL_SERVICE = _networking(
    "VirtualService",
    plural="virtualservices",
    singular="virtualservice",
    short_names=("vs",),
    spec=VirtualService,
)
DESTINATION_RULE = _networking(
    "DestinationRule",
    plural="destinationrules",
    singular="destinationrule",
    short_names=("dr",),
    spec=DestinationRule,
)
GATEWAY = _networking("Gateway", plural="gateways", singular="gateway", short_names=("gw",), spec=Gateway)
SERVICE_ENTRY = _networking(
    "ServiceEntry", plural="serviceentries", singular="serviceentry", short_names=("se",), spec=ServiceEntry
)
WORKLOAD_ENTRY = _networking(
    "WorkloadEntry",
    plural="workloadentries",
    singular="workloadentry",
    short_names=("we",),
    spec=WorkloadEntry,
)
WORKLOAD_GROUP = _networking(
    "WorkloadGroup",
    plural="workloadgroups",
    singular="workloadgroup",
    short_names=("wg",),
    spec=WorkloadGroup,
)
SIDECAR = _networking("Sidecar", plural="sidecars", singular="sidecar", short_names=(), spec=Sidecar)
ENVOY_FILTER = _networking(
    "EnvoyFilter",
    versions=("v1alpha3",),
    plural="envoyfilters",
    singular="envoyfilter",
    short_names=(),
    spec=EnvoyFilter,
)
PROXY_CONFIG = _networking(
    "ProxyConfig",
    versions=("v1beta1",),
    plural="proxyconfigs",
    singular="proxyconfig",
    short_names=(),
    spec=ProxyConfig,
)
AUTHORIZATION_POLICY = _security(
    "AuthorizationPolicy",
    plural="authorizationpolicies",
    singular="authorizationpolicy",
    short_names=("ap",),
    spec=AuthorizationPolicy,
)
REQUEST_AUTHENTICATION = _security(
    "RequestAuthentication",
    plural="requestauthentications",
    singular="requestauthentication",
    short_names=("ra",),
    spec=RequestAuthentication,
)
PEER_AUTHENTICATION = _security(
    "PeerAuthentication",
    plural="peerauthentications",
    singular="peerauthentication",
    short_names=("pa",),
    spec=PeerAuthentication,
)
TELEMETRY_KIND = Kind(
    "Telemetry",
    group=TELEMETRY,
    versions=("v1", "v1alpha1"),
    plural="telemetries",
    singular="telemetry",
    short_names=("telemetry",),
    spec=Telemetry,
)
WASM_PLUGIN = _extensions(
    "WasmPlugin", plural="wasmplugins", singular="wasmplugin", short_names=("wasm",), spec=WasmPlugin
)
TRAFFIC_EXTENSION = _extensions(
    "TrafficExtension",
    plural="trafficextensions",
    singular="trafficextension",
    short_names=("te",),
    spec=TrafficExtension,
)

SECRET = Kind("Secret", "", ("v1",), "secrets", "secret", (), Message)
"""Certificates and keys of gateways (`artemon.model.secret`); it has no spec and is not among KINDS."""

ROLE_BINDING = Kind("RoleBinding", ACCESS, ("v1",), "rolebindings", "rolebinding", ("rb",), spec=RoleBinding)
HOST_GRANT = Kind("HostGrant", ACCESS, ("v1",), "hostgrants", "hostgrant", ("hg",), spec=HostGrant)
IDENTITY_GRANT = Kind(
    "IdentityGrant", ACCESS, ("v1",), "identitygrants", "identitygrant", ("ig",), spec=IdentityGrant
)

KINDS: tuple[Kind, ...] = (
    VIRTUAL_SERVICE,
    DESTINATION_RULE,
    GATEWAY,
    SERVICE_ENTRY,
    WORKLOAD_ENTRY,
    WORKLOAD_GROUP,
    SIDECAR,
    ENVOY_FILTER,
    PROXY_CONFIG,
    AUTHORIZATION_POLICY,
    REQUEST_AUTHENTICATION,
    PEER_AUTHENTICATION,
    TELEMETRY_KIND,
    WASM_PLUGIN,
    TRAFFIC_EXTENSION,
)
"""Istio's kinds, in the order in which the reference tells of them."""
RATE_LIMIT = Kind("RateLimit", POLICY, ("v1",), "ratelimits", "ratelimit", ("rl",), spec=RateLimit)
OWN_KINDS: tuple[Kind, ...] = (ROLE_BINDING, HOST_GRANT, IDENTITY_GRANT, RATE_LIMIT)
"""Kinds of this mesh alone: the first three steer its API, not its proxies."""
RULE = _mixer("rule", plural="rules", singular="rule", spec=Rule)
HANDLER = _mixer("handler", plural="handlers", singular="handler", spec=Handler)
INSTANCE = _mixer("instance", plural="instances", singular="instance", spec=Instance)
ATTRIBUTE_MANIFEST = _mixer(
    "attributemanifest", plural="attributemanifests", singular="attributemanifest", spec=AttributeManifest
)
MIXER_KINDS: tuple[Kind, ...] = (RULE, HANDLER, INSTANCE, ATTRIBUTE_MANIFEST)
"""What mixerd does with what proxies report and ask."""

_gateway_api = partial(Kind, group=gateway_api.GROUP, versions=("v1", "v1beta1"))
INGRESS = Kind("Ingress", "networking.k8s.io", ("v1",), "ingresses", "ingress", ("ing",), spec=Ingress)
GATEWAY_CLASS = _gateway_api(
    "GatewayClass",
    plural="gatewayclasses",
    singular="gatewayclass",
    short_names=("gc",),
    spec=gateway_api.GatewayClass,
    cluster_wide=True,
)
KUBERNETES_GATEWAY = _gateway_api(
    "Gateway",
    plural="gateways",
    singular="gateway",
    short_names=("gtw",),
    spec=gateway_api.Gateway,
    other_name="KubernetesGateway",
)
HTTP_ROUTE = _gateway_api(
    "HTTPRoute", plural="httproutes", singular="httproute", short_names=(), spec=HTTPRoute
)
GRPC_ROUTE = _gateway_api(
    "GRPCRoute", versions=("v1",), plural="grpcroutes", singular="grpcroute", short_names=(), spec=GRPCRoute
)
REFERENCE_GRANT = _gateway_api(
    "ReferenceGrant",
    versions=("v1beta1", "v1"),
    plural="referencegrants",
    singular="referencegrant",
    short_names=("refgrant",),
    spec=gateway_api.ReferenceGrant,
)
GATEWAY_API_KINDS: tuple[Kind, ...] = (
    GATEWAY_CLASS,
    KUBERNETES_GATEWAY,
    HTTP_ROUTE,
    GRPC_ROUTE,
    REFERENCE_GRANT,
)
EDGE_KINDS: tuple[Kind, ...] = (INGRESS, *GATEWAY_API_KINDS)
"""Kubernetes' own ways to say what Gateways and VirtualServices say; they are made into those."""
ALL_KINDS = (*KINDS, *MIXER_KINDS, *OWN_KINDS, *EDGE_KINDS)

_BY_COLLECTION = {kind.collection: kind for kind in ALL_KINDS}
_BY_NAME = {(kind.name, kind.group): kind for kind in ALL_KINDS}
_BY_WORD = {
    word.lower(): kind
    for kind in reversed(ALL_KINDS)  # where several have a name, the first is meant
    for word in (
        kind.plural,
        kind.singular,
        *kind.short_names,
        kind.name,
        f"{kind.plural}.{kind.group}",
        *(f"{kind.plural}.{version}.{kind.group}" for version in kind.versions),
    )
}


def by_collection(name: str) -> Kind | None:
    """The kind with this name in registry keys."""
    return _BY_COLLECTION.get(name)


def by_name(name: str, group: str) -> Kind | None:
    """The kind called `name` (as in `kind:`) in an API group."""
    return _BY_NAME.get((name, group))


def find(word: str) -> Kind | None:
    """The kind a person means by `word`: plural, singular, short name or Kind, in any case."""
    return SECRET if word.lower() in {SECRET.plural, SECRET.singular} else _BY_WORD.get(word.lower())
