"""What no patch touches unless the mesh administrator allows it."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC
from google.protobuf.json_format import ParseDict
from patched_mesh import (
    ECHO,
    LUA,
    ROUTER,
    SIDECAR,
    STRICT,
    WEB_80,
    address,
    applied,
    envoy_filter,
    listening,
    made,
    manager_of,
    patch,
    reasons,
    script,
    static,
    view,
)

from artemon.model.proxy import ProxyType
from artemon.translate import messages
from artemon.translate.patches.match import Setting
from artemon.translate.wire import packed
from artemon.xds.types import LISTENER

WEB = {"cluster": {"name": WEB_80}}
IN, OUT = {"context": "SIDECAR_INBOUND"}, {"context": "SIDECAR_OUTBOUND"}
MANAGER = "envoy.filters.network.http_connection_manager"
TYPES = "type.googleapis.com/envoy.extensions"
RBAC_FILTER = "envoy.filters.http.rbac"
ALLOWED = {"annotations": {"artemon.io/allow-protected": "true"}}
RAW = {
    "name": "envoy.transport_sockets.raw_buffer",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"
    },
}


def to(cluster: str) -> dict[str, Any]:
    return {"name": "mine", "match": {"prefix": "/"}, "route": {"cluster": cluster}}


def lua(code: str) -> dict[str, Any]:
    return patch("HTTP_FILTER", "INSERT_FIRST", script(code))


CHAIN = {"filter_chain_match": {"destination_port": 80, "source_ports": [1]}, "filters": [ECHO]}
PER_ROUTE = {"typed_per_filter_config": {RBAC_FILTER: {
    "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}}}  # fmt: skip

ABUSES = [
    pytest.param(patch("CLUSTER", "ADD", static("xds-grpc", address(99))), "xds-grpc", id="xds-cluster"),
    pytest.param(patch("CLUSTER", "ADD", static("sds-grpc", address(99))), "sds-grpc", id="sds-cluster"),
    pytest.param(patch("CLUSTER", "MERGE", {"name": "prometheus_stats"}), "prometheus_stats", id="rename"),
    pytest.param(patch("HTTP_ROUTE", "ADD", to("xds-grpc")), "xds-grpc", id="route-to-xds"),
    pytest.param(patch("HTTP_ROUTE", "ADD", to("prometheus_stats")), "prometheus_stats", id="route-to-admin"),
    pytest.param(patch("HTTP_ROUTE", "ADD", to("agent")), "agent", id="route-to-agent"),
    pytest.param(
        patch("CLUSTER", "ADD", static("mine", address(15000))), "port 15000", id="admin-by-address"
    ),
    pytest.param(
        patch("CLUSTER", "ADD", static("mine", {"pipe": {"path": "./xds.sock"}})), "xds.sock", id="xds-socket"
    ),
    pytest.param(patch("LISTENER", "ADD", listening(15000)), "port 15000", id="admin-on-all-addresses"),
    pytest.param(patch("LISTENER", "ADD", listening(15090)), "port 15090", id="listener-of-the-bootstrap"),
    pytest.param(lua("os.execute('id')"), "uses os", id="lua-runs-programs"),
    pytest.param(lua("local f = io.open('/etc/passwd')"), "uses io", id="lua-files"),
    pytest.param(lua("_G['o'..'s'].execute()"), "uses _G", id="lua-globals"),
    pytest.param(lua("h:httpCall('xds-grpc', {}, '', 1)"), "xds-grpc", id="lua-xds"),
    pytest.param(
        patch(
            "HTTP_FILTER",
            "INSERT_FIRST",
            {"name": "lua", "typed_config": {"@type": LUA, "default_source_code": {"filename": "/etc/x"}}},
        ),
        "files",
        id="lua-from-a-file",
    ),
    pytest.param(
        patch("CLUSTER", "MERGE", {"transport_socket": RAW}, **WEB), "mutual TLS", id="plaintext-upstream"
    ),
    pytest.param(
        patch(
            "CLUSTER",
            "MERGE_AND_REPLACE_LIST",
            {"transport_socket_matches": [{"name": "any", "match": {}, "transport_socket": RAW}]},
            **WEB,
        ),
        "mutual TLS",
        id="other-sockets",
    ),
    pytest.param(
        patch("FILTER_CHAIN", "MERGE", {"transport_socket": RAW}, **IN),
        "mutual TLS",
        id="plaintext-downstream",
    ),
    pytest.param(
        patch("FILTER_CHAIN", "MERGE", {"filter_chain_match": {"transport_protocol": "raw_buffer"}}, **IN),
        "mutual TLS",
        id="chain-for-plaintext",
    ),
    pytest.param(patch("FILTER_CHAIN", "ADD", CHAIN, **IN), "around mutual TLS", id="way-around-mutual-tls"),
    pytest.param(
        patch("LISTENER", "MERGE", {"filter_chains": [CHAIN]}, **IN),
        "around mutual TLS",
        id="the-same-by-merge",
    ),
    pytest.param(patch("VIRTUAL_HOST", "MERGE", PER_ROUTE, **IN), "routes must not", id="authorization-off"),
]


@pytest.mark.parametrize(("abuse", "reason"), ABUSES)
def test_abuse_is_left_out(abuse: dict[str, Any], reason: str) -> None:
    found = made(STRICT, envoy_filter(abuse))
    assert found.rejected
    assert all(reason in one.reason for one in found.rejected), found.rejected
    plain = made(STRICT)
    assert (found.clusters, found.listeners) == (plain.clusters, plain.listeners)


@pytest.mark.parametrize(("abuse", "reason"), ABUSES)
def test_the_mesh_administrator_may(abuse: dict[str, Any], reason: str) -> None:
    assert not [
        one for one in reasons(STRICT, envoy_filter(abuse, **ALLOWED)) if reason in one and "name" not in one
    ]


@pytest.mark.parametrize(("abuse", "reason"), ABUSES)
def test_nobody_else_can_allow_it(abuse: dict[str, Any], reason: str) -> None:
    assert reasons(STRICT, envoy_filter(abuse, namespace="default", **ALLOWED))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lua("local os_name = h:os() -- os.execute"), id="lua"),
        pytest.param(lua("x = 'os.execute' y = [[io]]"), id="lua-texts"),
        pytest.param(patch("CLUSTER", "REMOVE", cluster={"name": WEB_80}), id="remove-a-cluster"),
        pytest.param(patch("LISTENER", "REMOVE", **IN), id="remove-a-listener"),
        pytest.param(patch("VIRTUAL_HOST", "MERGE", PER_ROUTE, **OUT), id="outbound-has-no-such-filters"),
    ],
)
def test_what_is_no_abuse(change: dict[str, Any]) -> None:
    assert reasons(STRICT, envoy_filter(change)) == []


def test_a_chain_may_be_added_where_plaintext_is_allowed() -> None:
    assert reasons(envoy_filter(patch("FILTER_CHAIN", "ADD", CHAIN, **IN))) == []


def test_tls_that_is_not_the_meshs_may_be_changed() -> None:
    change = {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"alpn_protocols": ["x"]}}}}  # fmt: skip
    found = made(envoy_filter(patch("FILTER_CHAIN", "MERGE", change, context="GATEWAY")), proxy=ROUTER)
    common = found.chains("0.0.0.0_8443")[0]["transportSocket"]["typedConfig"]["commonTlsContext"]
    assert common["alpnProtocols"] == ["h2", "http/1.1", "x"]
    assert common["tlsCertificateSdsSecretConfigs"]


def test_a_secured_cluster_is_not_remade_without_security() -> None:
    patches = [
        patch("CLUSTER", "REMOVE", cluster={"name": WEB_80}),
        patch("CLUSTER", "ADD", static(WEB_80, address(9))),
    ]
    found = made(envoy_filter(*patches))
    assert WEB_80 not in found.clusters
    assert [one.patch for one in found.rejected] == [1]


def authorized() -> Listener:
    """An inbound listener whose requests are authorized by the mesh."""
    out = Listener()
    out.CopyFrom(messages(view(proxy=SIDECAR))[LISTENER]["virtualInbound"])
    for index, chain in enumerate(out.filter_chains):
        if chain.filters[-1].name == MANAGER:
            manager = manager_of(out, index)
            manager.http_filters.insert(0, manager.http_filters[0])
            manager.http_filters[0].Clear()
            manager.http_filters[0].name = RBAC_FILTER
            manager.http_filters[0].typed_config.CopyFrom(packed(ParseDict({"rules": {}}, RBAC())))
            chain.filters[-1].typed_config.CopyFrom(packed(manager))
    return out


def of(name: str) -> dict[str, Any]:
    chain = {"filter": {"name": MANAGER, "subFilter": {"name": name}}}
    return IN | {"listener": {"filterChain": chain}}


def within(filters: list[dict[str, Any]]) -> dict[str, Any]:
    kind = f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"
    return {
        "name": MANAGER,
        "typed_config": {"@type": kind, "stat_prefix": "x", "http_filters": filters, "route_config": {}},
    }


ROUTER_ONLY = {"name": "envoy.filters.http.router", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}  # fmt: skip
ALLOW_ALL = {"name": RBAC_FILTER, "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"}}  # fmt: skip


@pytest.mark.parametrize(
    "abuse",
    [
        pytest.param(patch("HTTP_FILTER", "REMOVE", **of(RBAC_FILTER)), id="remove"),
        pytest.param(patch("HTTP_FILTER", "REPLACE", ALLOW_ALL, **of(RBAC_FILTER)), id="replace"),
        pytest.param(patch("HTTP_FILTER", "MERGE", {"disabled": True}, **of(RBAC_FILTER)), id="disable"),
        pytest.param(patch("HTTP_FILTER", "MERGE", {"name": "x"}, **of(RBAC_FILTER)), id="rename"),
        pytest.param(
            patch("NETWORK_FILTER", "REPLACE", within([ROUTER_ONLY]),
                  **IN, listener={"filterChain": {"filter": {"name": MANAGER}}}), id="replace-the-manager"
        ),
        pytest.param(
            patch("NETWORK_FILTER", "MERGE_AND_REPLACE_LIST", within([ROUTER_ONLY]),
                  **IN, listener={"filterChain": {"filter": {"name": MANAGER}}}), id="replace-the-list"
        ),
        pytest.param(patch("FILTER_CHAIN", "ADD", CHAIN, **IN), id="way-around"),
    ],
)  # fmt: skip
def test_authorization_stays(abuse: dict[str, Any]) -> None:
    setting, before = Setting(ProxyType.SIDECAR), authorized()
    done = applied(before, LISTENER, envoy_filter(abuse), setting=setting)
    assert done.resource is not None
    assert Listener.FromString(done.resource.body) == before
    assert [one.patch for one in done.rejected] == [0]
    assert not applied(before, LISTENER, envoy_filter(abuse, **ALLOWED), setting=setting).rejected


def test_filters_may_be_added_around_authorization() -> None:
    change = patch(
        "HTTP_FILTER", "INSERT_AFTER", ALLOW_ALL | {"name": RBAC_FILTER + ".mine"}, **of(RBAC_FILTER)
    )
    done = applied(authorized(), LISTENER, envoy_filter(change), setting=Setting(ProxyType.SIDECAR))
    assert done.resource is not None
    assert not done.rejected
    names = [one.name for one in manager_of(Listener.FromString(done.resource.body), 1).http_filters]
    assert names[:2] == [RBAC_FILTER, RBAC_FILTER + ".mine"]
