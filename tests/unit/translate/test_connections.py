"""Connections: tunnels, idle time, what clusters and routes are called in statistics."""

from __future__ import annotations

import json
from typing import Any

import pytest
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from translate_mesh import service_entry, view_of

from artemon.snapshot.view import ProxyView
from artemon.translate import messages
from artemon.translate.routes import routes
from artemon.xds.types import CLUSTER, LISTENER

HOST = "db.default.svc.cluster.local"


def rule(kind: str, **spec: Any) -> str:
    fields = {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    return json.dumps(fields)


def view(*more: str, mesh: dict[str, Any] | None = None) -> ProxyView:
    service = service_entry(HOST, [(5432, "TCP"), (80, "HTTP")], addresses=["10.9.0.1"])
    return view_of("\n---\n".join((service, *more)), mesh=mesh)


def proxy_of(seen: ProxyView) -> TcpProxy:
    """What forwards the bytes of port 5432."""
    found: Any = messages(seen)[LISTENER]["10.9.0.1_5432"]
    out = TcpProxy()
    assert found.filter_chains[0].filters[-1].typed_config.Unpack(out)
    return out


@pytest.mark.parametrize(
    ("tunnel", "hostname", "post"),
    [
        pytest.param({"targetHost": "a.com", "targetPort": 443}, "a.com:443", False, id="connect"),
        pytest.param(
            {"protocol": "POST", "targetHost": "a.com", "targetPort": 1}, "a.com:1", True, id="post"
        ),
        pytest.param({"targetHost": "::1", "targetPort": 1}, "[::1]:1", False, id="ipv6"),
    ],
)
def test_tunnels(tunnel: dict[str, Any], hostname: str, post: bool) -> None:
    found = proxy_of(view(rule("DestinationRule", host=HOST, trafficPolicy={"tunnel": tunnel})))
    assert (found.tunneling_config.hostname, found.tunneling_config.use_post) == (hostname, post)


def test_idle_connections() -> None:
    assert not proxy_of(view()).HasField("idle_timeout")
    policy = {"connectionPool": {"tcp": {"idleTimeout": "90s"}}}
    assert proxy_of(view(rule("DestinationRule", host=HOST, trafficPolicy=policy))).idle_timeout.seconds == 90


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        pytest.param("", "", id="none"),
        pytest.param("%SERVICE%_%SERVICE_PORT%", "db.default_5432;", id="short"),
        pytest.param("%SERVICE_FQDN%.%SERVICE_PORT_NAME%", f"{HOST}.TCP-5432;", id="full"),
        pytest.param("%SERVICE_NAME%|%TARGET_PORT%|%SUBSET_NAME%", "db|5432|;", id="parts"),
        pytest.param("%NO_SUCH%x", "%NO_SUCH%x;", id="unknown-stays"),
    ],
)
def test_names_of_clusters_in_statistics(pattern: str, name: str) -> None:
    found: Any = messages(view(mesh={"outboundClusterStatName": pattern}))[CLUSTER]
    assert found[f"outbound|5432||{HOST}"].alt_stat_name == name


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        pytest.param("", f"outbound|5432||{HOST}", id="none"),
        pytest.param("out_%SERVICE%_%SERVICE_PORT%", "out_db.default_5432", id="pattern"),
    ],
)
def test_names_of_connections_in_statistics(pattern: str, prefix: str) -> None:
    assert proxy_of(view(mesh={"outboundClusterStatName": pattern})).stat_prefix == prefix


def test_names_of_inbound_clusters_in_statistics() -> None:
    entry = service_entry(HOST, [(80, "HTTP")], endpoints=[{"address": "1.1.1.1"}])
    found: Any = messages(view_of(entry, mesh={"inboundClusterStatName": "in_%SERVICE%_%SERVICE_PORT%"}))
    assert found[CLUSTER]["inbound|80||"].alt_stat_name == "in_db.default_80;"


def test_stat_prefix_of_a_match() -> None:
    http = [{"match": [{"statPrefix": "cart"}], "route": [{"destination": {"host": HOST}}]}]
    made = routes(view(rule("VirtualService", hosts=[HOST], http=http)))["80"]
    assert [one.stat_prefix for one in made.virtual_hosts[0].routes] == ["cart"]
