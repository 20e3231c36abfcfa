"""The gRPC edge: mutual TLS, both variants, the debug service, and who may use what."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2
from pilot_clients import Mesh, mesh, node

from artemon.api.v1.debug_pb2 import DebugRequest, DebugResponse
from artemon.daemon.identity_files import Identity, make_identity
from artemon.daemon.identity_tls import (
    channel_options,
    grpc_channel_credentials,
    grpc_server_credentials,
    server_name,
)
from artemon.pki.certificate import Authority, Leaf, chain_pem, make_leaf, make_root, serial_number
from artemon.pki.keys import generate_key, private_pem
from artemon.pki.spiffe import SpiffeId
from artemon.xds.types import CLUSTER, ENDPOINTS
from pilotd.server import listening

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
REVIEWS = "outbound|9080||reviews.books.svc.cluster.local"


class Realm:
    """A trust domain with one authority."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)
        key = generate_key()
        root = make_root(key, "cluster.local", serial=_serial(), now=self.now, lifetime=timedelta(hours=10))
        self.authority = Authority(root, key)

    def identity(self, namespace: str, account: str) -> Identity:
        key, spiffe = generate_key(), SpiffeId("cluster.local", namespace, account)
        names = (server_name(account),) if namespace == "artemon-system" else ()
        leaf = Leaf(spiffe, key.public_key(), timedelta(hours=1), names)
        certificate = make_leaf(leaf, self.authority, serial=_serial(), now=self.now)
        return make_identity(
            spiffe,
            chain_pem=chain_pem([certificate]),
            key_pem=private_pem(key),
            roots_pem=chain_pem([self.authority.certificate]),
            now=self.now,
        )


def _serial() -> int:
    return serial_number(os.urandom(20))


@pytest.fixture(scope="module")
def realm() -> Realm:
    return Realm()


@asynccontextmanager
async def serving(realm: Realm) -> AsyncIterator[tuple[Mesh, int]]:
    own = realm.identity("artemon-system", "pilotd")
    async with mesh() as running:
        discovery = running.discovery
        credentials = grpc_server_credentials(lambda: own)
        page = discovery.pages.page
        async with listening("127.0.0.1:0", discovery.serving, page, credentials=credentials) as port:
            yield running, port


def channel(port: int, identity: Identity) -> grpc.aio.Channel:
    return grpc.aio.secure_channel(
        f"127.0.0.1:{port}", grpc_channel_credentials(identity), options=channel_options("pilotd")
    )


async def test_delta_over_mutual_tls(realm: Realm) -> None:
    async with serving(realm) as (_, port), channel(port, realm.identity("books", "reviews")) as open_channel:
        call = open_channel.stream_stream(f"{ADS}DeltaAggregatedResources")()
        await call.write(node().SerializeToString())
        response = discovery_pb2.DeltaDiscoveryResponse.FromString(await call.read())
        assert response.type_url == CLUSTER
        assert "inbound|9080||" in [one.name for one in response.resources]


async def test_state_of_the_world_over_mutual_tls(realm: Realm) -> None:
    async with serving(realm) as (_, port), channel(port, realm.identity("books", "reviews")) as open_channel:
        call = open_channel.stream_stream(f"{ADS}StreamAggregatedResources")()
        first = discovery_pb2.DiscoveryRequest(node=node().node, type_url=CLUSTER)
        await call.write(first.SerializeToString())
        response = discovery_pb2.DiscoveryResponse()
        while not any(REVIEWS.encode() in one.value for one in response.resources):
            response = discovery_pb2.DiscoveryResponse.FromString(await call.read())
            ack = discovery_pb2.DiscoveryRequest(
                type_url=CLUSTER, response_nonce=response.nonce, version_info=response.version_info
            )
            await call.write(ack.SerializeToString())
        await call.write(
            discovery_pb2.DiscoveryRequest(type_url=ENDPOINTS, resource_names=[REVIEWS]).SerializeToString()
        )
        response = discovery_pb2.DiscoveryResponse.FromString(await call.read())
        assert response.type_url == ENDPOINTS
        assert b"127.0.1.1" in response.resources[0].value


async def test_another_workload_s_node_is_refused(realm: Realm) -> None:
    async with serving(realm) as (_, port), channel(port, realm.identity("books", "ratings")) as open_channel:
        call = open_channel.stream_stream(f"{ADS}DeltaAggregatedResources")()
        await call.write(node().SerializeToString())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "SERVICE_ACCOUNT" in (refused.value.details() or "")


async def test_without_a_certificate_nothing_is_said(realm: Realm) -> None:
    roots = realm.identity("books", "reviews").roots_pem
    async with (
        serving(realm) as (_, port),
        grpc.aio.secure_channel(
            f"127.0.0.1:{port}",
            grpc.ssl_channel_credentials(roots),
            options=channel_options("pilotd"),
        ) as open_channel,
    ):
        call = open_channel.stream_stream(f"{ADS}DeltaAggregatedResources")(timeout=5)
        with suppress(grpc.aio.AioRpcError):
            await call.write(node().SerializeToString())
        assert await call.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        pytest.param(("artemon-system", "galleyd"), "/debug/syncz", 200, id="galleyd"),
        pytest.param(
            ("artemon-system", "admin"), "/debug/config_dump?proxyID=nobody", 404, id="no-such-proxy"
        ),
        pytest.param(("artemon-system", "admin"), "/etc/passwd", 404, id="no-such-page"),
        pytest.param(("books", "reviews"), "/debug/syncz", None, id="a-workload"),
    ],
)
async def test_debug_is_for_system_identities(
    realm: Realm, who: tuple[str, str], path: str, status: int | None
) -> None:
    async with serving(realm) as (_, port), channel(port, realm.identity(*who)) as open_channel:
        get = open_channel.unary_unary(
            "/artemon.v1.Debug/Get",
            request_serializer=DebugRequest.SerializeToString,
            response_deserializer=DebugResponse.FromString,
        )
        if status is not None:
            assert (await get(DebugRequest(path=path))).status == status
            return
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await get(DebugRequest(path=path))
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("/envoy.service.discovery.v3.ClusterDiscoveryService/DeltaClusters", id="other-service"),
        pytest.param(f"{ADS}Nothing", id="other-method"),
        pytest.param(f"{ADS[1:]}DeltaAggregatedResources", id="no-leading-slash"),
    ],
)
async def test_only_named_methods_answer(realm: Realm, method: str) -> None:
    async with serving(realm) as (_, port), channel(port, realm.identity("books", "reviews")) as open_channel:
        call = open_channel.stream_stream(method)(timeout=5)
        with suppress(grpc.aio.AioRpcError):
            await call.write(node().SerializeToString())
        assert await call.code() in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL}


async def test_a_message_over_the_limit_is_refused(realm: Realm) -> None:
    async with serving(realm) as (_, port), channel(port, realm.identity("books", "reviews")) as open_channel:
        call = open_channel.stream_stream(f"{ADS}DeltaAggregatedResources")()
        await call.write(b"x" * (4 * 1024 * 1024 + 1))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert refused.value.code() in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL}
