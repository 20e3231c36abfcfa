"""Secrets over xDS: to the gateway that refers to them, to nobody else, and never readable elsewhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from envoy.service.discovery.v3 import discovery_pb2
from pilot_clients import Client, Mesh, identity, mesh, node, until

from artemon.daemon.secrets_key import make_key_file, vault_of
from artemon.xds.types import LISTENER, SECRET
from pilotd.discovery import Options

WEB, ROOTS = "kubernetes://web", "kubernetes://web-cacert"
KEY = b"-----BEGIN PRIVATE KEY-----\ncanary-of-the-key\n"
DATA = {"tls.crt": b"chain", "tls.key": KEY, "ca.crt": b"roots", "ca.crl": b"revoked"}


class Site:
    """A mesh with a gateway in namespace `edge`."""

    def __init__(self, running: Mesh, keys: Path) -> None:
        self.running, self._vault = running, vault_of("default", str(keys))

    async def keep(
        self, name: str = "web", *, space: str = "edge", generation: int = 1, **annotations: str
    ) -> None:
        data = {**DATA, "tls.crt": f"chain {space} {generation}".encode()}
        place = {"namespace": space, "name": name, "generation": generation}
        notes = {f"artemon.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
        value = {
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {**place, "annotations": notes}, "sealed": self._vault.seal(data, **place),
        }  # fmt: skip
        await self.running.write(f"secrets/{space}/{name}", value)

    async def open(self, credential: str = "web", *, space: str = "edge", mode: str = "MUTUAL") -> None:
        port = {"number": 443, "name": "https", "protocol": "HTTPS"}
        server = {"port": port, "hosts": ["*"], "tls": {"mode": mode, "credentialName": credential}}
        value = {
            "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
            "metadata": {"name": "gw", "namespace": space},
            "spec": {"selector": {"istio": "edge"}, "servers": [server]},
        }  # fmt: skip
        await self.running.write(f"config/gateways/{space}/gw", value)

    async def lend(self, *, name: str = "", space: str = "shop", to: str = "edge") -> None:
        """Secrets of `space`, or one of them, to Gateways of `to`."""
        asking = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": to}
        target = {"group": "", "kind": "Secret", **({"name": name} if name else {})}
        value = {
            "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
            "metadata": {"name": "lend", "namespace": space}, "spec": {"from": [asking], "to": [target]},
        }  # fmt: skip
        await self.running.write(f"config/referencegrants/{space}/lend", value)

    def proxy(
        self, kind: str = "router", *, space: str = "edge", account: str = "gateway", **labels: str
    ) -> Client:
        first = node()
        first.node.id = f"{kind}~127.0.1.9~{account}.{space}~{space}.svc.cluster.local"
        first.node.metadata.Clear()
        own: dict[str, Any] = {"NAMESPACE": space, "SERVICE_ACCOUNT": account}
        first.node.metadata.update({**own, "LABELS": {"istio": "edge", **labels}})
        return self.running.connect(first, peer=identity(space, account))


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    make_key_file(folder / "keys")
    async with mesh(options=Options(pilot="a", secrets_key_file=str(folder / "keys"))) as running:
        yield Site(running, folder / "keys")


async def refused(client: Client, *names: str) -> None:
    """Return when the client was told that there are none; fail when it got one."""
    client.ask(SECRET, *names)
    await until(lambda: set(names) <= {n for one in client.taken for n in one.removed_resources})
    assert not client.held.get(SECRET)


async def test_a_gateway_gets_what_it_refers_to_and_its_renewal(tmp_path: Path) -> None:
    async with site(tmp_path) as edge:
        await edge.keep()
        await edge.open()
        client = edge.proxy()
        client.ask(LISTENER)
        client.ask(SECRET, WEB, ROOTS)
        await client.until(SECRET, WEB, b"chain edge 1")
        await client.until(SECRET, ROOTS, b"revoked")
        await client.until(LISTENER, "0.0.0.0_443")
        assert Secret.FromString(client.held[SECRET][WEB]).tls_certificate.private_key.inline_bytes == KEY
        assert KEY not in client.held[SECRET][ROOTS]
        before = [one for one in client.taken if one.type_url == LISTENER]
        await edge.keep(generation=2)
        await client.until(SECRET, WEB, b"chain edge 2")
        assert [one for one in client.taken if one.type_url == LISTENER] == before
        await edge.running.store.delete("artemon/default/secrets/edge/web")
        await until(lambda: WEB not in client.held[SECRET])


@pytest.mark.parametrize(
    "proxy",
    [
        pytest.param({"space": "other"}, id="another-namespace"),
        pytest.param({"kind": "sidecar"}, id="sidecar"),
        pytest.param({"istio": "inner"}, id="not-selected"),
        pytest.param({"account": "thief"}, id="another-account"),
    ],
)
async def test_nobody_else_gets_it(tmp_path: Path, proxy: dict[str, str]) -> None:
    async with site(tmp_path) as edge:
        await edge.keep(service_accounts="gateway, second")
        await edge.open()
        await edge.open(space="other", credential="kubernetes-gateway://edge/web")
        owner = edge.proxy()
        owner.ask(SECRET, WEB)
        await owner.until(SECRET, WEB)
        thief = edge.proxy(**proxy)
        await refused(
            thief, WEB, ROOTS, "kubernetes-gateway://edge/web", "kubernetes-gateway://edge/web-cacert"
        )


async def test_a_reference_grant_lends_a_secret_as_long_as_it_is_there(tmp_path: Path) -> None:
    lent = "kubernetes-gateway://shop/web"
    async with site(tmp_path) as edge:
        await edge.keep(space="shop")
        await edge.open(lent, mode="SIMPLE")
        client = edge.proxy()
        await refused(client, lent)
        await edge.lend()
        await client.until(SECRET, lent, b"chain shop 1")
        await edge.keep(space="shop", generation=2)
        await client.until(SECRET, lent, b"chain shop 2")
        await edge.lend(name="other")
        await until(lambda: lent not in client.held[SECRET])


async def test_what_is_lent_to_one_namespace_is_not_lent_to_another(tmp_path: Path) -> None:
    lent = "kubernetes-gateway://shop/web"
    async with site(tmp_path) as edge:
        await edge.keep(space="shop")
        await edge.open(lent, mode="SIMPLE")
        await edge.open(lent, space="bank", mode="SIMPLE")
        await edge.lend()
        owner, thief = edge.proxy(), edge.proxy(space="bank")
        owner.ask(SECRET, lent)
        await owner.until(SECRET, lent)
        await refused(thief, lent)


async def test_equal_names_of_two_namespaces_are_two_secrets(tmp_path: Path) -> None:
    async with site(tmp_path) as edge:
        clients = {}
        for space in ("edge", "shop"):
            await edge.keep(space=space)
            await edge.open(space=space)
            clients[space] = edge.proxy(space=space)
            clients[space].ask(SECRET, WEB)
        for space, client in clients.items():
            await client.until(SECRET, WEB, f"chain {space} 1".encode())


async def test_a_secret_that_is_not_referred_to_is_not_given(tmp_path: Path) -> None:
    async with site(tmp_path) as edge:
        await edge.keep("spare")
        await edge.keep()
        await edge.open(mode="SIMPLE")
        client = edge.proxy()
        await refused(client, "kubernetes://spare", ROOTS)
        client.ask(SECRET, WEB)
        await client.until(SECRET, WEB)


async def test_values_that_were_moved_or_changed_do_not_open(tmp_path: Path) -> None:
    async with site(tmp_path) as edge:
        await edge.open()
        await edge.keep("decoy")
        moved = await edge.running.value("secrets/edge/decoy")
        assert moved is not None
        moved["metadata"]["name"] = "web"
        await edge.running.write("secrets/edge/web", moved)
        await until(lambda: "secrets/edge/web" in edge.running.discovery.world.problems)
        (problem,) = edge.running.discovery.world.problems["secrets/edge/web"]
        assert "moved from another place" in str(problem)
        await refused(edge.proxy(), WEB)


async def test_debug_pages_and_plain_streams_tell_nothing(tmp_path: Path) -> None:
    async with site(tmp_path) as edge:
        await edge.keep()
        await edge.open()
        client = edge.proxy()
        client.ask(SECRET, WEB, "kubernetes://absent")
        await client.until(SECRET, WEB)
        page = "/debug/config_dump?proxyID=gateway.edge"
        await until(lambda: b"absent" in edge.running.discovery.pages.page(page)[1])
        _, body = edge.running.discovery.pages.page(page)
        told = {one["name"]: one["delivered"] for one in json.loads(body)["secrets"]}
        assert told == {WEB: True, "kubernetes://absent": False}
        assert b"canary" not in body
        assert b"Y2FuYXJ5" not in body
        assert b"canary" not in edge.running.discovery.pages.page("/debug/problems")[1]
    assert isinstance(client.taken[0], discovery_pb2.DeltaDiscoveryResponse)


async def test_whom_everyone_trusts_is_kept_once_for_all(tmp_path: Path) -> None:
    async with site(tmp_path) as edge:
        await edge.running.write("trust/bundle", {"roots": ["one root"]})
        clients = [edge.proxy(), edge.proxy(space="shop")]
        for client in clients:
            client.ask(SECRET, "ROOTCA")
            await client.until(SECRET, "ROOTCA", b"one root")
        desired = [one.mailbox.value for one in edge.running.discovery.fleet.clients]
        one, other = (each.resources[SECRET].items["ROOTCA"] for each in desired if each is not None)
        assert one is other


async def test_contention_of_gateways_is_counted_and_told(tmp_path: Path) -> None:
    async with site(tmp_path) as edge:
        await edge.open()
        await edge.open(space="other")
        problems = edge.running.discovery.pages.page
        await until(lambda: b"Gateway edge/gw, which is older, has it" in problems("/debug/problems")[1])
        told = json.loads(problems("/debug/problems")[1])
        assert list(told) == ["config/gateways/other/gw"]
        await edge.open(space="other", mode="PASSTHROUGH")
        await edge.running.store.delete("artemon/default/config/gateways/edge/gw")
        await until(lambda: json.loads(problems("/debug/problems")[1]) == {})
