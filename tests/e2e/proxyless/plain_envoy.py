"""An Envoy whose bootstrap somebody wrote by hand: no proxyd, the stock binary, pilotd as its server."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.request
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from proxyless_world import ADDRESS, node
from real_envoy import envoy
from servers import dying_with_parent, free_ports

from artemon.daemon.identity_files import Identity

Json = dict[str, Any]
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_HTTP = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


class Page:
    """An HTTP server that says its name."""

    def __init__(self, name: str) -> None:
        self.name = name

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-length", str(len(name)))
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class PlainEnvoy:
    """A running Envoy, used as an HTTP proxy. variant: `GRPC` (state of the world) or `DELTA_GRPC`. serves:
    the ports that it stands before, as in `ARTEMON_PORTS`."""

    def __init__(
        self,
        folder: Path,
        name: str,
        pilot: int,
        variant: str,
        identity: Identity | None,
        serves: Sequence[Json] = (),
    ) -> None:
        self.name = name
        self._proxy, admin = free_ports(2)
        metadata = {"HTTP_PROXY_PORT": str(self._proxy), "INTERCEPTION_MODE": "NONE"}
        if serves:
            metadata["ARTEMON_PORTS"] = json.dumps(serves)
        bootstrap = {
            "node": {
                **node(name, **metadata),
                "cluster": name,
            },
            "admin": {"address": _address(admin)},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": variant,
                    "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "pilotd"}}],
                },
                "cds_config": {"ads": {}, "resource_api_version": "V3"},
                "lds_config": {"ads": {}, "resource_api_version": "V3"},
            },
            "static_resources": {"clusters": [{**_cluster("pilotd", pilot), **_security(identity)}]},
        }
        file = folder / f"{name}.json"
        file.write_text(json.dumps(bootstrap))
        options = ["--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"]
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                dying_with_parent(str(envoy()), "-c", str(file), *options), stdout=log, stderr=log
            )

    def get(self, service: str) -> str:
        """Who answers a request to a host and port of the mesh; "" when nobody does."""
        through = urllib.request.ProxyHandler({"http": f"http://{ADDRESS}:{self._proxy}"})
        try:
            with urllib.request.build_opener(through).open(f"http://{service}/", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name: str, port: int) -> Json:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}]
    http2 = {"@type": _HTTP, "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "name": name,
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
    }


def _security(identity: Identity | None) -> Json:
    """Mutual TLS to pilotd; without an identity, none."""
    if identity is None:
        return {}
    own = {
        "certificate_chain": {"inline_string": identity.cert_chain_pem.decode()},
        "private_key": {"inline_string": identity.key_pem.decode()},
    }
    context = {
        "@type": _TLS,
        "sni": "localhost",
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_certificates": [own],
            "validation_context": {"trusted_ca": {"inline_string": identity.roots_pem.decode()}},
        },
    }
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context}}
