"""What a joining agent shows to citadeld, and where: a join token, another issuer's token, the machine's own
certificate, or itself, on a Unix socket of citadeld."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from artemon.daemon.files import read_kept, read_public, read_secret
from artemon.daemon.identity_client import (
    CALL_SECONDS,
    CitadelRefused,
    CitadelUnreachable,
    Signed,
    is_refusal,
    without_roots,
)
from artemon.daemon.identity_options import IdentityOptions

MAX_ANSWER = 256 * 1024


@dataclass(frozen=True, slots=True)
class Proof:
    """addresses: of citadeld, where it is taken. token: a bearer token. key, chain: of a client certificate,
    PEM. An address with a slash is a Unix socket, where the process itself is the proof."""

    addresses: tuple[str, ...]
    token: str = field(default="", repr=False)
    key: bytes | None = field(default=None, repr=False)
    chain: bytes | None = None

    def credentials(self, roots: bytes) -> grpc.ChannelCredentials:
        """For a server that leads to `roots`."""
        return grpc.ssl_channel_credentials(roots, self.key, self.chain)


def read_proof(options: IdentityOptions) -> Proof:
    """What there is to show now. Raises CitadelRefused when there is nothing, InsecureFile when others may
    read a secret."""
    evidence = options.evidence
    if evidence.socket:
        return Proof((evidence.socket,))
    if evidence.machine_cert:
        key = _present(read_secret(Path(evidence.machine_key)), f"machine_key {evidence.machine_key}")
        chain = _present(read_public(Path(evidence.machine_cert)), f"machine_cert {evidence.machine_cert}")
        return Proof(options.machine_addresses, key=key, chain=chain)
    if evidence.token_file:
        name = f"attest_token_file {evidence.token_file}"
        return Proof(options.join_addresses, _text(_present(read_public(Path(evidence.token_file)), name)))
    if not options.join_token_file:
        raise CitadelRefused(
            f"{options.spiffe_id} has no valid certificate in {options.directory} and no join token: "
            "make one with `meshctl join-token create` and set join_token_file"
        )
    name = f"join token file {options.join_token_file}"
    return Proof(options.join_addresses, _text(_present(read_kept(options.join_token_file), name)))


def _present(content: bytes | None, name: str) -> bytes:
    if content is None:
        raise CitadelRefused(f"the {name} does not exist")
    return content


def _text(content: bytes) -> str:
    return content.decode("ascii", "replace").strip()


def is_socket(address: str) -> bool:
    """Whether an address of citadeld is a Unix socket."""
    return "/" in address


async def ask_by_socket(path: str, *, csr: bytes, told: Mapping[str, str]) -> Signed:
    """Have `csr` signed by the citadeld of this machine, which sees what process asks.

    Raises CitadelUnreachable and CitadelRefused, also when others could have made the socket.
    """
    await asyncio.to_thread(_check_owner, Path(path))
    question = json.dumps({"csr": csr.decode(), **told}).encode() + b"\n"
    try:
        async with asyncio.timeout(CALL_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path, limit=MAX_ANSWER)
            try:
                writer.write(question)
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, ValueError, TimeoutError) as error:
        raise CitadelUnreachable(f"citadeld at {path} does not answer: {error or 'timeout'}") from error
    return _signed(line)


def _check_owner(path: Path) -> None:
    try:
        folder = path.parent.stat()
    except OSError as error:
        raise CitadelUnreachable(f"{path}: {error.strerror}") from error
    if folder.st_mode & 0o022:
        raise CitadelRefused(
            f"{path.parent}: others may write into this directory, so anybody may be citadeld"
        )


def _signed(line: bytes) -> Signed:
    try:
        answer = json.loads(line)
        if "error" in answer:
            kind = CitadelRefused if is_refusal(str(answer["code"])) else CitadelUnreachable
            raise kind(f"citadeld: {answer['error']}")
        chain, roots = "".join(answer["chain"]).encode(), "".join(answer["roots"]).encode()
    except (ValueError, TypeError, LookupError) as error:
        raise CitadelUnreachable("citadeld gave no answer that can be read") from error
    return without_roots(chain, roots)
