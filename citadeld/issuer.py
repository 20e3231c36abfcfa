"""Issuing one certificate: judge, write down, sign, check again, tell.

The order is what makes a crash harmless: the serial is in the registry before a signature exists, and the
audit line is on disk before the certificate leaves the process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from artemon.daemon.audit import AuditLog
from artemon.errors import StoreError, Unknown
from artemon.model.trust import SERIALS
from artemon.pki.bundle import pem_list
from artemon.pki.certificate import (
    SERIAL_BYTES,
    Authority,
    Leaf,
    chain_pem,
    fingerprint,
    leaf_validity,
    load_certificates,
    make_leaf,
    serial_number,
)
from artemon.pki.csr import check_csr
from artemon.pki.errors import CertificateRefused, CsrMalformed, CsrRefused
from artemon.pki.keys import PublicKey, check_public_key, spki_sha256
from artemon.pki.renewal import Validity
from artemon.pki.spiffe import SpiffeId
from artemon.pki.subject import check_subject
from artemon.pki.verify import check_issued
from artemon.store.api import ABSENT, Check, Op, Put, Store
from citadeld.decision import Caller, Denied, Grounds, Reason
from citadeld.metrics import Metrics
from citadeld.names import Names
from citadeld.revoker import ban_key
from citadeld.tokens import Claim

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Told:
    """What a caller says of itself, for lists and telemetry. workload: see `artemon.pki.subject`."""

    node: str = ""
    workload: str = ""


NOTHING = Told()


@dataclass(frozen=True, slots=True)
class Issuer:
    """Issues leaves under the authority of the moment."""

    store: Store
    prefix: str
    authority: Callable[[], Authority]
    names: Names
    audit: AuditLog
    metrics: Metrics
    now: Callable[[], datetime]

    async def issue(
        self,
        caller: Caller,
        csr: bytes,
        *,
        lifetime: timedelta,
        told: Told = NOTHING,
        claim: Claim | None = None,
    ) -> list[str]:
        """The chain for the caller's identity, PEM, the leaf first and the root last; uses up `claim`.

        Raises Denied, StoreError, AuditUnavailable, CertificateRefused: then no certificate was given away.
        """
        assert caller.identity is not None
        key = self._judge(csr, caller.identity)
        leaf = Leaf(caller.identity, key, lifetime, self.names.of(caller.identity), self._subject(told))
        certificate, authority = await self._certify(leaf, caller, node=told.node, claim=claim)
        await self.audit.append(
            "issued",
            identity=leaf.identity,
            method=caller.method,
            token=caller.token_id,
            attestor=caller.attested.attestor if caller.attested else "",
            grant=caller.attested.grant if caller.attested else "",
            address=caller.address,
            node=told.node,
            subject=leaf.subject,
            serial=f"{certificate.serial_number:x}",
            key=spki_sha256(key),
            names=",".join(leaf.names),
            until=certificate.not_valid_after_utc.isoformat(),
            issuer=fingerprint(authority.certificate),
        )
        self.metrics.count("success_cert_issuance")
        return pem_list([certificate, authority.certificate, *authority.issuers])

    def _subject(self, told: Told) -> str:
        try:
            return check_subject(told.workload)
        except CsrRefused as error:
            self.metrics.count("id_extraction_err")
            raise Denied(Reason.MALFORMED, str(error)) from error

    def _judge(self, csr: bytes, identity: SpiffeId) -> PublicKey:
        try:
            key = check_csr(csr, identity)
        except CsrMalformed as error:
            self.metrics.count("csr_parsing_err")
            raise Denied(Reason.MALFORMED, str(error)) from error
        except CsrRefused as error:
            self.metrics.count("id_extraction_err")
            raise Denied(Reason.MALFORMED, str(error)) from error
        authority = self.authority()
        ours = [authority.certificate, *authority.issuers]
        if spki_sha256(key) in {spki_sha256(check_public_key(one.public_key())) for one in ours}:
            self.metrics.count("id_extraction_err")
            raise Denied(Reason.MALFORMED, "the request carries the key of an authority")
        return key

    async def _certify(
        self, leaf: Leaf, caller: Caller, *, node: str, claim: Claim | None
    ) -> tuple[x509.Certificate, Authority]:
        authority = self.authority()
        serial, now = serial_number(os.urandom(SERIAL_BYTES)), self.now()
        try:
            validity = leaf_validity(leaf.lifetime, authority, now)
            record = _record(leaf.identity, authority, caller, validity=validity, node=node, now=now)
            await self._persist(leaf, serial, record=record, claim=claim, good=self._good(caller))
            signed = make_leaf(leaf, authority, serial=serial, now=now)
            parsed = load_certificates(chain_pem([signed]))[0]
            check_issued(parsed, leaf, serial=serial, issuer=authority.certificate, validity=validity)
        except (CertificateRefused, StoreError):
            self.metrics.count("csr_sign_err")
            raise
        return parsed, authority

    def _good(self, caller: Caller) -> list[Check]:
        """What holds while neither the identity nor the certificate that asks is revoked."""
        assert caller.identity is not None
        revoked = [ban_key(caller.identity), *([f"{SERIALS}{caller.serial}"] if caller.serial else [])]
        return [Check(self.prefix + key, ABSENT) for key in revoked]

    async def _persist(
        self, leaf: Leaf, serial: int, *, record: bytes, claim: Claim | None, good: list[Check]
    ) -> None:
        """Serial, key owner and used token in one transaction: all, or nothing is signed."""
        issued, fingerprint_ = f"{self.prefix}trust/issued/{serial:x}", spki_sha256(leaf.key)
        owner_key = f"{self.prefix}trust/keys/{fingerprint_}"
        for _ in range(ATTEMPTS):
            owner = await self.store.get(owner_key)
            if owner is not None and not _is_owner(owner.value, leaf.identity):
                self.metrics.count("id_extraction_err")
                raise Denied(Reason.MALFORMED, "the key belongs to another identity; make a new one")
            checks = [Check(issued, ABSENT), Check(owner_key, owner.version if owner else ABSENT), *good]
            ops: list[Op] = [Put(issued, record), Put(owner_key, record)]
            if claim is not None:
                checks.append(claim.check)
                ops.append(claim.op)
            try:
                result = await self.store.txn(checks, ops)
            except Unknown:
                if await self.store.get(issued) is None:
                    raise
                return
            if result.ok:
                return
            if any(check.key in result.failed for check in good):
                self.metrics.count("authentication_failure")
                raise Denied(Reason.NOT_ALLOWED, f"{leaf.identity} or its certificate is revoked")
            if claim is not None and claim.check.key in result.failed:
                self.metrics.count("authentication_failure")
                raise Denied(
                    Reason.NOT_AUTHENTICATED, "the join token is not valid: it is unknown, expired or used up"
                )
        raise Denied(Reason.NOT_NOW, "the key is certified by others at the same time; try again")


def _record(
    identity: SpiffeId,
    authority: Authority,
    caller: Caller,
    *,
    validity: Validity,
    node: str,
    now: datetime,
) -> bytes:
    fields: dict[str, object] = {
        "identity": str(identity),
        "node": node,
        "notBefore": validity.not_before.isoformat(),
        "notAfter": validity.not_after.isoformat(),
        "issuer": fingerprint(authority.certificate),
        "issued": now.isoformat(),
    }
    if caller.attested is not None:
        fields["attested"] = caller.attested.fields()
    return json.dumps(fields).encode()


def grounds_of(value: bytes) -> Grounds | None:
    """For which facts a certificate was given, out of its record; None: for no facts, but a token. What
    cannot be read was given for nothing that an IdentityGrant could say. Raises Denied."""
    try:
        fields = json.loads(value)
        return Grounds.of(fields["attested"]) if "attested" in fields else None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise Denied(
            Reason.NOT_ALLOWED, "the record of the certificate cannot be read: attest anew"
        ) from error


def _is_owner(value: bytes, identity: SpiffeId) -> bool:
    try:
        return bool(json.loads(value)["identity"] == str(identity))
    except (ValueError, TypeError, KeyError):
        return False


def is_over(value: bytes, now: datetime) -> bool:
    """Whether a record of an issued certificate can be swept away; one that cannot be read stays."""
    try:
        return bool(datetime.fromisoformat(json.loads(value)["notAfter"]) < now)
    except (ValueError, TypeError, KeyError):
        return False
