"""gRPC servers without a proxy let in whom policies let in, and never fail open."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from proxyless_world import ADDRESS, PATIENCE, Pilot, bootstrap
from servers import dying_with_parent, free_ports

from artemon.daemon.identity_files import Identity, save_identity

pytestmark = pytest.mark.e2e


class Server:
    """A process that serves; `call` asks it over mutual TLS or in plaintext."""

    def __init__(self, folder: Path, pilot: Pilot) -> None:
        (self.port,) = free_ports(1)
        save_identity(folder / "identity", pilot.realm.identity("books", "reviews", "localhost"))
        content = bootstrap(f"127.0.0.1:{pilot.plaintext}", "served-1", folder / "identity")
        content["server_listener_resource_name_template"] = "grpc/server?xds.resource.listening_address=%s"
        serves = [{"number": self.port, "name": "grpc", "protocol": "GRPC", "listenPort": self.port}]
        content["node"]["metadata"]["ARTEMON_PORTS"] = json.dumps(serves)
        file = folder / "bootstrap.json"
        file.write_text(json.dumps(content))
        script = str(Path(__file__).with_name("proxyless_server.py"))
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            dying_with_parent(sys.executable, script, f"{ADDRESS}:{self.port}"),
            env={**os.environ, "GRPC_XDS_BOOTSTRAP": str(file)},
            stdout=self._log,
            stderr=self._log,
        )

    def call(self, identity: Identity | None, method: str = "Who", **headers: str) -> str:
        """What comes back: `served`, or the name of the status."""
        target = f"{ADDRESS}:{self.port}"
        if identity is None:
            channel = grpc.insecure_channel(target)
        else:
            credentials = grpc.ssl_channel_credentials(
                identity.roots_pem, identity.key_pem, identity.cert_chain_pem
            )
            names = (("grpc.ssl_target_name_override", "localhost"),)
            channel = grpc.secure_channel(target, credentials, options=names)
        with channel:
            metadata = tuple((name.replace("_", "-"), value) for name, value in headers.items())
            try:
                ask = channel.unary_unary(f"/demo.Echo/{method}")
                return str(ask(b"", timeout=10, metadata=metadata, wait_for_ready=False).decode())
            except grpc.RpcError as error:
                return str(error.code().name)

    async def until(self, wanted: str, *arguments: Any, **headers: str) -> None:
        found = ""
        try:
            async with asyncio.timeout(4 * PATIENCE):
                while (found := await asyncio.to_thread(self.call, *arguments, **headers)) != wanted:
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(
                f"{found}, not {wanted}: {Path(self._log.name).read_text()[-2000:]}"
            ) from None

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()


@pytest.fixture
def server(pilot: Pilot, tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path, pilot)
    yield one
    one.stop()


async def test_policies_on_requests(pilot: Pilot, server: Server) -> None:
    await server.until("served", None)
    rules = [{"to": [{"operation": {"paths": ["/demo.Echo/Admin"]}}]},
             {"when": [{"key": "request.headers[x-role]", "values": ["guest"]}]}]  # fmt: skip
    try:
        await pilot.apply("AuthorizationPolicy", "no-admin", {"action": "DENY", "rules": rules})
        await server.until("PERMISSION_DENIED", None, "Admin")
        assert server.call(None, x_role="guest") == "PERMISSION_DENIED"
        assert server.call(None, x_role="a, guest") == "PERMISSION_DENIED"
        assert server.call(None) == "served"
        asks = {"action": "CUSTOM", "provider": {"name": "nobody"}, "rules": [{}]}
        await pilot.apply("AuthorizationPolicy", "asks", asks)
        await server.until("PERMISSION_DENIED", None)
        await pilot.apply("AuthorizationPolicy", "asks", None)
        await server.until("served", None)
        tokens = {"rules": [{"from": [{"source": {"requestPrincipals": ["*"]}}]}]}
        await pilot.apply("AuthorizationPolicy", "tokens", tokens)
        await server.until("PERMISSION_DENIED", None)
    finally:
        for name in ("no-admin", "asks", "tokens"):
            await pilot.apply("AuthorizationPolicy", name, None)
    await server.until("served", None, "Admin")


async def test_policies_on_callers(pilot: Pilot, server: Server) -> None:
    friend, other = (pilot.realm.identity("books", name) for name in ("page", "other"))
    rule = {"from": [{"source": {"serviceAccounts": ["page"]}}]}
    try:
        await pilot.apply("PeerAuthentication", "strict", {"mtls": {"mode": "STRICT"}})
        await server.until("served", other)
        assert server.call(None) == "UNAVAILABLE", "plaintext to a strict server"
        await pilot.apply("AuthorizationPolicy", "friends", {"rules": [rule]})
        await server.until("PERMISSION_DENIED", other)
        assert server.call(friend) == "served"
    finally:
        await pilot.apply("AuthorizationPolicy", "friends", None)
        await pilot.apply("PeerAuthentication", "strict", None)


async def test_tokens_that_grpc_cannot_check_close_it(pilot: Pilot, server: Server) -> None:
    await server.until("served", None)
    keys = '{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}'
    try:
        await pilot.apply("RequestAuthentication", "t", {"jwtRules": [{"issuer": "i", "jwks": keys}]})
        await server.until("UNAVAILABLE", None)
    finally:
        await pilot.apply("RequestAuthentication", "t", None)
