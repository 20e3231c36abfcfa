"""What a patch says that only the mesh administrator may say, whatever it is applied to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from artemon.model.mesh_config import MeshConfig
from artemon.translate import names
from artemon.translate.patches.lua import escape
from artemon.translate.patches.read import Patch

STATS_CLUSTER, AGENT_CLUSTER = "prometheus_stats", "agent"
CLUSTERS = (names.XDS_CLUSTER, names.SDS_CLUSTER, STATS_CLUSTER, AGENT_CLUSTER)
"""The clusters of every bootstrap: the control plane, secrets and the admin."""

XDS_SOCKET = "xds.sock"
STATS_PORT, READY_PORT, MERGED_STATS_PORT = 15090, 15021, 15020
_SCRIPTS = frozenset({"inline_code", "inlineCode", "inline_string", "inlineString"})
_BYTES = frozenset({"inline_bytes", "inlineBytes", "inline_string", "inlineString"})
_FILES = frozenset({"filename", "watched_directory", "watchedDirectory", "environment_variable"})
_LUA = "envoy.extensions.filters.http.lua.v3."


def objection(patch: Patch, mesh: MeshConfig) -> str | None:
    """Why the patch may not be applied anywhere; None when nothing speaks against it."""
    if patch.trusted:
        return None
    return next(_objections(patch.written, _ports(mesh)), None)


def _ports(mesh: MeshConfig) -> frozenset[int]:
    """Where the admin and the bootstrap's own listeners are."""
    config = mesh.default_config
    own = (config.proxy_admin_port or 15000, config.status_port or MERGED_STATS_PORT)
    return frozenset({*own, STATS_PORT, READY_PORT, MERGED_STATS_PORT})


def _objections(value: Any, ports: frozenset[int], lua: bool = False) -> Iterator[str]:
    if isinstance(value, Mapping):
        lua = lua or _LUA in str(value.get("@type", value.get("type_url", "")))
        yield from _of_address(value, ports)
        for key, inner in value.items():
            if lua:
                yield from _of_script(str(key), inner)
            yield from _objections(inner, ports, lua)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _objections(inner, ports, lua)
    elif isinstance(value, str):
        yield from _of_text(value)


def _of_text(text: str) -> Iterator[str]:
    """Names are looked for in scripts, too; "agent" is too common a word for that."""
    for name in CLUSTERS:
        if text == name or (name != AGENT_CLUSTER and name in text):
            yield f"the cluster {name} belongs to the mesh: patches may neither change it nor send to it"


def _of_address(value: Mapping[str, Any], ports: frozenset[int]) -> Iterator[str]:
    port = value.get("port_value", value.get("portValue"))
    if str(port).isdigit() and int(str(port)) in ports:
        yield f"port {port} is the proxy's own (admin, readiness, statistics)"
    path = value.get("path")
    if isinstance(path, str) and path.rpartition("/")[2] == XDS_SOCKET:
        yield f"the socket {XDS_SOCKET} leads to the control plane"


def _of_script(key: str, value: Any) -> Iterator[str]:
    if key in _FILES:
        yield "scripts of the machine's files are for the mesh administrator"
    elif key in _BYTES - _SCRIPTS:
        yield "scripts must be written as text"
    elif key in _SCRIPTS and isinstance(value, str):
        found = escape(value)
        if found is not None:
            yield f"the script uses {found}, which leads out of the proxy"
