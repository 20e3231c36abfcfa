"""A registry whose configuration is signed by a galleyd with an identity, and a pilotd that checks it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from artemon.daemon.identity_files import Identity
from artemon.daemon.signers import CITADELD, Signers
from artemon.log import Log
from artemon.pki.certificate import (
    Authority,
    Leaf,
    chain_pem,
    fingerprint,
    make_intermediate,
    make_leaf,
    make_root,
    serial_number,
)
from artemon.pki.endorsement import endorse_as_authority
from artemon.pki.keys import generate_key, private_pem
from artemon.pki.signing import SigningKey, sign
from artemon.pki.spiffe import SpiffeId
from artemon.store.api import Store
from artemon.store.layout import Layout
from galleyd.signer import Signer

LOG = Log("test")


class Still:
    """An identity that is never renewed (what Signer needs of an IdentityKeeper)."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def current(self) -> Identity:
        return self._identity


class Realm:
    """A root, and identities that lead to it. at: when everything was made."""

    def __init__(self, at: datetime | None = None) -> None:
        self.at = at or datetime.now(UTC).replace(microsecond=0)
        key, inner = generate_key(), generate_key()
        day = timedelta(days=1)
        number = serial_number(os.urandom(20))
        self.root = make_root(key, "cluster.local", serial=number, now=self.at, lifetime=30 * day)
        certificate = make_intermediate(
            inner.public_key(),
            Authority(self.root, key),
            "cluster.local",
            serial=serial_number(b"i" * 20),
            now=self.at,
            lifetime=10 * day,
        )
        self._authority = Authority(certificate, inner, (self.root,))

    @property
    def roots(self) -> bytes:
        return chain_pem([self.root])

    def identity(self, account: str = "galleyd", namespace: str = "artemon-system") -> Identity:
        key, who = generate_key(), SpiffeId("cluster.local", namespace, account)
        leaf = make_leaf(
            Leaf(who, key.public_key(), timedelta(hours=1), ()),
            self._authority,
            serial=serial_number(b"l" * 20),
            now=self.at,
        )
        chain = chain_pem([leaf, self._authority.certificate])
        end = self.at + timedelta(hours=1)
        return Identity(who, chain, private_pem(key), self.roots, self.at, end)

    def signers(self) -> Signers:
        """Whose signatures count for whoever trusts the root."""
        return Signers("default", "cluster.local", roots=lambda: self.roots, log=LOG)


def signer(store: Store, folder: Path, realm: Realm, identity: Identity | None = None) -> Signer:
    """A galleyd's signer; `await one._publish()` puts its papers into the registry."""
    folder.mkdir(mode=0o700, exist_ok=True)
    keeper: Any = Still(identity or realm.identity())
    own = Signers("default", "cluster.local", roots=lambda: realm.roots, log=LOG)
    return Signer(store, Layout(), folder, signers=own, keeper=keeper, days=90, log=LOG)


def signed(one: Signer, key: str, value: dict[str, Any], after: int = 0) -> bytes:
    """The value that galleyd would write under `key` (below the mesh's root)."""
    return one.sign(f"artemon/default/{key}", json.dumps(value).encode(), after)


class Citadel:
    """What citadeld leaves under `trust/`: signed with a key that an authority endorses."""

    def __init__(self, realm: Realm) -> None:
        self.realm, self.key = realm, SigningKey.new()

    async def publish(self, store: Store) -> None:
        """The key's papers."""
        papers = endorse_as_authority(
            self.key.public, self.realm._authority, mesh="default", at=self.realm.at
        )
        await store.put(Layout().writer(self.key.id, fingerprint(self.realm.root)), papers.encode())

    def signed(self, key: str, body: bytes, sequence: int = 1) -> bytes:
        """The value that citadeld would write under `key` (below the mesh's root)."""
        return sign(body, self.key, place=f"default/{key}", sequence=sequence)

    def signers(self) -> Signers:
        """Whose values count for whoever trusts the root."""
        roots = self.realm.roots
        return Signers("default", "cluster.local", roots=lambda: roots, log=LOG, writer=CITADELD)
