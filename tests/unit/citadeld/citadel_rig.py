"""A citadeld over a SQLite file, in this process or its own, and what talks to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from prometheus_client import CollectorRegistry
from servers import free_ports

from artemon import log
from artemon.api.v1 import ca_pb2, join_tokens_pb2, trust_pb2
from artemon.daemon.health import Health
from artemon.daemon.identity import IdentityKeeper, IdentityOptions
from artemon.daemon.identity_tls import channel_options
from artemon.daemon.run import Context
from artemon.pki.spiffe import SpiffeId
from citadeld.app import citadeld
from citadeld.settings import CitadelSettings

CART = SpiffeId("cluster.local", "shop", "cart")
CREATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
TOKENS = "/artemon.v1.JoinTokens"


def settings_in(directory: Path, *, registry: Path | None = None, **more: Any) -> CitadelSettings:
    renew, join = free_ports(2)
    values = {
        "data_dir": directory / "ca",
        "registry": f"sqlite://{registry or directory / 'registry.db'}",
        "listen": f"127.0.0.1:{renew}",
        "join_listen": f"127.0.0.1:{join}",
        "socket": directory / "run" / "c.sock",
    }
    return CitadelSettings.model_validate(values | more)


@dataclass
class Rig:
    """One running citadeld and calls to its doors."""

    settings: CitadelSettings
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)

    @property
    def root(self) -> Path:
        return self.settings.data_dir / "root-cert.pem"

    @property
    def audit(self) -> list[bytes]:
        return (self.settings.data_dir / "audit.jsonl").read_bytes().splitlines(keepends=True)

    def count(self, what: str) -> float:
        return self.metrics.get_sample_value(f"citadel_server_{what}_count") or 0

    async def by_socket(self, method: str, request: Message, answer: Any, headers: Sequence[Any] = ()) -> Any:
        async with grpc.aio.insecure_channel(f"unix:{self.settings.socket}") as channel:
            return await call(channel, method, request, answer)

    async def by_token(
        self,
        csr: bytes,
        token: str = "",
        *,
        headers: Sequence[tuple[str, str]] | None = None,
        root: Path | None = None,
    ) -> list[str]:
        headers = [("authorization", f"Bearer {token}")] if headers is None else headers
        credentials = grpc.ssl_channel_credentials((root or self.root).read_bytes())
        return await certificate(self.settings.join_address, credentials, csr, headers)

    async def by_certificate(
        self, credentials: grpc.ChannelCredentials, csr: bytes, **more: Any
    ) -> list[str]:
        return await certificate(self.settings.listen, credentials, csr, **more)

    async def token(self, identity: SpiffeId = CART, **more: Any) -> str:
        request = join_tokens_pb2.CreateJoinTokenRequest(
            namespace=identity.namespace, service_account=identity.service_account, **more
        )
        answer = await self.by_socket(f"{TOKENS}/Create", request, join_tokens_pb2.CreateJoinTokenResponse)
        return str(answer.token)

    async def token_file(self, path: Path, identity: SpiffeId = CART, **more: Any) -> Path:
        path.write_text(await self.token(identity, **more))
        path.chmod(0o600)
        return path

    async def joined(self, directory: Path, identity: SpiffeId = CART, **more: Any) -> IdentityKeeper:
        """A keeper that has joined as `identity`."""
        directory.mkdir(exist_ok=True)
        token = await self.token_file(directory / "token", identity)
        keeper = IdentityKeeper(self.options(directory, identity, join_token_file=str(token)), LOG, **more)
        await keeper.start()
        return keeper

    def options(self, directory: Path, identity: SpiffeId = CART, **more: Any) -> IdentityOptions:
        values: dict[str, Any] = {
            "citadeld": (self.settings.listen,),
            "citadeld_join": (self.settings.join_address,),
            "ca_pin": str(self.root),
        }
        return IdentityOptions(directory / "identity", identity, **(values | more))


LOG = log.Log("test")


async def call(
    channel: grpc.aio.Channel, method: str, request: Message, answer: Any, headers: Sequence[Any] = ()
) -> Any:
    stub: Any = channel.unary_unary(
        method, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
    )
    return await stub(request, timeout=30, metadata=tuple(headers))


async def certificate(
    address: str, credentials: grpc.ChannelCredentials, csr: bytes, headers: Sequence[Any] = (), **more: Any
) -> list[str]:
    request = ca_pb2.IstioCertificateRequest(csr=csr.decode("latin-1"), **more)
    async with grpc.aio.secure_channel(address, credentials, options=channel_options("citadeld")) as channel:
        answer = await call(channel, CREATE, request, ca_pb2.IstioCertificateResponse, headers)
    return list(answer.cert_chain)


async def bundle(address: str, credentials: grpc.ChannelCredentials) -> trust_pb2.Bundle:
    async with grpc.aio.secure_channel(address, credentials, options=channel_options("citadeld")) as channel:
        method = "/artemon.v1.Trust/GetBundle"
        found: trust_pb2.Bundle = await call(channel, method, trust_pb2.GetBundleRequest(), trust_pb2.Bundle)
        return found


@asynccontextmanager
async def running(settings: CitadelSettings) -> AsyncIterator[Rig]:
    """citadeld in this event loop, ready."""
    rig = Rig(settings)
    context = Context(name="citadeld", node="test", log=LOG, health=Health(), metrics=rig.metrics)
    context.health.expect("trust", "not started")
    task = asyncio.ensure_future(citadeld(settings, context))
    ready = asyncio.ensure_future(context.health.wait_ready())
    try:
        await asyncio.wait({task, ready}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            raise reason_of(task)
        assert ready.done()
        yield rig
    finally:
        ready.cancel()
        context.stop.set()
        await asyncio.wait({task}, timeout=60)
        assert task.done()


def reason_of(task: asyncio.Future[None]) -> BaseException:
    """Why a daemon ended, without the groups around it."""
    error = task.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert error is not None
    return error
