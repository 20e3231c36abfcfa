"""`meshctl certificate revoke` and gRPC without a proxy: servers refuse who is banned or shows a certificate
that is revoked, clients do not call him, and call him again when he is reinstated."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from policy_http2 import EMPTY_MESSAGE, Anything, Http2
from servers import dying_with_parent, free_ports
from trust_mesh import PLAINTEXT, SERVE, SPACE, Mesh, Thief, Workload

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(400)]

TESTS = Path(__file__).parents[2]
HOST, COPIED = f"talk.{SPACE}.svc.cluster.local", f"copied.{SPACE}.svc.cluster.local"


class Site:
    """Processes of gRPC in a mesh, with the identities of its workloads."""

    def __init__(self, mesh: Mesh, folder: Path) -> None:
        self.mesh, self.folder = mesh, folder
        self.app = grpc.server(ThreadPoolExecutor(2))
        self.app.add_generic_rpc_handlers((Anything(),))
        port = self.app.add_insecure_port(f"{mesh.net}.41:0")
        self.app.start()
        self.foe = mesh.join("foe", 40)
        self.copied = mesh.join("copied", 41, protocol="GRPC", app=port)
        mesh.ready(self.foe, self.copied)
        self.processes: list[subprocess.Popen[Any]] = []

    def bootstrap(self, name: str, **metadata: str) -> Path:
        """What GRPC_XDS_BOOTSTRAP points to, with the certificates of a workload."""
        workload = self.mesh.workloads[name]
        files = {"certificate_file": "cert-chain.pem", "private_key_file": "key.pem",
                 "ca_certificate_file": "root-cert.pem"}  # fmt: skip
        watched = {key: str(workload.file(file)) for key, file in files.items()}
        known = {"NAMESPACE": SPACE, "SERVICE_ACCOUNT": name, "GENERATOR": "grpc"}
        content = {
            "xds_servers": [{"server_uri": self.mesh.environment[PLAINTEXT],
                             "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
            "node": {"id": f"sidecar~{workload.address}~grpc-{name}.{SPACE}~{SPACE}.svc.cluster.local",
                     "metadata": {**known, **metadata}},
            "server_listener_resource_name_template": "grpc/server?xds.resource.listening_address=%s",
            "certificate_providers": {"default": {"plugin_name": "file_watcher", "config": watched}},
        }  # fmt: skip
        path = self.folder / f"grpc-{name}.json"
        path.write_text(json.dumps(content))
        return path

    def run(self, script: Path, bootstrap: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            dying_with_parent(sys.executable, str(script)),
            env={**os.environ, "GRPC_XDS_BOOTSTRAP": str(bootstrap)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def serve(self, name: str) -> int:
        """The port of a gRPC server that follows the mesh as a workload does."""
        (port,), server = free_ports(1), self.mesh.workloads[name]
        served = [{"number": port, "name": "grpc", "protocol": "GRPC", "listenPort": port}]
        bootstrap = self.bootstrap(name, ARTEMON_PORTS=json.dumps(served))
        process = self.run(TESTS / "policy_grpc_servers.py", bootstrap)
        assert process.stdin is not None
        process.stdin.write(f"{server.address}:{port}\n")
        process.stdin.close()
        return port

    def down(self) -> None:
        self.app.stop(None)
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def site(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(mesh, tmp_path_factory.mktemp("bans"))
    yield made
    made.down()


def caller(workload: Workload, port: int, server: Workload) -> Http2:
    """Calls with a workload's certificate."""
    context = Thief(workload, ssl.TLSVersion.TLSv1_3, "h2").context
    return Http2(lambda: context.wrap_socket(socket.create_connection((server.address, port), timeout=10)))


def status(client: Http2) -> str:
    headers = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"echo"), (b":path", b"/a.B/C"),
               (b"content-type", b"application/grpc"), (b"te", b"trailers")]  # fmt: skip
    return client.ask(headers, EMPTY_MESSAGE).grpc


