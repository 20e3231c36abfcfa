"""What injection is told besides the mesh's own configuration.

Istio's Helm values, and Artemon's few words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from artemon.errors import Problem, Refused
from artemon.inject.templates import read_templates
from artemon.model.mesh_config import LabelSelector
from artemon.model.words import describe, kind_of, path_of

Templates = dict[str, dict[str, Any]]
NATIVE_SINCE = (1, 33)
"""The first Kubernetes in which sidecars as init containers are stable."""


class _Values(BaseModel):
    """Part of Istio's values.

    Fields that injection does not read belong to other charts and are left alone.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class StartupProbe(_Values):
    """global.proxy.startupProbe."""

    enabled: bool = True
    failure_threshold: int = Field(default=600, ge=1)


class ProxyValues(_Values):
    """global.proxy."""

    image: str = "proxyv2"
    cluster_domain: str = "cluster.local"
    log_level: str = "warning"
    component_log_level: str = "misc:error"
    privileged: bool = False
    enable_core_dump: bool = False
    cap_net_bind_service: bool = False
    status_port: int = Field(default=15020, ge=0, le=65535)
    readiness_initial_delay_seconds: int = Field(default=0, ge=0)
    readiness_period_seconds: int = Field(default=15, ge=1)
    readiness_failure_threshold: int = Field(default=4, ge=1)
    startup_probe: StartupProbe = StartupProbe()
    include_ip_ranges: str = Field(default="*", alias="includeIPRanges")
    exclude_ip_ranges: str = Field(default="", alias="excludeIPRanges")
    include_inbound_ports: str = "*"
    exclude_inbound_ports: str = ""
    include_outbound_ports: str = ""
    exclude_outbound_ports: str = ""
    hold_application_until_proxy_starts: bool = False
    outlier_log_path: str = ""
    seccomp_profile: dict[str, Any] = {}
    lifecycle: dict[str, Any] = {}
    resources: dict[str, Any] = {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"cpu": "2000m", "memory": "1024Mi"},
    }

    @field_validator("*", mode="before")
    @classmethod
    def _ports_may_be_numbers(cls, value: Any, info: Any) -> Any:
        text = info.field_name.endswith(("_ports", "_ranges"))
        return str(value) if text and isinstance(value, int) and not isinstance(value, bool) else value


class InitValues(_Values):
    """global.proxy_init. image: used when it is a whole reference, with a slash."""

    model_config = ConfigDict(alias_generator=to_camel)

    image: str = "proxyv2"
    force_apply_iptables: bool = False


class ServicePort(_Values):
    """global.sts."""

    service_port: int = 0


class Logging(_Values):
    """global.logging."""

    level: str = "default:info"


class Cluster(_Values):
    """global.multiCluster."""

    cluster_name: str = ""


