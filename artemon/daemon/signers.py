"""Whose signatures count in the registry, and the judgement over a value: last good stays when it fails."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from artemon.daemon.files import read_public
from artemon.errors import ArtemonError, Problem, Refused
from artemon.log import Log
from artemon.model.trust import BUNDLE, REVOKED
from artemon.pki import signing
from artemon.pki.endorsement import Endorsement, check_authority_endorsement, check_endorsement
from artemon.pki.errors import CertificateRefused
from artemon.pki.spiffe import SYSTEM_NAMESPACE, SpiffeId

SIGNED = ("config/", "mesh", "secrets/")
"""Keys below the mesh's root whose values are signed by galleyd."""
TRUST = (BUNDLE, REVOKED)
"""Keys below the mesh's root whose values are signed by citadeld, of those that others read."""
REMEDY = "write the object again through galleyd (meshctl apply)"


class Forged(Refused):
    """A value is not its writer's, or not its newest. reason: `unsigned`, `unknown`, `wrong` or `old`."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__([Problem("", text)])


@dataclass(frozen=True, slots=True)
class Writer:
    """Who signs. remedy: what to do about a value that is not signed. many: a key has endorsements under
    several roots, not all of which need be known. check: the id of an endorsed key; takes the endorsement,
    roots_pem, trust_domain, mesh; raises CertificateRefused."""

    name: str
    remedy: str
    many: bool
    check: Callable[[Endorsement, bytes, str, str], str]


def _by_galleyd(one: Endorsement, roots_pem: bytes, trust_domain: str, mesh: str) -> str:
    endorser = SpiffeId(trust_domain, SYSTEM_NAMESPACE, "galleyd")
    return check_endorsement(one, roots_pem=roots_pem, endorser=endorser, mesh=mesh)


def _by_an_authority(one: Endorsement, roots_pem: bytes, trust_domain: str, mesh: str) -> str:
    return check_authority_endorsement(one, roots_pem=roots_pem, trust_domain=trust_domain, mesh=mesh)


GALLEYD = Writer("galleyd", REMEDY, False, _by_galleyd)
CITADELD = Writer("citadeld", "a citadeld that runs writes it again", True, _by_an_authority)


class Signers:
    """The keys that count: pinned ones, and those whose endorsements hold. Remembers the newest of each
    place.

    roots: what endorsers' certificates must lead to, PEM, at the moment; None: pinned keys alone count.
    """

    def __init__(
        self,
        mesh: str,
        trust_domain: str,
        *,
        roots: Callable[[], bytes] | None,
        pinned: Iterable[bytes] = (),
        log: Log,
        writer: Writer = GALLEYD,
    ) -> None:
        self._mesh, self._trust_domain, self._roots, self._log = mesh, trust_domain, roots, log
        self._writer = writer
        self._pinned = {signing.key_id(public): public for public in pinned}
        self._papers: dict[str, bytes] = {}
        self._endorsed: dict[str, bytes] = {}
        self._judged = b""
        """The roots that endorsements were judged by when all were."""
        self._newest: dict[str, int] = {}

    def trusts(self, key: str) -> bool:
        """Whether the signing key of this id counts."""
        return self._public(key) is not None

    def leads_to(self, key: str, name: str) -> bool:
        """Whether there is an endorsement of the key of this name (what follows the slash)."""
        return f"{key}/{name}" in self._endorsed

    def pin(self, public: bytes) -> None:
        """From now on this key counts, whatever the registry says."""
        self._pinned[signing.key_id(public)] = public

    def take(self, name: str, value: bytes | None) -> bool:
        """An endorsement as it lies in the registry now (None: gone); whether other keys count since.

        name: the id of the key, and for keys with several endorsements a slash and what tells them apart.
        """
        had = self._endorsed.pop(name, None)
        self._papers.pop(name, None)
        if value is None or self._roots is None:
            return had is not None
        self._papers[name] = value
        if not self._judge(name, value, self._roots()):
            return had is not None
        return had != self._endorsed[name]

    def again(self) -> bool:
        """The roots may be others: judge every endorsement anew; whether other keys count since."""
        roots = b"" if self._roots is None else self._roots()
        if roots == self._judged:
            return False
        before, self._judged, self._endorsed = self._endorsed, roots, {}
        for name, value in self._papers.items():
            self._judge(name, value, roots)
        return self._endorsed != before

    def _judge(self, name: str, value: bytes, roots: bytes) -> bool:
        try:
            one = Endorsement.decode(value)
            found = self._writer.check(one, roots, self._trust_domain, self._mesh)
            if found != name.partition("/")[0]:
                raise CertificateRefused(f"the key is {found}")
        except (CertificateRefused, ArtemonError) as error:
            told = self._log.info if self._writer.many else self._log.error
            told("signer_refused", signer=name, reason=error)
            return False
        self._endorsed[name] = one.public
        return True

    def verifies(self, place: str, body: bytes, signature: signing.Signature) -> bool:
        """Whether a key that counts signed `body` for `place`, however long ago."""
        public = self._public(signature.key)
        return public is not None and signing.fits(signature, body, public, place=f"{self._mesh}/{place}")

    def _public(self, key: str) -> bytes | None:
        found = self._pinned.get(key) or self._endorsed.get(key)
        return found or next(
            (one for name, one in self._endorsed.items() if name.startswith(f"{key}/")), None
        )

    def newest(self, place: str, sequence: int = 0) -> int:
        """The sequence of the newest value of `place` that was seen, `sequence` included."""
        newest = max(self._newest.get(place, 0), sequence)
        if sequence:
            self._newest[place] = newest
        return newest

    def body(self, place: str, value: bytes, *, once: bool = False) -> bytes:
        """What was signed for `place` (a key below the mesh's root). once: of places that are written once,
        the newest is not remembered. Raises Forged."""
        body, signature = signing.split(value)
        who, remedy = self._writer.name, self._writer.remedy
        if signature is None:
            raise Forged("unsigned", f"is not signed by {who}: {remedy}")
        if not self.trusts(signature.key) and not (self.again() and self.trusts(signature.key)):
            raise Forged("unknown", f"is signed with key {signature.key}, which is not {who}'s: {remedy}")
        if not self.verifies(place, body, signature):
            raise Forged("wrong", f"is not what {who} signed for this place: {remedy}")
        if signature.sequence < self.newest(place):
            raise Forged("old", f"is older than what {who} wrote last: {remedy}")
        if not once:
            self.newest(place, signature.sequence)
        return body


def read_pinned(path: str) -> list[bytes]:
    """The public keys of a file, one base64 a line. Raises ArtemonError."""
    content = read_public(Path(path))
    if content is None:
        raise ArtemonError(f"{path}: there is no such file of signing keys")
    try:
        keys = [base64.b64decode(line, validate=True) for line in content.split() if line]
    except binascii.Error as error:
        raise ArtemonError(f"{path}: a line is no base64 of a public key") from error
    if any(len(key) != 32 for key in keys):
        raise ArtemonError(f"{path}: an Ed25519 key has 32 bytes")
    return keys


def signers_of(
    *, required: bool, keys_file: str, mesh: str, trust_domain: str, roots: Callable[[], bytes], log: Log
) -> Signers | None:
    """Whose signatures count by a daemon's settings; None: configuration is not checked. keys_file: the keys
    alone that count, where it is not empty. Raises ArtemonError."""
    if not required:
        log.warning("configuration_is_not_checked", setting="config_signatures")
        return None
    pinned = read_pinned(keys_file) if keys_file else ()
    return Signers(mesh, trust_domain, roots=None if pinned else roots, pinned=pinned, log=log)