def test_t16_a_server_refuses_who_is_banned(site: Site) -> None:
    mesh, server = site.mesh, site.mesh.workloads["echo"]
    port = site.serve("echo")
    friend, foe = (caller(mesh.workloads[name], port, server) for name in ("good", "foe"))
    for client in (friend, foe):
        mesh.eventually(lambda client=client: status(client) == "OK", "both are served")
    mesh.meshctl("certificate", "revoke", "--identity", mesh.workloads["foe"].identity, "--reason", "stolen")
    try:
        mesh.eventually(lambda: status(foe) == "PERMISSION_DENIED", "refused on the connection he has")
        assert status(caller(mesh.workloads["foe"], port, server)) == "PERMISSION_DENIED"
        assert status(friend) == "OK"
    finally:
        mesh.meshctl("certificate", "reinstate", "--identity", mesh.workloads["foe"].identity)
    assert status(caller(mesh.workloads["foe"], port, server)) == "PERMISSION_DENIED", (
        "certificates from before the ban stay revoked"
    )
    assert status(friend) == "OK"


class Callers:
    """A process whose channels follow the mesh."""

    def __init__(self, site: Site, name: str) -> None:
        script = TESTS / "e2e" / "proxyless" / "proxyless_client.py"
        self._process = site.run(script, site.bootstrap(name))

    def call(self, target: str = f"{HOST}:7070") -> list[str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        question = {"target": f"xds:///{target}", "credentials": "xds", "timeout": 10}
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answers = list(json.loads(self._process.stdout.readline()))
        sys.stderr.write(f"answered: {answers}\n")  # shown where a test fails
        return answers


def test_t16_a_client_does_not_call_who_is_banned(site: Site) -> None:
    mesh, foe = site.mesh, site.mesh.workloads["foe"]
    key, chain, roots = (
        foe.file(name).read_bytes() for name in ("key.pem", "cert-chain.pem", "root-cert.pem")
    )
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((Anything(),))
    credentials = grpc.ssl_server_credentials([(key, chain)], roots, require_client_auth=True)
    port = server.add_secure_port(f"{foe.address}:0", credentials)
    server.start()
    try:
        endpoint = {"address": foe.address, "ports": {"grpc": port}, "serviceAccount": "foe"}
        entry = {"hosts": [HOST], "location": "MESH_INTERNAL", "resolution": "STATIC",
                 "endpoints": [endpoint], "ports": [{"number": 7070, "name": "grpc", "protocol": "GRPC"}],
                 }  # fmt: skip
        rule = {"host": HOST, "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}}
        mesh.apply(*(
            {"apiVersion": "networking.istio.io/v1", "kind": kind,
             "metadata": {"name": "talk", "namespace": SPACE}, "spec": spec}
            for kind, spec in (("ServiceEntry", entry), ("DestinationRule", rule))
        ))  # fmt: skip
        friend = Callers(site, "good")
        mesh.eventually(lambda: friend.call() == [""], "he is called")
        mesh.meshctl("certificate", "revoke", "--identity", foe.identity, "--reason", "stolen")
        try:
            mesh.eventually(lambda: friend.call()[0].startswith("UNAVAILABLE"), "nobody calls him")
            assert Callers(site, "good").call() != [""]
        finally:
            mesh.meshctl("certificate", "reinstate", "--identity", foe.identity)
        mesh.eventually(lambda: friend.call() == [""], "he is called again")
    finally:
        server.stop(None)


def test_t16_a_certificate_revoked_by_its_serial(site: Site) -> None:
    """Servers refuse whoever shows it, also on open connections; who joined with it is called no more."""
    mesh, server, copied = site.mesh, site.mesh.workloads["echo"], site.copied
    rule = {"host": COPIED, "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}}
    mesh.apply({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
                "metadata": {"name": "copied", "namespace": SPACE}, "spec": rule})  # fmt: skip
    port, friend = site.serve("echo"), Callers(site, "good")
    clients = [caller(mesh.workloads[name], port, server) for name in ("good", "copied")]
    for client in clients:
        mesh.eventually(lambda client=client: status(client) == "OK", "both are served")
    mesh.eventually(lambda: friend.call(f"{COPIED}:{SERVE}") == [""], "he is called")
    serial = x509.load_pem_x509_certificate(copied.file("cert-chain.pem").read_bytes()).serial_number
    mesh.meshctl("certificate", "revoke", "--serial", f"{serial:x}", "--reason", "copied")
    mesh.eventually(lambda: status(clients[1]) == "PERMISSION_DENIED", "refused on the connection he has")
    assert status(caller(copied, port, server)) == "PERMISSION_DENIED"
    assert status(clients[0]) == "OK"
    mesh.eventually(lambda: friend.call(f"{COPIED}:{SERVE}")[0].startswith("UNAVAILABLE"), "nobody calls him")
