"""Rules of WasmPlugin and TrafficExtension (Istio `ValidateWasmPlugin`, `ValidateTrafficExtension`)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from artemon.model.resource import Resource
from artemon.model.traffic_extension import TrafficExtension, TrafficSelector, WasmConfig
from artemon.model.wasm_plugin import VmConfig, WasmPlugin, WasmPluginTrafficSelector
from artemon.validate.amounts import port
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error, repeats, wrong
from artemon.validate.scope import targets
from artemon.validate.urls import url

SCHEMES = ("", "file", "http", "https", "oci")
LUA_LIMIT = 64 * 1024
_SHA256 = re.compile(r"[a-f0-9]{64}")
_LONGEST_SECRET, _LONGEST_NAME, _LONGEST_VALUE = 253, 255, 2048


def wasm_plugin(resource: Resource[WasmPlugin], context: Context) -> Problems:
    """What is wrong with one WasmPlugin."""
    spec = resource.spec
    yield from targets(spec, namespace=resource.meta.namespace, root_namespace=context.root_namespace)
    yield from _wasm(spec, "spec")
    yield from _matches(spec.match)


def traffic_extension(resource: Resource[TrafficExtension], context: Context) -> Problems:
    """What is wrong with one TrafficExtension."""
    spec = resource.spec
    yield from targets(spec, namespace=resource.meta.namespace, root_namespace=context.root_namespace)
    if spec.wasm is None and spec.lua is None:
        yield error("spec", "must have exactly one of wasm and lua")
    if spec.wasm is not None:
        yield from _wasm(spec.wasm, "spec.wasm")
    if spec.lua is not None:
        size = len(spec.lua.inline_code.encode("utf-8", "replace"))
        if not size:
            yield error("spec.lua.inlineCode", "must not be empty")
        if size > LUA_LIMIT:
            yield error("spec.lua.inlineCode", f"has {size} bytes; at most 64 KiB are allowed")
    yield from _matches(spec.match)


def _wasm(module: WasmPlugin | WasmConfig, path: str) -> Problems:
    yield from wrong(f"{path}.url", url(module.url, schemes=SCHEMES) if module.url else "must not be empty")
    if module.sha256 and not _SHA256.fullmatch(module.sha256):
        yield error(f"{path}.sha256", "must be 64 characters of a-f and 0-9")
    if "image_pull_secret" in module.model_fields_set and not module.image_pull_secret:
        yield error(f"{path}.imagePullSecret", "must not be empty")
    for name, text, longest in (
        ("imagePullSecret", module.image_pull_secret, _LONGEST_SECRET),
        ("pluginName", module.plugin_name, _LONGEST_NAME),
    ):
        if len(text) > longest:
            yield error(f"{path}.{name}", f"must have at most {longest} characters")
    if module.vm_config is not None:
        yield from _environment(module.vm_config, f"{path}.vmConfig.env")


def _environment(vm: VmConfig, path: str) -> Problems:
    for index, variable in enumerate(vm.env):
        where = f"{path}[{index}]"
        if not variable.name:
            yield error(f"{where}.name", "must not be empty")
        if len(variable.name) > _LONGEST_NAME:
            yield error(f"{where}.name", f"must have at most {_LONGEST_NAME} characters")
        if len(variable.value) > _LONGEST_VALUE:
            yield error(f"{where}.value", f"must have at most {_LONGEST_VALUE} characters")
        if variable.value and variable.value_from == "HOST":
            yield error(f"{where}.value", "must not be set when valueFrom is HOST")
    for index in repeats(variable.name for variable in vm.env):
        yield error(f"{path}[{index}].name", f'"{vm.env[index].name}" is given twice')


def _matches(matches: Sequence[WasmPluginTrafficSelector | TrafficSelector]) -> Problems:
    for index, match in enumerate(matches):
        for number, selected in enumerate(match.ports):
            yield from wrong(f"spec.match[{index}].ports[{number}].number", port(selected.number))
