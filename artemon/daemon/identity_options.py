"""Who one is, whom to ask, and whom to trust."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from artemon.daemon.http import split_address
from artemon.daemon.settings import Settings
from artemon.pki.keys import KeyType
from artemon.pki.spiffe import SYSTEM_NAMESPACE, SpiffeId

JOIN_PORT_OFFSET = 3
"""citadeld joins at its renewal port plus this (15013, 15016) unless told otherwise."""


@dataclass(frozen=True, slots=True)
class IdentityOptions:
    """Who one is and whom to ask.

    citadeld: addresses (host:port) for renewals. citadeld_join: for joining, by default the same hosts with
    the port plus 3. ca_pin: path of the root (PEM) or its SHA-256; needed only to join the first time. node:
    the name of this instance, for the list of certificates. workload: the certificate's subject.
    """

    directory: Path
    spiffe_id: SpiffeId
    citadeld: tuple[str, ...]
    citadeld_join: tuple[str, ...] = ()
    join_token_file: str = ""
    ca_pin: str = ""
    key_type: KeyType = "p256"
    node: str = ""
    workload: str = ""

    @property
    def join_addresses(self) -> tuple[str, ...]:
        """Where to join."""
        if self.citadeld_join:
            return self.citadeld_join
        pairs = [split_address(address) for address in self.citadeld]
        shown = [(f"[{host}]" if ":" in host else host, port + JOIN_PORT_OFFSET) for host, port in pairs]
        return tuple(f"{host}:{port}" for host, port in shown)


class IdentitySettings(Settings):
    """The settings of a daemon that has an identity from citadeld."""

    identity_dir: str = Field("", description="Directory (0700) of key.pem, cert-chain.pem, root-cert.pem.")
    citadeld: tuple[str, ...] = Field((), description="Addresses (host:port) of citadeld.")
    citadeld_join: tuple[str, ...] = Field(
        (), description="Addresses where citadeld takes join tokens; by default its port plus 3."
    )
    join_token_file: str = Field("", description="File with the one-time join token.")
    ca_pin: str = Field(
        "", description="Whom to trust when joining: path of a root certificate (PEM), or its SHA-256."
    )
    trust_domain: str = Field("cluster.local", description="SPIFFE trust domain.")

    def identity_options(self, service_account: str) -> IdentityOptions:
        """The identity of the daemon `service_account`."""
        return IdentityOptions(
            directory=Path(self.identity_dir or f"/var/lib/artemon/{service_account}"),
            spiffe_id=SpiffeId(self.trust_domain, SYSTEM_NAMESPACE, service_account),
            citadeld=self.citadeld,
            citadeld_join=self.citadeld_join,
            join_token_file=self.join_token_file,
            ca_pin=self.ca_pin,
        )
