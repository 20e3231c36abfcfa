"""Issuing one certificate: judge, write down, sign, check again, tell.

The order is what makes a crash harmless: the serial is in the registry before a signature exists, and the
audit line is on disk before the certificate leaves the process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509

from artemon.daemon.audit import AuditLog
from artemon.errors import StoreError, Unknown
from artemon.model.trust import SERIALS, serial_name
from artemon.pki.bundle import pem_list
from artemon.pki.certificate import (
    SERIAL_BYTES,
    Authority,
    Leaf,
    fingerprint,
    leaf_validity,
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
from artemon.store.api import ABSENT, Check, Entry, Op, Put, Store
from citadeld.decision import Caller, Denied, Grounds, Reason
from citadeld.metrics import Metrics
from citadeld.names import Names
from citadeld.records import Records
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
class _Asked:
    """A request that was judged good. digest: of its key."""

    leaf: Leaf
    digest: str
    caller: Caller
    node: str
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class AuthorityFacts:
    """What is the same for all leaves of one authority. keys: digests of those of the whole chain.
    tells_serials: whether leaves may have a DNS name that nobody's constraints know."""

    fingerprint: str
    chain: tuple[str, ...]
    keys: frozenset[str]
    tells_serials: bool


def _facts(authority: Authority) -> AuthorityFacts:
    return authority_facts(authority.certificate, *authority.issuers)


@lru_cache(maxsize=4)
def authority_facts(*chain: x509.Certificate) -> AuthorityFacts:
    """Computed once for an authority, which comes first, and those above it."""
    digests = frozenset(spki_sha256(check_public_key(one.public_key())) for one in chain)
    return AuthorityFacts(
        fingerprint(chain[0]), tuple(pem_list(chain)), digests, not any(map(_limits_names, chain))
    )


def _limits_names(one: x509.Certificate) -> bool:
    """Whether an authority may certify some DNS names only (RFC 5280 section 4.2.1.10)."""
    try:
        constraints = one.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return False
    limits = (*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ()))
    return any(isinstance(name, x509.DNSName) for name in limits)


@contextmanager
def counting_refusals(metrics: Metrics) -> Iterator[None]:
    """A CsrRefused out of the block is counted and becomes a Denied: the request cannot be parsed, or asks
    for more than the caller is."""
    try:
        yield
    except CsrRefused as error:
        metrics.count("csr_parsing_err" if isinstance(error, CsrMalformed) else "id_extraction_err")
        raise Denied(Reason.MALFORMED, str(error)) from error


@dataclass(frozen=True, slots=True)
class Issuer:
    """Issues leaves under the authority of the moment."""

    store: Store
    records: Records
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
        key, digest = self._judge(csr, caller.identity)
        leaf = Leaf(caller.identity, key, lifetime, self.names.of(caller.identity), self._subject(told))
        asked = _Asked(leaf, digest, caller, told.node, claim)
        certificate, authority = await self._certify(asked)
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
            key=digest,
            names=",".join(leaf.names),
            until=certificate.not_valid_after_utc.isoformat(),
            issuer=authority.fingerprint,
        )
        self.metrics.count("success_cert_issuance")
        return [*pem_list([certificate]), *authority.chain]

    def _subject(self, told: Told) -> str:
        with counting_refusals(self.metrics):
            return check_subject(told.workload)

    def _judge(self, csr: bytes, identity: SpiffeId) -> tuple[PublicKey, str]:
        with counting_refusals(self.metrics):
            key = check_csr(csr, identity)
        digest = spki_sha256(key)
        if digest in _facts(self.authority()).keys:
            self.metrics.count("id_extraction_err")
            raise Denied(Reason.MALFORMED, "the request carries the key of an authority")
        return key, digest

    async def _certify(self, asked: _Asked) -> tuple[x509.Certificate, AuthorityFacts]:
        authority, leaf = self.authority(), asked.leaf
        facts = _facts(authority)
        serial, now = serial_number(os.urandom(SERIAL_BYTES)), self.now()
        try:
            validity = leaf_validity(leaf.lifetime, authority, now)
            record = _record(asked, facts, validity=validity, now=now)
            await self._persist(asked, serial, record=record)
            if facts.tells_serials:
                leaf = replace(leaf, names=(*leaf.names, serial_name(serial)))
            parsed = make_leaf(leaf, authority, serial=serial, now=now)  # out of what was signed
            check_issued(parsed, leaf, serial=serial, issuer=authority.certificate, validity=validity)
        except (CertificateRefused, StoreError):
            self.metrics.count("csr_sign_err")
            raise
        return parsed, facts

    def _good(self, caller: Caller) -> list[Check]:
        """What holds while neither the identity nor the certificate that asks is revoked."""
        assert caller.identity is not None
        revoked = [ban_key(caller.identity), *([f"{SERIALS}{caller.serial}"] if caller.serial else [])]
        return [Check(self.prefix + key, ABSENT) for key in revoked]

    async def _persist(self, asked: _Asked, serial: int, *, record: bytes) -> None:
        """Serial, key owner and used token in one transaction: all, or nothing is signed."""
        leaf, claim, good = asked.leaf, asked.claim, self._good(asked.caller)
        issued, owner_key = f"{self.prefix}trust/issued/{serial:x}", f"{self.prefix}trust/keys/{asked.digest}"
        owner: Entry | None = None  # asked for when somebody has the key already: agents make new ones
        for _ in range(ATTEMPTS):
            checks = [Check(issued, ABSENT), Check(owner_key, owner.version if owner else ABSENT), *good]
            ops: list[Op] = [Put(issued, record), Put(owner_key, record)]
            if claim is not None:
                checks.append(claim.check)
                ops.append(claim.op)
            try:
                result = await self.records.commit(checks, ops)
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
            owner = await self.store.get(owner_key)
            if owner is not None and not _is_owner(owner.value, leaf.identity):
                self.metrics.count("id_extraction_err")
                raise Denied(Reason.MALFORMED, "the key belongs to another identity; make a new one")
        raise Denied(Reason.NOT_NOW, "the key is certified by others at the same time; try again")


def _record(asked: _Asked, authority: AuthorityFacts, *, validity: Validity, now: datetime) -> bytes:
    fields: dict[str, object] = {
        "identity": str(asked.leaf.identity),
        "node": asked.node,
        "notBefore": validity.not_before.isoformat(),
        "notAfter": validity.not_after.isoformat(),
        "issuer": authority.fingerprint,
        "issued": now.isoformat(),
    }
    if asked.caller.attested is not None:
        fields["attested"] = asked.caller.attested.fields()
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
