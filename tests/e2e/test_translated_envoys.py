"""Real Envoys run what `meshctl translate` prints: mutual TLS between them, nothing else gets in."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from real_envoy import envoy
from servers import dying_with_parent, free_ports
from translated_proxy import SPIFFE, Authority, printed

pytestmark = [pytest.mark.envoy, pytest.mark.e2e]
SERVER, CLIENT, EDGE = "127.0.40.2", "127.0.40.3", "127.0.40.4"
GATEWAY = {"app": "gateway"}


class Echo(BaseHTTPRequestHandler):
    """Answers with the headers of the request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Pair:
    """The ports of HTTP proxy, server and gateway, and a folder of the mesh's certificates."""

    proxy: int
    server: int
    gateway: int
    folder: Path

    def ask(self, url: str) -> tuple[int, bytes]:
        """What the application behind the client's sidecar gets."""
        connection = http.client.HTTPConnection(CLIENT, self.proxy, timeout=5)
        connection.request("GET", url)
        answer = connection.getresponse()
        return answer.status, answer.read()


def mesh(listen: int, sniffed: int) -> str:
    ports = {"http": listen, "auto": sniffed}
    endpoint = {"address": SERVER, "ports": ports, "serviceAccount": "reviews"}
    entry = {
        "hosts": ["reviews.default.svc.cluster.local"], "location": "MESH_INTERNAL", "resolution": "STATIC",
        "ports": [{"number": 9080, "name": "http", "protocol": "HTTP"}, {"number": 9081, "name": "auto"}],
        "endpoints": [endpoint],
    }  # fmt: skip
    web = {"number": 80, "name": "http", "protocol": "HTTP"}
    server = {"port": web, "hosts": ["shop.example.com"], "bind": EDGE}
    target = {"host": "reviews", "port": {"number": 9080}}
    route = {"route": [{"destination": target}], "rewrite": {"uri": "/"}}
    route |= {"match": [{"uri": {"prefix": "/reviews"}}]}
    shop = {"hosts": ["shop.example.com"], "gateways": ["public"], "http": [route]}
    objects = [
        ("networking.istio.io/v1", "ServiceEntry", "reviews", entry),
        ("networking.istio.io/v1", "Gateway", "public", {"selector": GATEWAY, "servers": [server]}),
        ("networking.istio.io/v1", "VirtualService", "shop", shop),
        ("security.istio.io/v1", "PeerAuthentication", "default", {"mtls": {"mode": "STRICT"}}),
    ]  # fmt: skip
    return "\n---\n".join(
        json.dumps({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})
        for version, kind, name, spec in objects
    )


def translated(folder: Path, name: str, proxy: dict[str, object], certificates: Path) -> Path:
    """The bootstrap that the command line prints for a proxy."""
    path = folder / f"{name}.json"
    path.write_bytes(printed(folder, name, proxy, certificates))
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    binary, folder = envoy(), tmp_path_factory.mktemp("envoys")
    app = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    proxy_port, listen, sniffed, public = free_ports(4)
    (folder / "mesh.yaml").write_text(mesh(listen, sniffed))
    common = {"appPort": app.server_port}
    ports = [
        {"name": "http", "number": 9080, "protocol": "HTTP", "listenPort": listen, **common},
        {"name": "auto", "number": 9081, "listenPort": sniffed, **common},
    ]
    without = {"INTERCEPTION_MODE": "NONE"}
    proxies = {
        "reviews": {"ipAddresses": [SERVER], "metadata": {**without, "ARTEMON_PORTS": ports}},
        "page": {"ipAddresses": [CLIENT], "metadata": {**without, "HTTP_PROXY_PORT": proxy_port}},
        "gateway": {
            "type": "router",
            "labels": GATEWAY,
            "metadata": {"ARTEMON_PORTS": [{"name": "http", "number": 80, "listenPort": public}]},
        },
    }
    authority, processes = Authority(), []
    for name, proxy in proxies.items():
        path = translated(folder, name, proxy, authority.issue(folder / "certs" / name, name))
        options = ["--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]
        processes.append(subprocess.Popen(dying_with_parent(str(binary), "-c", str(path), *options)))
    running = Pair(proxy_port, listen, public, folder)
    until_answered(running)
    yield running
    for process in processes:
        process.kill()
        process.wait()
    app.shutdown()


def until_answered(pair: Pair) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            gateway = through_gateway(pair, "shop.example.com", "/reviews")
            if pair.ask("http://reviews:9080/")[0] == 200 and gateway[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail("the Envoys do not serve after 30 s")


def test_nobody_else_may_act_in_the_name_of_the_client(pair: Pair) -> None:
    stranger = http.client.HTTPConnection(CLIENT, pair.proxy, timeout=5, source_address=("127.0.40.9", 0))
    with pytest.raises((ConnectionError, http.client.BadStatusLine)):
        status(stranger)


def tls(certificates: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificates is not None:
        context.load_cert_chain(certificates / "cert-chain.pem", certificates / "key.pem")
    return context


@pytest.mark.parametrize("port", [pytest.param(9080, id="http"), pytest.param(9081, id="sniffed")])
def test_the_application_learns_who_called(pair: Pair, port: int) -> None:
    status, body = pair.ask(f"http://reviews.default:{port}/who")
    assert status == 200
    caller = json.loads(body)["x-forwarded-client-cert"]
    assert f"URI={SPIFFE.format('page')}" in caller
    assert f"By={SPIFFE.format('reviews')}" in caller


@pytest.mark.parametrize("url", ["http://nowhere:9080/", "http://reviews:9999/"])
def test_unknown_hosts_and_ports_are_not_reached(pair: Pair, url: str) -> None:
    assert pair.ask(url)[0] >= 500


def through_gateway(pair: Pair, host: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(EDGE, pair.gateway, timeout=5)
    connection.request("GET", path, headers={"Host": host, "X-Forwarded-Client-Cert": "URI=spiffe://forged"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_gateway_calls_in_its_own_name(pair: Pair) -> None:
    status, body = through_gateway(pair, "shop.example.com", "/reviews/1")
    assert status == 200
    headers = json.loads(body)
    assert f"URI={SPIFFE.format('gateway')}" in headers["x-forwarded-client-cert"]
    assert "forged" not in headers["x-forwarded-client-cert"]
    assert headers["x-envoy-original-path"] == "/reviews/1"


@pytest.mark.parametrize(("host", "path"), [("shop.example.com", "/"), ("other.example.com", "/reviews")])
def test_the_gateway_serves_nothing_else(pair: Pair, host: str, path: str) -> None:
    assert through_gateway(pair, host, path)[0] == 404


def status(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/")
    return connection.getresponse().status


def test_plaintext_is_refused(pair: Pair) -> None:
    connection = http.client.HTTPConnection(SERVER, pair.server, timeout=5)
    with pytest.raises((ConnectionError, http.client.BadStatusLine)):
        status(connection)


def test_a_certificate_of_the_mesh_gets_in(pair: Pair) -> None:
    context = tls(pair.folder / "certs" / "page")
    assert status(http.client.HTTPSConnection(SERVER, pair.server, timeout=5, context=context)) == 200


@pytest.mark.parametrize("who", ["nobody", "stranger"])
def test_no_other_certificate_does(pair: Pair, who: str, tmp_path: Path) -> None:
    context = tls(Authority().issue(tmp_path / who, "page") if who == "stranger" else None)
    connection = http.client.HTTPSConnection(SERVER, pair.server, timeout=5, context=context)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        status(connection)
