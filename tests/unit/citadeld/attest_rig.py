"""Evidence of strangers: tokens of an issuer, certificates of an operator's own CA, and grants for them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import grpc
import jwt
from citadel_rig import LOG, Rig, certificate, running, settings_in
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from key_usages import key_usage
from servers import free_ports

from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.signers import Signers
from artemon.pki.certificate import chain_pem
from artemon.pki.keys import generate_key, private_pem
from artemon.pki.spiffe import SpiffeId
from artemon.store.api import Store
from artemon.store.layout import Layout
from artemon.store.open import open_store
from galleyd.signer import Signer

ISSUER = "https://issuer.example"
GALLEYD = SpiffeId("cluster.local", "artemon-system", "galleyd")
PATIENCE = 30.0
T = TypeVar("T")


@dataclass
class Issuer:
    """An issuer of tokens whose keys lie in a file."""

    file: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        fields = jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        self.file.write_text(json.dumps({"keys": [{**fields, "kid": "a"}]}))

    @property
    def url(self) -> str:
        return f"jwt+{ISSUER}?audience=artemon&keys={self.file}"

    def token(self, key: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
        whole = {"iss": ISSUER, "aud": "artemon", "sub": "ci", "exp": time.time() + 300, **claims}
        whole = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(whole, self.key if key is None else key, algorithm, headers={"kid": "a"})


@dataclass
class Pair:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return chain_pem([self.certificate])


def made(
    name: str,
    issuer: Pair | None = None,
    *,
    ca: bool = False,
    names: tuple[x509.GeneralName, ...] = (),
    age: timedelta = timedelta(0),
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
) -> Pair:
    """A certificate of a day as other authorities make them; a self-signed one without `issuer`."""
    key, now = generate_key(), datetime.now(UTC).replace(microsecond=0) - age
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Shop"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    builder = x509.CertificateBuilder(
        issuer.certificate.subject if issuer else subject,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        now - timedelta(minutes=5),
        now + timedelta(days=1),
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if ca:
        builder = builder.add_extension(key_usage("key_cert_sign", "crl_sign"), critical=True)
    else:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Pair(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def revocations(authority: Pair, *serials: int) -> bytes:
    """A revocation list, PEM."""
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder(
        authority.certificate.subject, now - timedelta(minutes=5), now + timedelta(days=1)
    )
    for serial in serials:
        one = x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=now).build()
        builder = builder.add_revoked_certificate(one)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass
class Granting:
    """A citadeld with attestors, and a galleyd's signature for what is written into its registry."""

    rig: Rig
    store: Store
    signer: Signer
    keeper: IdentityKeeper

    async def grant(self, name: str = "carts", namespace: str = "shop", **spec: Any) -> str:
        """Write an IdentityGrant as galleyd does; returns its key."""
        key = f"artemon/default/config/identitygrants/{namespace}/{name}"
        await self.store.put(key, self.signer.sign(key, body_of(name, namespace, **spec)))
        return key

    async def by_machine(self, pair: Pair, csr: bytes, *more: Pair) -> list[str]:
        roots = self.rig.root.read_bytes()
        chain = chain_pem([pair.certificate, *(one.certificate for one in more)])
        credentials = grpc.ssl_channel_credentials(roots, private_pem(pair.key), chain)
        return await certificate(self.rig.settings.machine_address, credentials, csr)


def body_of(name: str = "carts", namespace: str = "shop", **spec: Any) -> bytes:
    meta = {"name": name, "namespace": namespace}
    whole = {"apiVersion": "access.artemon.io/v1", "kind": "IdentityGrant", "metadata": meta, "spec": spec}
    return json.dumps(whole).encode()


def facts(**found: str) -> list[dict[str, Any]]:
    """Facts of a grant; `__` in a name stands for the dot."""
    return [{"name": name.replace("__", "."), "values": [value]} for name, value in found.items()]


@asynccontextmanager
async def granting(folder: Path, *attestors: str, **more: Any) -> AsyncIterator[Granting]:
    """It, while the block runs."""
    values = {"machine_listen": f"127.0.0.1:{free_ports(1)[0]}", **more}
    settings = settings_in(folder, attestors=("certificate:", "token:", *attestors), **values)
    async with running(settings) as rig:
        keeper = await rig.joined(folder / "galleyd", GALLEYD)
        store = await open_store(settings.registry)
        signers = Signers("default", "cluster.local", roots=rig.root.read_bytes, log=LOG)
        signer = Signer(store, Layout(), folder / "galleyd", signers=signers, keeper=keeper, days=90, log=LOG)
        await signer._publish()
        try:
            yield Granting(rig, store, signer, keeper)
        finally:
            await store.close()


async def until(work: Callable[[], Awaitable[T]], code: grpc.StatusCode | None = None) -> T | str:
    """What `work` gives as soon as it is not refused; or, with `code`, why it is as soon as it is so."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            found = await work()
            if code is None:
                return found
            last = "not refused"
        except grpc.aio.AioRpcError as error:
            last = str(error.details())
            if error.code() is code:
                return last
        assert time.monotonic() < deadline, last
        await asyncio.sleep(0.05)