class GlobalValues(_Values):
    """`global` of Istio's values."""

    hub: str = "registry.istio.io/testing"
    tag: str = "latest"
    variant: str = ""
    proxy: ProxyValues = ProxyValues()
    proxy_init: InitValues = Field(default=InitValues(), alias="proxy_init")
    image_pull_policy: Literal["", "Always", "Never", "IfNotPresent"] = ""
    image_pull_secrets: tuple[str, ...] = ()
    istio_namespace: str = "istio-system"
    pilot_cert_provider: str = "istiod"
    ca_address: str = ""
    mesh_id: str = Field(default="", alias="meshID")
    network: str = ""
    trust_domain: str = ""
    multi_cluster: Cluster = Cluster()
    logging: Logging = Logging()
    log_as_json: bool = False
    mount_mtls_certs: bool = False
    native_nftables: bool = False
    sts: ServicePort = ServicePort()
    pod_dns_search_namespaces: tuple[str, ...] = Field(default=(), alias="podDNSSearchNamespaces")

    @field_validator("tag", mode="before")
    @classmethod
    def _tags_may_be_numbers(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class Cni(_Values):
    """Interception by a CNI plug-in in place of an init container.

    Provider: `multus` when it is not chained.
    """

    enabled: bool = False
    provider: str = "default"


class InjectConfig(_Values):
    """Everything about injection that is not MeshConfig.

    policy: whether pods that say nothing get a proxy. native: whether the proxy is an init container that
    restarts always (a native sidecar). templates: name -> what is added to a pod. aliases: name -> names of
    templates.
    """

    model_config = ConfigDict(populate_by_name=True)

    values: GlobalValues = GlobalValues()
    cni: Cni = Cni()
    revision: str = ""
    native: bool = True
    policy: Literal["enabled", "disabled"] = "enabled"
    rewrite_probes: bool = True
    default_templates: tuple[str, ...] = ("sidecar",)
    templates: Templates = {}
    aliases: dict[str, tuple[str, ...]] = {}
    never_inject: tuple[LabelSelector, ...] = ()
    always_inject: tuple[LabelSelector, ...] = ()
    injected_annotations: dict[str, str] = {}


_OWN = {"values", "components", "nativeSidecars", "kubernetesVersion", "policy", "config"}
_FLAT = {"global", "sidecarInjectorWebhook", "pilot", "cni", "istio_cni", "revision", "meshConfig"}


def read_config(written: Mapping[str, Any], source: str = "") -> InjectConfig:
    """The configuration that a user wrote. Raises Refused.

    Accepted are Istio's values as Helm takes them (`global: ...`), an IstioOperator or the two members of
    its spec that matter (`values`, `components`), and beside them `nativeSidecars` (true, false, auto),
    `kubernetesVersion` (the oldest kubelet of the cluster; `auto` decides by it) and `policy`.
    """
    if written.get("kind") == "IstioOperator":
        written = written.get("spec") or {}
    unknown = sorted(set(written) - _OWN - _FLAT - {"defaultRevision", "profile", "hub", "tag", "meshConfig"})
    problems = [Problem(name, f"unknown; known are {', '.join(sorted(_OWN | _FLAT))}") for name in unknown]
    values = written.get("values") or {key: written[key] for key in _FLAT if key in written}
    if not isinstance(values, Mapping):
        problems.append(Problem("values", f"must be a mapping, not {kind_of(values)}"))
    if problems:
        raise Refused(problems, source)
    try:
        return InjectConfig.model_validate(_gathered(written, _without_null(values)))
    except ValidationError as error:
        found = [Problem(path_of(item["loc"]), describe(item)) for item in error.errors(include_url=False)]
        raise Refused(found, source) from error


def _gathered(written: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of InjectConfig that something was written for."""
    webhook = _section(values, "sidecarInjectorWebhook")
    general = {
        **{key: written[key] for key in ("hub", "tag") if key in written},
        **_section(values, "global"),
    }
    if "resources" in (written_proxy := _section(general, "proxy")):
        general["proxy"] = {**written_proxy, "resources": _resources(written_proxy["resources"])}
    auto = _section(general, "proxy").get("autoInject")
    found = {
        "values": general,
        "cni": _cni(written, values),
        "revision": values.get("revision"),
        "native": _native(written, values),
        "policy": written.get("policy") or auto,
        "rewrite_probes": webhook.get("rewriteAppHTTPProbe"),
        "default_templates": webhook.get("defaultTemplates") or None,
        "templates": read_templates(webhook.get("templates") or {}, "sidecarInjectorWebhook.templates"),
        "aliases": webhook.get("aliases"),
        "never_inject": webhook.get("neverInjectSelector"),
        "always_inject": webhook.get("alwaysInjectSelector"),
        "injected_annotations": webhook.get("injectedAnnotations"),
    }
    return {key: value for key, value in found.items() if value is not None}


def _resources(written: Any) -> Any:
    """What was written on top of Istio's defaults, where `null` takes a default away (as Helm does)."""
    defaults = ProxyValues().resources
    if not isinstance(written, Mapping):
        return written
    out: dict[str, Any] = {}
    for part in ("limits", "requests"):
        own = written.get(part, {})
        mixed = {**defaults[part], **(own or {})} if own is not None else {}
        kept = {name: amount for name, amount in mixed.items() if amount is not None}
        out |= {part: kept} if kept else {}
    return out


def _cni(written: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    asked = [
        _section(_section(written, "components"), "cni"),
        _section(values, "istio_cni"),
        _section(_section(values, "pilot"), "cni"),
    ]
    provider = [_section(values, "cni"), _section(_section(values, "pilot"), "cni")]
    return {
        "enabled": any(part.get("enabled") is True for part in asked),
        "provider": next((part["provider"] for part in provider if part.get("provider")), "default"),
    }


def _native(written: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    environment = _section(_section(values, "pilot"), "env")
    asked = written.get("nativeSidecars", environment.get("ENABLE_NATIVE_SIDECARS", "auto"))
    word = str(asked).lower()
    if word not in {"true", "false", "auto"}:
        raise Refused([Problem("nativeSidecars", f'must be true, false or auto, not "{asked}"')])
    version = written.get("kubernetesVersion")
    return word == "true" or (word == "auto" and (version is None or _version(str(version)) >= NATIVE_SINCE))


def _version(text: str) -> tuple[int, int]:
    major, _, rest = text.removeprefix("v").partition(".")
    minor = rest.partition(".")[0]
    if not (major.isdecimal() and minor.isdecimal()):
        raise Refused([Problem("kubernetesVersion", f'must be a version such as "1.34", not "{text}"')])
    return int(major), int(minor)


def _section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = values.get(name)
    return dict(part) if isinstance(part, Mapping) else {}


def _without_null(value: Any, *, below: str = "") -> Any:
    """Helm's `null` means "as if it were not written", but in resources, where it takes a default away."""
    if isinstance(value, Mapping) and below != "resources":
        return {key: _without_null(item, below=key) for key, item in value.items() if item is not None}
    return value
