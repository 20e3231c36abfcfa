"""What injection tells a container becomes proxyd's settings."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from injected_process import container, injected, plain_environment

from artemon.daemon.settings import load
from artemon.errors import ArtemonError
from artemon.inject import Injector, read_config
from artemon.log import Log
from artemon.model.decode import decode_mesh_config
from proxyd.cni.pod import arguments, reason_to_leave
from proxyd.pod.environment import flags
from proxyd.pod.probers import Probers
from proxyd.settings import ProxydSettings

POD = {
    "metadata": {"name": "web-1", "labels": {"app": "web"}, "annotations": {}},
    "spec": {"containers": [{"name": "app", "image": "a"}]},
}
FIELDS = {
    "POD_NAME": "web-1",
    "POD_NAMESPACE": "shop",
    "INSTANCE_IP": "10.1.2.3",
    "SERVICE_ACCOUNT": "web",
}


def told(config: dict[str, Any] | None = None, mesh: dict[str, Any] | None = None, **annotations: str) -> Any:
    injector = Injector(read_config(config or {}), decode_mesh_config(mesh or {}))
    pod = {**POD, "metadata": {**POD["metadata"], "annotations": annotations}}  # type: ignore[dict-item]
    return container(injected(pod, injector), "istio-proxy")


def settings(environ: dict[str, str], root: Path, role: str = "sidecar") -> ProxydSettings:
    made = flags(role, environ, domain="shop.svc.cluster.test", root=root)
    return load(ProxydSettings, name="proxyd", file=None, environ={}, flags=made)


def test_the_environment_says_who_and_whom(tmp_path: Path) -> None:
    (tmp_path / "etc/istio/pod").mkdir(parents=True)
    (tmp_path / "etc/istio/pod/labels").write_text('app="web"\nnote="a\\"b\\nc"\n')
    values = {"global": {"caAddress": "citadeld.mesh.svc:15013", "network": "n1"}}
    mesh = {
        "trustDomain": "td",
        "defaultConfig": {"discoveryAddress": "pilotd.mesh.svc:15012", "concurrency": 3},
    }
    environ = plain_environment(told(values, mesh)) | FIELDS
    made = settings(environ, tmp_path)
    assert (made.node, made.namespace, made.service_account) == ("web-1", "shop", "web")
    assert (made.citadeld, made.pilotd) == (("citadeld.mesh.svc:15013",), ("pilotd.mesh.svc:15012",))
    assert made.identity_options.join_addresses == ("citadeld.mesh.svc:15016",)
    assert (made.trust_domain, made.domain, made.network) == ("td", "cluster.test", "n1")
    assert (made.concurrency, made.interception, made.bind) == (3, "REDIRECT", "0.0.0.0")
    assert made.labels == {"app": "web", "note": 'a"b\nc'}
    assert made.attest_token_file == f"{tmp_path}/var/run/secrets/tokens/istio-token"
    assert settings(environ, tmp_path, "router").interception == "NONE"


def test_what_a_pod_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtemonError, match="POD_NAME, INSTANCE_IP: not set"):
        flags("sidecar", {"POD_NAMESPACE": "shop"}, root=tmp_path)
    with pytest.raises(ArtemonError, match="PROXY_CONFIG: is not JSON"):
        flags("sidecar", {**FIELDS, "PROXY_CONFIG": "{"}, root=tmp_path)
    with pytest.raises(ArtemonError, match=r"PROXY_CONFIG.concurrency"):
        flags("sidecar", {**FIELDS, "PROXY_CONFIG": '{"concurrency": "many"}'}, root=tmp_path)


async def test_probes_are_asked_of_the_application() -> None:
    seen: list[tuple[str, str, str | None]] = []

    async def app(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("x-a", ""), request.remote))
        return web.Response(status=204 if request.path == "/ready" else 503)

    made = web.Application()
    made.add_routes([web.get("/{any:.*}", app)])
    async with TestServer(made, host="127.0.0.1") as server:
        headers = [{"name": "X-A", "value": "1"}]
        table = {
            "/app-health/app/readyz": {
                "httpGet": {"path": "/ready", "port": server.port, "httpHeaders": headers}
            },
            "/app-health/app/livez": {"httpGet": {"path": "/bad", "port": server.port}},
            "/app-health/app/startupz": {"tcpSocket": {"port": server.port}},
            "/app-lifecycle/app/prestopz": {"tcpSocket": {"port": 1}, "timeoutSeconds": 2},
            "/app-health/rpc/livez": {"grpc": {"port": 1, "service": None}},
        }
        agent = web.Application()
        agent.add_routes(Probers(table, "127.0.0.1", Log("test")).routes())
        async with TestClient(TestServer(agent)) as client:
            answers = [(await client.get(path)).status for path in table]
            assert (await client.get("/app-health/other/livez")).status == 404
    assert answers == [204, 503, 200, 500, 500]
    assert seen[0] == ("/ready", "1", "127.0.0.6")


async def test_a_probe_that_hangs_fails_in_time() -> None:
    async def stuck(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    made = web.Application()
    made.add_routes([web.get("/", stuck)])
    async with TestServer(made, host="127.0.0.1") as server:
        agent = web.Application()
        table = {"/app-health/a/livez": {"httpGet": {"port": server.port}, "timeoutSeconds": 1}}
        agent.add_routes(Probers(table, "127.0.0.1", Log("test")).routes())
        async with TestClient(TestServer(agent)) as client:
            answer = await client.get("/app-health/a/livez", timeout=aiohttp.ClientTimeout(30))
            assert answer.status == 500


def test_the_nodes_plug_in_says_what_the_init_container_would(tmp_path: Path) -> None:
    """The same pod, once by an init container and once by the annotations that injection leaves for CNI."""
    asked = {
        "traffic.sidecar.istio.io/includeOutboundIPRanges": "10.0.0.0/8",
        "traffic.sidecar.istio.io/excludeInboundPorts": "9",
        "traffic.sidecar.istio.io/excludeOutboundPorts": "5432",
        "traffic.sidecar.istio.io/excludeInterfaces": "net1",
        "istio.io/reroute-virtual-interfaces": "kvm0",
    }
    pod = {**POD, "metadata": {**POD["metadata"], "annotations": asked}}  # type: ignore[dict-item]
    by_init = container(injected(pod), "istio-init")["args"][1:]
    stored = injected(pod, Injector(read_config({"pilot": {"cni": {"enabled": True}}})))
    assert reason_to_leave(stored) == ""
    assert "istio-init sets" in reason_to_leave(injected(pod))
    by_node = arguments(stored)

    def pairs(words: list[str]) -> dict[str, set[str]]:
        found = {flag: value for flag, value in pairwise(words) if len(flag) == 2}
        return {flag: set(filter(None, value.split(","))) for flag, value in found.items() if flag[0] == "-"}

    assert {key: value for key, value in pairs(by_node).items() if value} == {
        key: value for key, value in pairs(by_init).items() if value
    }
