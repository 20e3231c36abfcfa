"""A real pilotd over a registry in a file, gRPC servers, and clients without a proxy."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import grpc
from servers import dying_with_parent, free_ports, wait_listening

from artemon.daemon.identity_files import Identity, make_identity, save_identity
from artemon.daemon.identity_tls import server_name
from artemon.pki.certificate import Authority, Leaf, chain_pem, make_leaf, make_root, serial_number
from artemon.pki.keys import generate_key, private_pem
from artemon.pki.spiffe import SpiffeId
from artemon.store.open import open_store

ROOT = Path(__file__).parents[3]
PLURALS = {
    "ServiceEntry": "serviceentries",
    "VirtualService": "virtualservices",
    "DestinationRule": "destinationrules",
    "PeerAuthentication": "peerauthentications",
    "RequestAuthentication": "requestauthentications",
    "AuthorizationPolicy": "authorizationpolicies",
}
SECURITY = {"PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy"}
PATIENCE = 15.0
ADDRESS = "127.0.0.7"
"""Of clients; servers are elsewhere."""
Answers = dict[str, int]


class Realm:
    """A trust domain with one authority."""

    def __init__(self) -> None:
        key = generate_key()
        root = make_root(key, "cluster.local", serial=_serial(), now=_now(), lifetime=timedelta(hours=10))
        self._authority = Authority(root, key)

    def identity(self, namespace: str, account: str, *names: str) -> Identity:
        key, spiffe = generate_key(), SpiffeId("cluster.local", namespace, account)
        leaf = Leaf(spiffe, key.public_key(), timedelta(hours=1), names)
        certificate = make_leaf(leaf, self._authority, serial=_serial(), now=_now())
        return make_identity(
            spiffe,
            chain_pem=chain_pem([certificate]),
            key_pem=private_pem(key),
            roots_pem=chain_pem([self._authority.certificate]),
            now=_now(),
        )


def _serial() -> int:
    return serial_number(secrets.token_bytes(20))


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class Server(Protocol):
    """An instance of a service."""

    name: str
    port: int


class Echo:
    """A gRPC server that says its name: at once (`Who`), when nobody waits any more or after ten seconds
    (`Slow`), or after as many failures as it was told (`Fail`). With an identity: over mutual TLS."""

    def __init__(self, name: str, identity: Identity | None = None) -> None:
        self.name, self.failures, self.calls = name, 0, 0
        methods = {"Who": self._who, "Fail": self._fail, "Slow": self._slow}
        handlers = {key: grpc.unary_unary_rpc_method_handler(one) for key, one in methods.items()}
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("demo.Echo", handlers),))
        self.port = self._listen(identity)
        self._server.start()

    def _listen(self, identity: Identity | None) -> int:
        if identity is None:
            return self._server.add_insecure_port("127.0.0.1:0")
        own = [(identity.key_pem, identity.cert_chain_pem)]
        mutual = grpc.ssl_server_credentials(own, identity.roots_pem, require_client_auth=True)
        return self._server.add_secure_port("127.0.0.1:0", mutual)

    def _who(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls += 1
        return self.name.encode()

    def _fail(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls += 1
        if self.failures:
            self.failures -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "as told")
        return self.name.encode()

    def _slow(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        end = time.monotonic() + 10
        while context.is_active() and time.monotonic() < end:
            time.sleep(0.02)
        return self.name.encode()

    def stop(self) -> None:
        self._server.stop(0).wait()


class Pilot:
    """A pilotd process, and the registry that it reads."""

    def __init__(self, folder: Path, realm: Realm) -> None:
        self.folder, self.realm = folder, realm
        self.registry = f"sqlite://{folder}/mesh.db"
        self.port, self.plaintext, self._http = free_ports(3)
        names = (server_name("pilotd"), "localhost")
        save_identity(folder / "identity", realm.identity("artemon-system", "pilotd", *names))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        flags = {
            "registry": self.registry,
            "data-dir": self.folder / "pilotd",
            "identity-dir": self.folder / "identity",
            "listen": f"127.0.0.1:{self.port}",
            "plaintext-listen": f"127.0.0.1:{self.plaintext}",
            "http": f"127.0.0.1:{self._http}",
            "node": "pilot-1",
            "config-signatures": "off",
            "jwks-refresh": 0.5,
            "jwks-allow": "127.0.0.1",
        }
        options = [text for name, value in flags.items() for text in (f"--{name}", str(value))]
        command = dying_with_parent(sys.executable, "-m", "pilotd", *options)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (self.folder / "pilotd.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        wait_listening(self.plaintext)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(15)
            self._process = None

    @property
    def log(self) -> str:
        return (self.folder / "pilotd.log").read_text()

    async def apply(self, kind: str, name: str, spec: Mapping[str, Any] | None) -> None:
        """Write an object of namespace `books`; None deletes it."""
        store = await open_store(self.registry)
        key = f"artemon/default/config/{PLURALS[kind]}/books/{name}"
        group = "security" if kind in SECURITY else "networking"
        meta = {"name": name, "namespace": "books"}
        value = {"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}
        try:
            if spec is None:
                await store.delete(key)
            else:
                await store.put(key, json.dumps(value).encode())
        finally:
            await store.close()

    async def serve(self, name: str, *servers: Server, protocol: str = "grpc") -> str:
        """A service of these servers, each labelled with its name as version; its host and port."""
        endpoints = [
            {"address": "127.0.0.1", "ports": {protocol: one.port}, "labels": {"version": one.name}}
            for one in servers
        ]
        host = f"{name}.books.svc.cluster.local"
        ports = [{"number": 7070, "name": protocol, "protocol": protocol.upper()}]
        spec = {"hosts": [host], "location": "MESH_INTERNAL", "resolution": "STATIC"}
        await self.apply("ServiceEntry", name, {**spec, "ports": ports, "endpoints": endpoints})
        return f"{host}:7070"


def node(name: str, **metadata: str) -> dict[str, Any]:
    """The node of a client of namespace `books`."""
    known = {"NAMESPACE": "books", "SERVICE_ACCOUNT": "reviews"}
    return {
        "id": f"sidecar~{ADDRESS}~{name}.books~books.svc.cluster.local",
        "metadata": {**known, **metadata},
    }


def bootstrap(address: str, name: str, certificates: Path) -> dict[str, Any]:
    """What GRPC_XDS_BOOTSTRAP points to. certificates: the folder of an identity."""
    files = {
        "certificate_file": "cert-chain.pem",
        "private_key_file": "key.pem",
        "ca_certificate_file": "root-cert.pem",
    }
    watched = {key: str(certificates / file) for key, file in files.items()}
    server = {"server_uri": address, "channel_creds": [{"type": "insecure"}]}
    return {
        "xds_servers": [{**server, "server_features": ["xds_v3"]}],
        "node": node(name, GENERATOR="grpc"),
        "certificate_providers": {"default": {"plugin_name": "file_watcher", "config": watched}},
    }


class Application:
    """A process whose gRPC channels follow a bootstrap."""

    def __init__(self, folder: Path, content: Mapping[str, Any]) -> None:
        file = folder / f"grpc-{secrets.token_hex(4)}.json"
        file.write_text(json.dumps(content))
        script = Path(__file__).with_name("proxyless_client.py")
        self._process = subprocess.Popen(
            dying_with_parent(sys.executable, str(script)),
            env={**os.environ, "GRPC_XDS_BOOTSTRAP": str(file), "GRPC_VERBOSITY": "ERROR"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def call(self, service: str, **options: Any) -> Answers:
        """Who answered, and how often."""
        return await asyncio.to_thread(self._call, {"target": f"xds:///{service}", **options})

    def _call(self, request: Mapping[str, Any]) -> Answers:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answers: Answers = json.loads(self._process.stdout.readline())
        return answers

    async def until(self, wanted: Callable[[Answers], bool], service: str, **options: Any) -> Answers:
        """The first answers that are as `wanted`."""
        answers: Answers = {}
        try:
            async with asyncio.timeout(PATIENCE):
                while not wanted(answers := await self.call(service, **options)):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{service}: last answers {answers}") from None
        return answers

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


def only(*names: str) -> Callable[[Answers], bool]:
    """Answers from exactly these servers."""
    return lambda answers: set(answers) == set(names)
