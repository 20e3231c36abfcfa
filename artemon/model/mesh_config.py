"""MeshConfig: what holds for the whole mesh, with Istio's defaults (`mesh.v1alpha1.MeshConfig`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from artemon.model.destination_rule import (
    ClientTLSSettings,
    ConnectionPoolSettingsTCPSettingsTcpKeepalive,
    LocalityLoadBalancerSetting,
    TrafficPolicy,
)
from artemon.model.duration import Duration, Nanoseconds
from artemon.model.mesh_providers import DefaultProviders, ExtensionProvider, FileAccessLog
from artemon.model.mesh_proxy import SECOND, MeshProxyConfig
from artemon.model.message import Int32, Message, Seq
from artemon.model.virtual_service import HTTPRetry

TlsVersion = Literal["TLS_AUTO", "TLSV1_2", "TLSV1_3"]


class MeshOutboundTrafficPolicy(Message):
    """What happens to calls of hosts that the mesh does not know."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"] = "ALLOW_ANY"


class InboundTrafficPolicy(Message):
    """Where requests to ports that a workload does not declare go."""

    mode: Literal["PASSTHROUGH", "LOCALHOST"] = "PASSTHROUGH"


class ConfigSource(Message):
    """A further source of configuration."""

    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    subscribed_resources: Seq[Literal["SERVICE_REGISTRY"]] = ()


class CertificateData(Message):
    """A root certificate to trust beside the mesh's own: PEM, or a SPIFFE bundle endpoint."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"certificate_data": ("pem", "spiffeBundleUrl")}

    pem: str | None = None
    spiffe_bundle_url: str | None = None
    cert_signers: Seq[str] = ()
    trust_domains: Seq[str] = ()


class Certificate(Message):
    """A certificate for a control plane component."""

    secret_name: str = ""
    dns_names: Seq[str] = ()


class ServiceSettingsSettings(Message):
    """cluster_local: instances of other clusters are not used."""

    cluster_local: bool = False


class ServiceSettings(Message):
    """Settings of services by host; `*.ns.svc.cluster.local` takes all of a namespace."""

    settings: ServiceSettingsSettings | None = None
    hosts: Seq[str] = ()


class LabelRequirement(Message):
    """One condition on labels (Kubernetes `LabelSelectorRequirement`)."""

    key: str = ""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = "In"
    values: Seq[str] = ()


class LabelSelector(Message):
    """Namespaces by their labels (Kubernetes `LabelSelector`)."""

    match_labels: dict[str, str] = Field(default_factory=dict)
    match_expressions: Seq[LabelRequirement] = ()


class ServiceScopeConfig(Message):
    """Which services are known outside of their cluster."""

    namespace_selector: LabelSelector | None = None
    services_selector: LabelSelector | None = None
    scope: Literal["LOCAL", "GLOBAL"] = "LOCAL"


class CertificateAuthority(Message):
    """A CA of the user's, asked over gRPC."""

    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    request_timeout: Duration | None = None
    istiod_side: bool = False


class ProxyPathNormalization(Message):
    """How request paths are made canonical before anything looks at them. DEFAULT: BASE, and as far as
    possible (DECODE_AND_MERGE_SLASHES) where a policy looks at paths."""

    normalization: Literal["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"] = "DEFAULT"


class TLSConfig(Message):
    """Limits on TLS; empty lists mean the defaults of Envoy's build."""

    min_protocol_version: TlsVersion = "TLS_AUTO"
    ecdh_curves: Seq[str] = ()
    cipher_suites: Seq[str] = ()


class MeshConfig(Message):
    """Settings of the whole mesh."""

    proxy_listen_port: Int32 = 15001
    proxy_inbound_listen_port: Int32 = 15006
    proxy_http_port: Int32 = 0
    connect_timeout: Duration = Nanoseconds(10 * SECOND)
    hbone_idle_timeout: Duration | None = None
    protocol_detection_timeout: Duration = Nanoseconds(0)
    tcp_keepalive: ConnectionPoolSettingsTCPSettingsTcpKeepalive | None = None
    ingress_class: str = "istio"
    ingress_service: str = "istio-ingressgateway"
    ingress_controller_mode: Literal["UNSPECIFIED", "OFF", "DEFAULT", "STRICT"] = "STRICT"
    ingress_selector: str = "ingressgateway"
    enable_tracing: bool = False
    access_log_file: str = ""
    access_log_format: str = ""
    access_log_encoding: Literal["TEXT", "JSON"] = "TEXT"
    enable_envoy_access_log_service: bool = False
    disable_envoy_listener_log: bool = False
    default_config: MeshProxyConfig = MeshProxyConfig()
    outbound_traffic_policy: MeshOutboundTrafficPolicy = MeshOutboundTrafficPolicy()
    inbound_traffic_policy: InboundTrafficPolicy = InboundTrafficPolicy()
    config_sources: Seq[ConfigSource] = ()
    enable_auto_mtls: bool | None = True
    trust_domain: str = "cluster.local"
    trust_domain_aliases: Seq[str] = ()
    ca_certificates: Seq[CertificateData] = ()
    default_service_export_to: Seq[str] = ("*",)
    default_virtual_service_export_to: Seq[str] = ("*",)
    default_destination_rule_export_to: Seq[str] = ("*",)
    root_namespace: str = "istio-system"
    locality_lb_setting: LocalityLoadBalancerSetting = LocalityLoadBalancerSetting(enabled=True)
    dns_refresh_rate: Duration = Nanoseconds(60 * SECOND)
    h2_upgrade_policy: Literal["DO_NOT_UPGRADE", "UPGRADE"] = "DO_NOT_UPGRADE"
    inbound_cluster_stat_name: str = ""
    outbound_cluster_stat_name: str = ""
    certificates: Seq[Certificate] = ()
    service_settings: Seq[ServiceSettings] = ()
    service_scope_configs: Seq[ServiceScopeConfig] = ()
    enable_prometheus_merge: bool | None = True
    verify_certificate_at_client: bool | None = None
    ca: CertificateAuthority | None = None
    extension_providers: Seq[ExtensionProvider] = (
        ExtensionProvider(name="prometheus", prometheus={}),
        ExtensionProvider(name="stackdriver", stackdriver={}),
        ExtensionProvider(name="envoy", envoy_file_access_log=FileAccessLog(path="/dev/stdout")),
    )
    default_providers: DefaultProviders = DefaultProviders(metrics=("prometheus",))
    discovery_selectors: Seq[LabelSelector] = ()
    path_normalization: ProxyPathNormalization = ProxyPathNormalization()
    default_http_retry_policy: HTTPRetry | None = None
    default_traffic_policy: TrafficPolicy | None = None
    mesh_mtls: TLSConfig = Field(default=TLSConfig(), alias="meshMTLS")
    tls_defaults: TLSConfig | None = None
