"""Values of patches: what is merged into what, wrapped structs, scripts."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.filters.http.lua.v3.lua_pb2 import Lua
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from patched_mesh import LUA

from artemon.translate.envoy_values import problems_of, read
from artemon.translate.patches.constraints import violation
from artemon.translate.patches.lua import escape
from artemon.translate.patches.merge import Unmergeable, merge

FAULT = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
RAW = {"name": "envoy.transport_sockets.raw_buffer"}
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
TLS = {"name": "envoy.transport_sockets.tls", "typedConfig": {"@type": _TLS, "sni": "a"}}


def metadata(**fields: str) -> dict[str, Any]:
    return {"metadata": {"filterMetadata": {key: {value: "x"} for key, value in fields.items()}}}


@pytest.mark.parametrize(
    ("kind", "before", "change", "after"),
    [
        pytest.param(
            Cluster, {"name": "a"}, {"altStatName": "b"}, {"name": "a", "altStatName": "b"}, id="field"
        ),
        pytest.param(
            Cluster,
            {"connectTimeout": "5.500s"},
            {"connectTimeout": "1s"},
            {"connectTimeout": "1s"},
            id="duration",
        ),
        pytest.param(
            HttpFilter,
            {"disabled": True},
            {"name": "x"},
            {"disabled": True, "name": "x"},
            id="nothing-is-unset",
        ),
        pytest.param(
            Cluster,
            {"perConnectionBufferLimitBytes": 7},
            {"perConnectionBufferLimitBytes": 0},
            {"perConnectionBufferLimitBytes": 0},
            id="wrapper",
        ),
        pytest.param(
            Cluster,
            {"filters": [{"name": "a"}]},
            {"filters": [{"name": "b"}]},
            {"filters": [{"name": "a"}, {"name": "b"}]},
            id="lists-grow",
        ),
        pytest.param(
            Cluster,
            {"type": "EDS"},
            {"clusterType": {"name": "x"}},
            {"clusterType": {"name": "x"}},
            id="oneof",
        ),
        pytest.param(Cluster, metadata(a="1"), metadata(b="2"), metadata(a="1", b="2"), id="maps-by-key"),
        pytest.param(Cluster, metadata(a="1"), metadata(a="2"), metadata(a="2"), id="a-key-is-replaced"),
        pytest.param(
            HttpFilter,
            {"typedConfig": {"@type": FAULT, "maxActiveFaults": 1, "upstreamCluster": "a"}},
            {"typedConfig": {"@type": FAULT, "maxActiveFaults": 2}},
            {"typedConfig": {"@type": FAULT, "maxActiveFaults": 2, "upstreamCluster": "a"}},
            id="within-packed-messages",
        ),
        pytest.param(
            Cluster,
            {"transportSocket": TLS},
            {"transportSocket": RAW},
            {"transportSocket": RAW},
            id="another-socket",
        ),
        pytest.param(
            Cluster, {}, {"upstreamConnectionOptions": {}}, {"upstreamConnectionOptions": {}}, id="empty"
        ),
    ],
)
def test_merge(kind: type[Message], before: Any, change: Any, after: Any) -> None:
    made = ParseDict(before, kind())
    merge(made, ParseDict(change, kind()))
    assert MessageToDict(made) == MessageToDict(ParseDict(after, kind()))


def test_lists_may_be_replaced_at_every_depth() -> None:
    made = ParseDict({"typedConfig": {"@type": FAULT, "downstreamNodes": ["a"]}}, HttpFilter())
    change = ParseDict({"typedConfig": {"@type": FAULT, "downstreamNodes": ["b"]}}, HttpFilter())
    merge(made, change, replace_lists=True)
    assert MessageToDict(made)["typedConfig"]["downstreamNodes"] == ["b"]


def test_two_types_do_not_merge() -> None:
    made = ParseDict({"typedConfig": {"@type": FAULT}}, HttpFilter())
    read("HTTP_FILTER", {"name": "lua", "typed_config": {"@type": LUA}})
    with pytest.raises(Unmergeable, match=r"has a envoy.*Lua, but what it patches is a envoy.*HTTPFault"):
        merge(made, ParseDict({"typedConfig": {"@type": LUA}}, HttpFilter()))


INNER = {"default_source_code": {"inline_string": "x = 1"}}


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"@type": LUA, **INNER}, id="plain"),
        pytest.param(
            {"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": LUA, "value": INNER},
            id="typed",
        ),
        pytest.param(
            {"@type": "type.googleapis.com/udpa.type.v1.TypedStruct", "typeUrl": LUA, "value": INNER},
            id="udpa",
        ),
        pytest.param(
            {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"@type": LUA, **INNER}},
            id="struct",
        ),
    ],
)
def test_a_configuration_may_be_wrapped(config: dict[str, Any]) -> None:
    made = read("HTTP_FILTER", {"name": "lua", "typed_config": config})
    inner = Lua()
    assert made.typed_config.Unpack(inner)  # type: ignore[attr-defined]
    assert inner.default_source_code.inline_string == "x = 1"
    assert problems_of("HTTP_FILTER", {"name": "lua", "typed_config": config}) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        pytest.param("os.execute('x')", "os", id="os"),
        pytest.param("local o = os", "os", id="alias"),
        pytest.param("x = require 'ffi'", "require", id="require"),
        pytest.param("load('x')()", "load", id="load"),
        pytest.param("\x1bLJ", "compiled code", id="compiled"),
        pytest.param("--[==[ os ]==] io.write('x')", "io", id="after-a-comment"),
        pytest.param("--[[ a ]] x = 'b' -- os", None, id="comments"),
        pytest.param('h:headers():get("io") h.os = 1', None, id="fields"),
        pytest.param("x = [==[ os.execute() ]==] y = 'it\\'s io'", None, id="texts"),
        pytest.param("h:logDebug('x') osmosis = 1", None, id="other-names"),
    ],
)
def test_scripts(code: str, found: str | None) -> None:
    assert escape(code) == found


def test_a_message_that_envoy_takes_breaks_no_rule() -> None:
    assert violation(ParseDict({"name": "x", "connectTimeout": "1s"}, Cluster())) is None
