"""WasmPlugin: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from artemon.model.message import Int32, Message, Seq, Uint32
from artemon.model.selector import MatchLabelsSelector, PolicyTargetReference


class EnvVar(Message):
    """An environment variable of the Wasm VM."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    name: str = ""
    value_from: Literal["INLINE", "HOST"] = "INLINE"
    value: str = ""


class VmConfig(Message):
    """Settings of the Wasm VM."""

    env: Seq[EnvVar] = ()


class PortSelector(Message):
    """A port by number."""

    required: ClassVar[tuple[str, ...]] = ("number",)

    number: Uint32 = 0


class WasmPluginTrafficSelector(Message):
    """Which traffic a plug-in sees: direction and workload ports."""

    mode: Literal["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"] = "UNDEFINED"
    ports: Seq[PortSelector] = ()


class WasmPlugin(Message):
    """A WebAssembly module in the proxy's filter chain."""

    required: ClassVar[tuple[str, ...]] = ("url",)

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
