"""Who one is, whom to ask, and whom to trust."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from artemon.daemon.address import address_text, split_address
from artemon.daemon.settings import Settings
from artemon.pki.keys import KeyType
from artemon.pki.spiffe import SYSTEM_NAMESPACE, SpiffeId

JOIN_PORT_OFFSET, MACHINE_PORT_OFFSET = 3, 5
"""citadeld joins at its renewal port plus these (15013, 15016; 15018 by a machine's certificate) unless told
otherwise."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is shown to citadeld again and again, instead of a join token once. token_file: a JSON Web Token
    of an issuer. machine_cert, machine_key: PEM, issued elsewhere; citadeld_machine: where they are taken, by
    default the hosts of `citadeld` with the port plus 5. socket: of citadeld on this machine, which sees
    what process connects."""

    token_file: str = ""
    machine_cert: str = ""
    machine_key: str = ""
    citadeld_machine: tuple[str, ...] = ()
    socket: str = ""

    @property
    def is_there(self) -> bool:
        """Whether there is any."""
        return bool(self.token_file or self.machine_cert or self.socket)


@dataclass(frozen=True, slots=True)
class IdentityOptions:
    """Who one is and whom to ask.

    citadeld: addresses (host:port) for renewals. citadeld_join: for joining, by default the same hosts with
    the port plus 3. ca_pin: path of the root (PEM) or its SHA-256; needed only to join the first time. node:
    the name of this instance, for the list of certificates. workload: the certificate's subject. evidence:
    what to join with instead of a join token.
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
    evidence: Evidence = Evidence()

    @property
    def join_addresses(self) -> tuple[str, ...]:
        """Where to join with a token."""
        return self.citadeld_join or self._beside(JOIN_PORT_OFFSET)

    @property
    def machine_addresses(self) -> tuple[str, ...]:
        """Where to join with a certificate of the machine."""
        return self.evidence.citadeld_machine or self._beside(MACHINE_PORT_OFFSET)

    def _beside(self, offset: int) -> tuple[str, ...]:
        pairs = [split_address(address) for address in self.citadeld]
        return tuple(address_text(host, port + offset) for host, port in pairs)


class EvidenceSettings(Settings):
    """What a daemon shows to citadeld instead of a join token."""

    attest_token_file: str = Field(
        "", description="File with a JSON Web Token to join with, as a cluster mounts it; read each time."
    )
    machine_cert: str = Field(
        "", description="Certificate chain (PEM) of this machine to join with, issued elsewhere."
    )
    machine_key: str = Field("", description="Key (0600) of machine_cert.")
    citadeld_machine: tuple[str, ...] = Field(
        (), description="Addresses where citadeld takes machine_cert; by default its port plus 5."
    )
    attest_socket: str = Field(
        "", description="Unix socket of a citadeld on this machine, which sees what process joins."
    )

    @property
    def evidence(self) -> Evidence:
        """All of it."""
        return Evidence(
            self.attest_token_file,
            self.machine_cert,
            self.machine_key,
            self.citadeld_machine,
            self.attest_socket,
        )


class IdentitySettings(EvidenceSettings):
    """The settings of a daemon that has an identity from citadeld."""

    identity_dir: str = Field("", description="Directory (0700) of key.pem, cert-chain.pem, root-cert.pem.")
    citadeld: tuple[str, ...] = Field((), description="Addresses (host:port) of citadeld.")
    citadeld_join: tuple[str, ...] = Field(
        (), description="Addresses where citadeld takes join tokens; by default its port plus 3."
    )
    join_token_file: str = Field(
        "", description="File with the one-time join token, or credential:NAME of systemd."
    )
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
            evidence=self.evidence,
        )
