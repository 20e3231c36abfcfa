"""What a joining agent shows to citadeld, and where: a join token, another issuer's token, the machine's own
certificate."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import grpc

from artemon.daemon.files import read_public, read_secret
from artemon.daemon.identity_client import CitadelRefused
from artemon.daemon.identity_options import IdentityOptions


@dataclass(frozen=True, slots=True)
class Proof:
    """addresses: of citadeld, where it is taken. token: a bearer token. key, chain: of a client certificate,
    PEM."""

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
    return Proof(options.join_addresses, _text(_present(read_secret(Path(options.join_token_file)), name)))


def _present(content: bytes | None, name: str) -> bytes:
    if content is None:
        raise CitadelRefused(f"the {name} does not exist")
    return content


def _text(content: bytes) -> str:
    return content.decode("ascii", "replace").strip()
