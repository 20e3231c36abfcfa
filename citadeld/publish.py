"""Publishing what is trusted: the bundle in the registry, changed by compare-and-set only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from cryptography import x509

from artemon.errors import ArtemonError
from artemon.pki.bundle import BUNDLE_KEY, Bundle
from artemon.pki.certificate import Authority, validity_of
from artemon.store.api import ABSENT, Store
from citadeld.authority import describe

ATTEMPTS = 20


async def read_bundle(store: Store, prefix: str) -> Bundle | None:
    """The published bundle; None when there is none. Raises CertificateRefused when it cannot be read, Forged
    when it is not citadeld's."""
    entry = await store.get(prefix + BUNDLE_KEY)
    return Bundle.decode(entry.value) if entry else None


async def publish(
    store: Store,
    prefix: str,
    authority: Authority,
    *,
    trust_domain: str,
    now: Callable[[], datetime],
    last: Callable[[str], bytes | None] = lambda key: None,
) -> Bundle:
    """Put this replica's intermediate into the bundle, and its root if there is no bundle yet.

    last: the last good value of a key; a bundle that is gone is put back.

    Raises ArtemonError when the mesh trusts other roots than this replica's, StoreError.
    """
    for _ in range(ATTEMPTS):
        entry = await store.get(prefix + BUNDLE_KEY)
        known = entry.value if entry else last(prefix + BUNDLE_KEY)
        if known is None:
            wanted = Bundle(trust_domain, 1, (authority.root,), (authority.certificate,))
        else:
            found = Bundle.decode(known)
            wanted = _with(found, authority, trust_domain=trust_domain, now=now())
            if wanted is found and entry is not None:
                return found
        version = entry.version if entry else ABSENT
        if (await store.put(prefix + BUNDLE_KEY, wanted.encode(), if_version=version)).ok:
            return wanted
    raise ArtemonError("the trust bundle is written by others all the time; it could not be extended")


def _with(found: Bundle, authority: Authority, *, trust_domain: str, now: datetime) -> Bundle:
    """`found` itself when nothing is missing and nothing is over."""
    if found.trust_domain != trust_domain or authority.root not in found.roots:
        raise ArtemonError(of_another(found, [authority.root], trust_domain))
    living = tuple(one for one in found.intermediates if validity_of(one).not_after > now)
    if authority.certificate in living and living == found.intermediates:
        return found
    others = tuple(one for one in living if one != authority.certificate)
    return replace(found, sequence=found.sequence + 1, intermediates=(*others, authority.certificate))


def of_another(found: Bundle, ours: Sequence[x509.Certificate], trust_domain: str) -> str:
    """Why a bundle is not the one of a replica with these roots, and the way out."""
    if found.trust_domain != trust_domain:
        return f"the registry's trust domain is {found.trust_domain}, not {trust_domain}"
    known, here = (", ".join(map(describe, roots)) for roots in (found.roots, ours))
    return (
        f"the mesh trusts the root {known}, this replica has {here or 'none'}: copy root-cert.pem and "
        "root-key.pem of the first replica into the empty data directory of this one"
    )
