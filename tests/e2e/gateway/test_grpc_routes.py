"""GRPCRoutes on a real Envoy: a call by its method, one that nobody has, one that cannot be sent on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from real_envoy import bootstrap_of, envoy
from servers import dying_with_parent, free_ports

from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]
API = "gateway.networking.k8s.io/v1"
PROXY = {
    "type": "router",
    "namespace": "shop",
    "labels": {"gateway.networking.k8s.io/gateway-name": "edge"},
}


class Answers(grpc.GenericRpcHandler):
    """Every call is answered with its own name."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        name = details.method.encode()
        return grpc.unary_unary_rpc_method_handler(lambda request, context: name)


def objects(listens: int, serves: int) -> list[dict[str, object]]:
    def made(version: str, kind: str, name: str, spec: object) -> dict[str, object]:
        meta = {"name": name, "namespace": "shop"}
        return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}

    def rule(service: str, host: str) -> dict[str, object]:
        ref = {"group": "networking.istio.io", "kind": "Hostname", "name": host, "port": 80}
        return {"matches": [{"method": {"service": service, "method": "Get"}}], "backendRefs": [ref]}

    listener = {"name": "http", "port": listens, "protocol": "HTTP"}
    entry = {
        "hosts": ["web.example"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 80, "name": "grpc", "protocol": "GRPC"}],
        "endpoints": [{"address": "127.0.0.1", "ports": {"grpc": serves}}],
    }
    rules = [rule("shop.Web", "web.example"), rule("shop.Gone", "gone.example")]
    return [
        made(API, "Gateway", "edge", {"gatewayClassName": "istio", "listeners": [listener]}),
        made(API, "GRPCRoute", "calls", {"parentRefs": [{"name": "edge"}], "rules": rules}),
        made("networking.istio.io/v1", "ServiceEntry", "web", entry),
    ]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[grpc.Channel]:
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((Answers(),))
    serves = server.add_insecure_port("127.0.0.1:0")
    server.start()
    (listens,) = free_ports(1)
    view = snapshot_of(objects(listens, serves), MeshConfig()).view(read_proxy(PROXY))
    config = tmp_path / "envoy.json"
    config.write_text(json.dumps(bootstrap_of(view)))
    command = (str(envoy()), "-c", str(config), "--use-dynamic-base-id", "--concurrency", "1", "-l", "error")
    with (tmp_path / "envoy.log").open("wb") as log:
        process = subprocess.Popen(dying_with_parent(*command), stdout=log, stderr=log)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{listens}") as channel:
            grpc.channel_ready_future(channel).result(60)
            yield channel
    finally:
        process.kill()
        process.wait()
        server.stop(None)


def call(channel: grpc.Channel, method: str) -> object:
    """The answer, or the status."""
    try:
        return channel.unary_unary(method)(b"", timeout=30)
    except grpc.RpcError as error:
        return error.code()


def test_calls_reach_their_backends_and_clients_are_told_when_not(gateway: grpc.Channel) -> None:
    assert call(gateway, "/shop.Web/Get") == b"/shop.Web/Get"
    assert call(gateway, "/shop.Web/Put") == grpc.StatusCode.UNIMPLEMENTED
    assert call(gateway, "/shop.Gone/Get") == grpc.StatusCode.UNAVAILABLE
