"""WasmPlugin: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import Any, Literal

from artemon.model.message import Int32, Message, Seq, Uint32
from artemon.model.selector import MatchLabelsSelector, PolicyTargetReference


class EnvVar(Message):
    """`EnvVar` of Istio's WasmPlugin."""

    name: str = ""
    value_from: Literal["INLINE", "HOST"] = "INLINE"
    value: str = ""


class VmConfig(Message):
    """`VmConfig` of Istio's WasmPlugin."""

    env: Seq[EnvVar] = ()


class PortSelector(Message):
    """`PortSelector` of Istio's WasmPlugin."""

    number: Uint32 = 0


class WasmPluginTrafficSelector(Message):
    """`WasmPlugin.TrafficSelector` of Istio's WasmPlugin."""

    mode: Literal["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"] = "UNDEFINED"
    ports: Seq[PortSelector] = ()


class WasmPlugin(Message):
    """The spec of a WasmPlugin."""

    selector: MatchLabelsSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: Seq[PolicyTargetReference] = ()
    url: str = ""
    sha256: str = ""
    image_pull_policy: Literal["UNSPECIFIED_POLICY", "IfNotPresent", "Always"] = "UNSPECIFIED_POLICY"
    image_pull_secret: str = ""
    verification_key: str = ""
    plugin_config: dict[str, Any] | None = None
    plugin_name: str = ""
    phase: Literal["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"] = "UNSPECIFIED_PHASE"
    priority: Int32 | None = None
    fail_strategy: Literal["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"] = "FAIL_CLOSE"
    vm_config: VmConfig | None = None
    match: Seq[WasmPluginTrafficSelector] = ()
    type: Literal["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"] = "UNSPECIFIED_PLUGIN_TYPE"
