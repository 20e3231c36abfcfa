"""Whether values under `trust/` are signed, by keys whose papers lie there, which lead to the roots there.

A look from outside: who may write the registry may have written all of it. Daemons judge by the roots that
they knew before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from artemon.errors import ArtemonError
from artemon.pki import signing
from artemon.pki.bundle import Bundle
from artemon.pki.endorsement import Endorsement, check_authority_endorsement
from artemon.store.api import Entry
from artemon.store.layout import Layout

SIGNED = ("bundle", "rotation", "revoked/", "lifted/", "issued/", "tokens/")
"""Below `trust/`, without what lives under a lease."""


def wrong(entries: Sequence[Entry], layout: Layout) -> list[str]:
    """The keys of what is not signed as it should be, with the reason."""
    keys = _keys(entries, layout)
    return [f"{key} ({reason})" for key, reason in _wrong(entries, keys, layout)]


def _wrong(entries: Sequence[Entry], keys: Mapping[str, bytes], layout: Layout) -> Iterator[tuple[str, str]]:
    for entry in entries:
        place = layout.relative(entry.key)
        if not place.removeprefix("trust/").startswith(SIGNED) or not place.startswith("trust/"):
            continue
        body, found = signing.split(entry.value)
        if found is None:
            yield entry.key, "not signed"
        elif found.key not in keys:
            yield entry.key, f"signed with {found.key}, whose papers lead to no root of the bundle"
        elif not signing.fits(found, body, keys[found.key], place=f"{layout.mesh_name}/{place}"):
            yield entry.key, "not what was signed for this place"


def _keys(entries: Sequence[Entry], layout: Layout) -> dict[str, bytes]:
    """The keys whose papers lead to a root of the bundle, by id."""
    try:
        bundle = next(Bundle.decode(one.value) for one in entries if one.key == layout.bundle)
    except (ArtemonError, StopIteration):
        return {}
    found = {}
    for entry in entries:
        if not entry.key.startswith(layout.writers):
            continue
        try:
            one = Endorsement.decode(entry.value)
            key = check_authority_endorsement(
                one,
                roots_pem=bundle.roots_pem,
                trust_domain=bundle.trust_domain,
                mesh=layout.mesh_name,
            )
        except ArtemonError:
            continue
        found[key] = one.public
    return found
