"""citadeld's subcommands: making the root, and join tokens through the Unix socket."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import IO, Any

import click
import grpc

from artemon.api.v1 import join_tokens_pb2
from artemon.daemon.audit import check_chain
from artemon.errors import ArtemonError
from citadeld.app import key_room
from citadeld.authority import describe
from citadeld.settings import CitadelSettings

SECONDS = 10.0
_METHOD = "/artemon.v1.JoinTokens/Create"


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), required=True, help="Where the keys will lie.")
@click.option("--trust-domain", default="cluster.local", show_default=True, help="SPIFFE trust domain.")
def init(data_dir: Path, trust_domain: str) -> None:
    """Make the root key and certificate, without starting. Copy them to further replicas."""
    try:
        settings = CitadelSettings.model_validate({"data_dir": data_dir, "trust_domain": trust_domain})
        root = key_room(settings).make_root()
    except (ArtemonError, ValueError) as error:
        click.echo(f"citadeld init: {error}", err=True)
        sys.exit(1)
    click.echo(describe(root))


@click.command("check-audit")
@click.argument("file", type=click.File("rb"))
def check_audit(file: IO[bytes]) -> None:
    """Say whether the lines of an audit log follow from one another."""
    try:
        click.echo(f"{check_chain(file)} lines, none missing, none changed")
    except ArtemonError as error:
        click.echo(f"citadeld check-audit: {error}", err=True)
        sys.exit(1)


@click.group()
def token() -> None:
    """Join tokens, through citadeld's Unix socket."""


@token.command()
@click.option("--namespace", required=True, help="Namespace of the workload.")
@click.option("--service-account", required=True, help="Service account of the workload.")
@click.option("--ttl", type=click.IntRange(0), default=0, help="Lifetime in seconds; 0: citadeld's default.")
@click.option("--uses", type=click.IntRange(1), default=1, show_default=True, help="How many may join.")
@click.option(
    "--socket", type=click.Path(path_type=Path), default="/run/artemon/citadeld.sock", show_default=True
)
def create(namespace: str, service_account: str, ttl: int, uses: int, socket: Path) -> None:
    """Print a new join token. It is shown this once.

    Example: citadeld token create --namespace shop --service-account cart > token
    """
    request = join_tokens_pb2.CreateJoinTokenRequest(
        namespace=namespace, service_account=service_account, ttl_seconds=ttl, uses=uses
    )
    try:
        click.echo(asyncio.run(_create(f"unix:{socket.absolute()}", request)))
    except grpc.aio.AioRpcError as error:
        click.echo(f"citadeld token create: {socket}: {error.details()}", err=True)
        sys.exit(3 if error.code() is grpc.StatusCode.UNAVAILABLE else 1)


async def _create(target: str, request: join_tokens_pb2.CreateJoinTokenRequest) -> str:
    async with grpc.aio.insecure_channel(target) as channel:
        call: Any = channel.unary_unary(
            _METHOD,
            request_serializer=join_tokens_pb2.CreateJoinTokenRequest.SerializeToString,
            response_deserializer=join_tokens_pb2.CreateJoinTokenResponse.FromString,
        )
        answer: join_tokens_pb2.CreateJoinTokenResponse = await call(request, timeout=SECONDS)
    return answer.token
