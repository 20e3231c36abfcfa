"""gRPC servers without a proxy, many in one process, and what tells them whom to let in."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse
from policy_rig import Realm
from servers import dying_with_parent

TEMPLATE = "grpc/server?xds.resource.listening_address=%s"
_CREDENTIALS = {
    "certificate_file": "chain.pem",
    "private_key_file": "key.pem",
    "ca_certificate_file": "root.pem",
}


class Feed:
    """Answers each request for Listeners with those that it names (xDS, state of the world)."""

    def __init__(self, listeners: Mapping[str, bytes]) -> None:
        self._listeners = listeners
        self._server = grpc.server(ThreadPoolExecutor(4))
        method = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=DiscoveryRequest.FromString,
            response_serializer=DiscoveryResponse.SerializeToString,
        )
        service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
        handler = grpc.method_handlers_generic_handler(service, {"StreamAggregatedResources": method})
        self._server.add_generic_rpc_handlers((handler,))
        self.port: int = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def _stream(self, requests: Iterator[DiscoveryRequest], _: Any) -> Iterator[DiscoveryResponse]:
        sent, version = frozenset[str](), 0
        for one in requests:
            assert not one.HasField("error_detail"), one.error_detail
            names = frozenset(one.resource_names)
            if names == sent:
                continue
            sent, version = names, version + 1
            out = DiscoveryResponse(type_url=one.type_url, version_info=str(version), nonce=str(version))
            for name in sorted(names & self._listeners.keys()):
                out.resources.add(type_url=one.type_url, value=self._listeners[name])
            yield out

    def close(self) -> None:
        """Stop it."""
        self._server.stop(None)


def _bootstrap(folder: Path, port: int) -> Path:
    watched = {key: str(folder / name) for key, name in _CREDENTIALS.items()}
    content = {
        "xds_servers": [{
            "server_uri": f"127.0.0.1:{port}",
            "channel_creds": [{"type": "insecure"}],
            "server_features": ["xds_v3"],
        }],
        "node": {"id": "servers"},
        "server_listener_resource_name_template": TEMPLATE,
        "certificate_providers": {"default": {"plugin_name": "file_watcher", "config": watched}},
    }  # fmt: skip
    path = folder / "bootstrap.json"
    path.write_text(json.dumps(content))
    return path


@contextmanager
def serving(
    places: Sequence[tuple[str, int]], listeners: Mapping[str, bytes], realm: Realm
) -> Iterator[None]:
    """Real gRPC servers at `places`, each with the Listener of its address. listeners: by name."""
    made = realm.credentials("cluster.local/ns/default/sa/server")
    for name, content in (("chain.pem", made.chain), ("key.pem", made.key)):
        (realm.folder / name).write_bytes(content)
    feed = Feed(listeners)
    script = str(Path(__file__).with_name("policy_grpc_servers.py"))
    log = realm.folder / "servers.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            dying_with_parent(sys.executable, script),
            env={**os.environ, "GRPC_XDS_BOOTSTRAP": str(_bootstrap(realm.folder, feed.port))},
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
        )
    assert process.stdin is not None
    process.stdin.write("\n".join(f"{address}:{port}" for address, port in places).encode())
    process.stdin.close()
    try:
        deadline = time.monotonic() + 120
        for place in places:
            while not _listens(place):
                assert process.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < deadline, f"nobody listens at {place}: {log.read_text()[-2000:]}"
                time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()
        feed.close()


def _listens(place: tuple[str, int]) -> bool:
    with suppress(OSError), socket.create_connection(place, timeout=5):
        return True
    return False
