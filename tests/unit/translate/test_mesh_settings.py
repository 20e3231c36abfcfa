"""What MeshConfig changes in the translation: logs, times, retries, and who sees what by default."""

from __future__ import annotations

import json
from typing import Any

import pytest
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf.json_format import MessageToDict
from translate_mesh import reached, service_entry, view_of

from artemon.translate import messages
from artemon.translate.routes import routes
from artemon.xds.types import CLUSTER, LISTENER

HOST = "web.shop.svc.cluster.local"
WEB = service_entry(HOST, [(80, "HTTP")], namespace="shop")
CLUSTER_80 = f"outbound|80||{HOST}"


def rule(kind: str, **spec: Any) -> str:
    meta = {"name": "x", "namespace": "shop"}
    return json.dumps({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec})


def log_of(mesh: dict[str, Any]) -> FileAccessLog | None:
    """The access log of the requests of port 80."""
    listener: Any = messages(view_of(WEB, mesh=mesh))[LISTENER]["0.0.0.0_80"]
    manager, out = HttpConnectionManager(), FileAccessLog()
    assert listener.filter_chains[0].filters[-1].typed_config.Unpack(manager)
    found = [one for one in manager.access_log if one.typed_config.Is(FileAccessLog.DESCRIPTOR)]
    if not found:
        return None
    assert found[0].typed_config.Unpack(out)
    return out


def test_access_logs() -> None:
    assert log_of({}) is None
    text = log_of({"accessLogFile": "/dev/stdout", "accessLogFormat": "%PROTOCOL%"})
    assert text is not None
    assert (text.path, text.log_format.text_format_source.inline_string) == ("/dev/stdout", "%PROTOCOL%\n")
    formatted = {"accessLogEncoding": "JSON", "accessLogFormat": '{"who": "%PROTOCOL%"}'}
    found = log_of({"accessLogFile": "/dev/stdout", **formatted})
    assert found is not None
    assert MessageToDict(found.log_format.json_format) == {"who": "%PROTOCOL%"}


def test_times_and_keepalive() -> None:
    settings = {
        "connectTimeout": "3s",
        "protocolDetectionTimeout": "2s",
        "tcpKeepalive": {"time": "60s", "interval": "5s", "probes": 4},
    }
    made = messages(view_of(WEB, mesh=settings))
    cluster: Any = made[CLUSTER][CLUSTER_80]
    alive = cluster.upstream_connection_options.tcp_keepalive
    assert cluster.connect_timeout.seconds == 3
    assert (alive.keepalive_time.value, alive.keepalive_interval.value) == (60, 5)
    assert alive.keepalive_probes.value == 4
    listener: Any = made[LISTENER]["0.0.0.0_80"]
    assert listener.listener_filters_timeout.seconds == 2


@pytest.mark.parametrize(
    ("policy", "retries"),
    [
        pytest.param(None, 2, id="istios-own"),
        pytest.param({"attempts": 5, "retryOn": "5xx"}, 5, id="the-meshs"),
        pytest.param({"attempts": 0}, None, id="none"),
    ],
)
def test_retries(policy: dict[str, Any] | None, retries: int | None) -> None:
    made = routes(view_of(WEB, mesh={"defaultHttpRetryPolicy": policy} if policy else {}))["80"]
    action = made.virtual_hosts[0].routes[0].route
    found = action.retry_policy.num_retries.value if action.HasField("retry_policy") else None
    assert found == retries


def test_services_are_seen_as_the_mesh_says() -> None:
    assert HOST in view_of(WEB).services
    private = {"defaultServiceExportTo": ["."]}
    assert HOST not in view_of(WEB, mesh=private).services
    assert HOST in view_of(WEB, {"namespace": "shop"}, private).services
    public = service_entry(HOST, [(80, "HTTP")], namespace="shop", exportTo=["*"])
    assert HOST in view_of(public, mesh=private).services


def test_rules_are_seen_as_the_mesh_says() -> None:
    http = [{"directResponse": {"status": 418}}]
    world = f"{WEB}\n---\n{rule('VirtualService', hosts=[HOST], http=http)}"
    private = {"defaultVirtualServiceExportTo": ["."]}
    call = {"port": 80, "protocol": "http", "host": HOST}
    assert reached(view_of(world), **call)["response"] == {"status": 418}
    assert reached(view_of(world, mesh=private), **call)["cluster"] == CLUSTER_80
    assert reached(view_of(world, {"namespace": "shop"}, private), **call)["response"] == {"status": 418}


def test_policies_are_seen_as_the_mesh_says() -> None:
    balancer = {"loadBalancer": {"simple": "RANDOM"}}
    world = f"{WEB}\n---\n{rule('DestinationRule', host=HOST, trafficPolicy=balancer)}"
    private = {"defaultDestinationRuleExportTo": ["."]}
    assert HOST in view_of(world).destinations
    assert HOST not in view_of(world, mesh=private).destinations
    assert HOST in view_of(world, {"namespace": "shop"}, private).destinations
