"""TrafficExtension: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from artemon.model.message import Int32, Message, Seq
from artemon.model.selector import MatchLabelsSelector, PolicyTargetReference
from artemon.model.wasm_plugin import PortSelector, VmConfig


class LuaConfig(Message):
    """A Lua script, at most 64 KiB."""

    required: ClassVar[tuple[str, ...]] = ("inlineCode",)

    inline_code: str = ""


class TrafficSelector(Message):
    """Which traffic an extension sees: direction and workload ports."""

    mode: Literal["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"] = "UNDEFINED"
    ports: Seq[PortSelector] = ()


class WasmConfig(Message):
    """A WebAssembly module and how it is run."""

    required: ClassVar[tuple[str, ...]] = ("url",)

    url: str = ""
    sha256: str = ""
    image_pull_policy: Literal["UNSPECIFIED_POLICY", "IfNotPresent", "Always"] = "UNSPECIFIED_POLICY"
    image_pull_secret: str = ""
    verification_key: str = ""
    plugin_config: dict[str, Any] | None = None
    plugin_name: str = ""
    fail_strategy: Literal["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"] = "FAIL_CLOSE"
    vm_config: VmConfig | None = None
    type: Literal["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"] = "UNSPECIFIED_PLUGIN_TYPE"


class TrafficExtension(Message):
    """An extension of the proxy: one of Wasm or Lua."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {"filter_config": ("wasm", "lua")}

    selector: MatchLabelsSelector | None = None
    target_refs: Seq[PolicyTargetReference] = ()
    phase: Literal["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"] = "UNSPECIFIED"
    priority: Int32 | None = None
    match: Seq[TrafficSelector] = ()
    wasm: WasmConfig | None = None
    lua: LuaConfig | None = None
