"""First identities: join tokens from citadeld's Unix socket, for those who have no certificate yet."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509

from artemon.api.v1 import join_tokens_pb2 as pb
from artemon.errors import Unavailable
from meshctl.up.layout import CONTROL_PLANE, Layout
from meshctl.up.plan import accounts

CREATE = "/artemon.v1.JoinTokens/Create"
TTL_SECONDS = 600
DEADLINE = 10.0
SOON = timedelta(minutes=1)


async def hand_out(layout: Layout, *, demo: bool) -> int:
    """Write a token file (0600) for everyone without a certificate; how many. Raises Unavailable."""
    missing = [row for row in accounts(demo=demo) if not _has_identity(layout, row[0])]
    if not missing:
        return 0
    try:
        async with grpc.aio.insecure_channel(f"unix:{layout.citadeld_socket}") as channel:
            call: Any = channel.unary_unary(
                CREATE,
                request_serializer=pb.CreateJoinTokenRequest.SerializeToString,
                response_deserializer=pb.CreateJoinTokenResponse.FromString,
            )
            answers = await asyncio.gather(*(call(_request(*row[1:]), timeout=DEADLINE) for row in missing))
    except grpc.aio.AioRpcError as error:
        raise Unavailable(f"citadeld gave no join tokens: {error.details()}") from error
    for (name, _, _), answer in zip(missing, answers, strict=True):
        _write_private(layout.token(name), answer.token)
    return len(missing)


def _request(namespace: str, account: str) -> pb.CreateJoinTokenRequest:
    return pb.CreateJoinTokenRequest(namespace=namespace, service_account=account, ttl_seconds=TTL_SECONDS)


def _has_identity(layout: Layout, name: str) -> bool:
    """Whether there is a certificate that is good for a while."""
    folder = layout.data(name) / "identity" if name in CONTROL_PLANE else layout.data(name)
    try:
        chain = x509.load_pem_x509_certificates((folder / "cert-chain.pem").read_bytes())
    except (OSError, ValueError):
        return False
    return (folder / "key.pem").exists() and chain[0].not_valid_after_utc > datetime.now(UTC) + SOON


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
