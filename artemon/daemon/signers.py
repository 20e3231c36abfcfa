"""Whose signatures count in the registry, and the judgement over a value: last good stays when it fails."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from pathlib import Path

from artemon.daemon.files import read_public
from artemon.errors import ArtemonError, Problem, Refused
from artemon.log import Log
from artemon.pki import signing
from artemon.pki.endorsement import Endorsement, check_endorsement
from artemon.pki.errors import CertificateRefused
from artemon.pki.spiffe import SYSTEM_NAMESPACE, SpiffeId

SIGNED = ("config/", "mesh", "secrets/")
"""Keys below the mesh's root whose values are signed by galleyd."""
REMEDY = "write the object again through galleyd (meshctl apply)"


class Forged(Refused):
    """A value is not galleyd's, or not its newest. reason: `unsigned`, `unknown`, `wrong` or `old`."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__([Problem("", text)])


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
    ) -> None:
        self._mesh, self._roots, self._log = mesh, roots, log
        self._endorser = SpiffeId(trust_domain, SYSTEM_NAMESPACE, "galleyd")
        self._pinned = {signing.key_id(public): public for public in pinned}
        self._endorsed: dict[str, bytes] = {}
        self._newest: dict[str, int] = {}

    def trusts(self, key: str) -> bool:
        """Whether the signing key of this id counts."""
        return key in self._pinned or key in self._endorsed

    def pin(self, public: bytes) -> None:
        """From now on this key counts, whatever the registry says."""
        self._pinned[signing.key_id(public)] = public

    def take(self, name: str, value: bytes | None) -> bool:
        """An endorsement as it lies in the registry now (None: gone); whether other keys count since."""
        had = self._endorsed.pop(name, None)
        if value is None or self._roots is None:
            return had is not None
        try:
            one = Endorsement.decode(value)
            found = check_endorsement(one, roots_pem=self._roots(), endorser=self._endorser, mesh=self._mesh)
        except (CertificateRefused, ArtemonError) as error:
            self._log.error("signer_refused", signer=name, reason=error)
            return had is not None
        if found != name:
            self._log.error("signer_refused", signer=name, reason=f"the key is {found}")
            return had is not None
        self._endorsed[name] = one.public
        return had != one.public

    def verifies(self, place: str, body: bytes, signature: signing.Signature) -> bool:
        """Whether a key that counts signed `body` for `place`, however long ago."""
        public = self._public(signature.key)
        return public is not None and signing.fits(signature, body, public, place=f"{self._mesh}/{place}")

    def _public(self, key: str) -> bytes | None:
        return self._pinned.get(key) or self._endorsed.get(key)

    def body(self, place: str, value: bytes) -> bytes:
        """What was signed for `place` (a key below the mesh's root). Raises Forged."""
        body, signature = signing.split(value)
        if signature is None:
            raise Forged("unsigned", f"is not signed by galleyd: {REMEDY}")
        if not self.trusts(signature.key):
            raise Forged("unknown", f"is signed with key {signature.key}, which is not galleyd's: {REMEDY}")
        if not self.verifies(place, body, signature):
            raise Forged("wrong", f"is not what galleyd signed for this place: {REMEDY}")
        if signature.sequence < self._newest.get(place, 0):
            raise Forged("old", f"is older than what galleyd wrote last: {REMEDY}")
        self._newest[place] = signature.sequence
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
