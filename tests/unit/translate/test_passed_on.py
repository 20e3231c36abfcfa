"""TLS that gateways pass on unopened, default endpoints, hosts that are looked up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from envoy.extensions.clusters.dynamic_forward_proxy.v3.cluster_pb2 import ClusterConfig
from real_envoy import complaint
from test_gateways import ROUTER, bound, gateway, server
from translate_mesh import reached, service_entry, view_of

from artemon.snapshot.view import ProxyView
from artemon.translate import messages
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER

HOST = "web.default.svc.cluster.local"
MTLS = {"security.istio.io/tlsMode": "istio"}
INSTANCES = [
    {"address": "10.0.0.1", "labels": {"version": "v1", **MTLS}},
    {"address": "10.0.0.2", "labels": {"version": "v2", **MTLS}},
    {"address": "10.0.0.3", "labels": {"version": "v2"}},
]
SUBSETS = json.dumps(
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "web"},
        "spec": {"host": "web", "subsets": [{"name": "v2", "labels": {"version": "v2"}}]},
    }
)
PASS_ON = gateway(server(15443, "TLS", ["*.local"], tls={"mode": "AUTO_PASSTHROUGH"}))


def passing(*more: str) -> ProxyView:
    web = service_entry(HOST, [(80, "HTTP"), (53, "UDP")], endpoints=INSTANCES)
    outside = service_entry("out.local", [(80, "HTTP")], location="MESH_EXTERNAL", addresses=["10.9.9.9"])
    return view_of("\n---\n".join((web, outside, SUBSETS, *more)), ROUTER)


def addresses(view: ProxyView, name: str) -> list[str]:
    found: Any = messages(view)[ENDPOINTS][name]
    return [
        one.endpoint.address.socket_address.address for group in found.endpoints for one in group.lb_endpoints
    ]


def test_a_cluster_for_every_name_that_is_passed_on() -> None:
    view = passing(PASS_ON)
    named = {name for name in messages(view)[CLUSTER] if name.startswith("outbound_")}
    assert named == {f"outbound_.80_._.{HOST}", f"outbound_.80_.v2_.{HOST}"}
    chains: Any = messages(view)[LISTENER]["0.0.0.0_15443"]
    assert {name for one in chains.filter_chains for name in one.filter_chain_match.server_names} == named


def test_only_instances_with_mutual_tls_are_passed_on_to() -> None:
    view = passing(PASS_ON)
    assert addresses(view, f"outbound_.80_._.{HOST}") == ["10.0.0.1", "10.0.0.2"]
    assert addresses(view, f"outbound_.80_.v2_.{HOST}") == ["10.0.0.2"]
    assert len(addresses(view, f"outbound|80||{HOST}")) == 3
    cluster: Any = messages(view)[CLUSTER][f"outbound_.80_._.{HOST}"]
    assert not cluster.transport_socket_matches
    assert not cluster.HasField("transport_socket")


def test_no_such_clusters_without_such_a_server() -> None:
    view = passing(gateway(server(80, "HTTP", ["*"])))
    assert not [name for name in messages(view)[CLUSTER] if name.startswith("outbound_")]


@pytest.mark.envoy
def test_envoy_takes_all_of_it(tmp_path: Path) -> None:
    by_default = server(80, "HTTP", ["*.com"], defaultEndpoint="127.0.0.1:9000")
    socket = server(9001, "TCP", ["*"], defaultEndpoint="unix:///run/application.sock")
    wild = service_entry("*.wild.com", [(81, "HTTP"), (443, "TLS"), (82, "GRPC")], resolution="DYNAMIC_DNS")
    whole = gateway(server(15443, "TLS", ["*.local"], tls={"mode": "AUTO_PASSTHROUGH"}), by_default, socket)
    assert complaint(passing(whole, wild, bound("web", ["a.com"])), tmp_path) == ""


@pytest.mark.parametrize(
    ("server_fields", "cluster"),
    [
        pytest.param({"defaultEndpoint": "127.0.0.1:9000"}, "outbound|9000||127.0.0.1", id="address"),
        pytest.param({"defaultEndpoint": "[::1]:9000"}, "outbound|9000||::1", id="ipv6"),
        pytest.param({"defaultEndpoint": "unix:///a.sock"}, "outbound|0||unix:///a.sock", id="socket"),
        pytest.param({"defaultEndpoint": "10.0.0.1:9000"}, None, id="not-its-own-machine"),
        pytest.param({"defaultEndpoint": "127.0.0.1:x"}, None, id="no-port"),
        pytest.param({}, None, id="none"),
    ],
)
def test_default_endpoints(server_fields: dict[str, Any], cluster: str | None) -> None:
    view = view_of(gateway(server(80, "HTTP", ["a.com"], **server_fields)), ROUTER)
    found = reached(view, mode="gateway", protocol="http", port=80, host="a.com")
    assert found.get("cluster") == cluster
    assert cluster is None or cluster in messages(view)[CLUSTER]


@pytest.mark.parametrize(
    ("policy", "insecure"),
    [
        pytest.param(None, False, id="plain"),
        pytest.param({"tls": {"mode": "SIMPLE"}}, False, id="tls-to-the-host-asked-for"),
        pytest.param({"tls": {"mode": "SIMPLE", "sni": "one.wild.com"}}, True, id="tls-to-one-name"),
        pytest.param({"connectionPool": {"http": {"useClientProtocol": True}}}, False, id="with-options"),
    ],
)
@pytest.mark.parametrize("protocol", ["HTTP", "GRPC", "TLS"])
@pytest.mark.envoy
def test_hosts_that_are_looked_up(
    policy: dict[str, Any] | None, insecure: bool, protocol: str, tmp_path: Path
) -> None:
    entry = service_entry("*.wild.com", [(80, protocol)], resolution="DYNAMIC_DNS", location="MESH_EXTERNAL")
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "wild"},
        "spec": {"host": "*.wild.com", "trafficPolicy": policy},
    }
    view = view_of("\n---\n".join([entry, *([json.dumps(rule)] if policy else [])]))
    found: Any = messages(view)[CLUSTER]["outbound|80||*.wild.com"]
    config = ClusterConfig()
    assert found.cluster_type.typed_config.Unpack(config)
    if protocol != "TLS":
        assert config.allow_insecure_cluster_options is insecure
        assert reached(view, port=80, protocol="http", host="x.wild.com")["cluster"] == found.name
    assert complaint(view, tmp_path) == ""
