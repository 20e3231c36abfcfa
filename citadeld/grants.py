"""Which attested facts may have which identities: the IdentityGrants in force. Nothing else is given.

Only what galleyd signed counts (decision 0011); what somebody else wrote into the registry grants nothing.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from artemon import validate
from artemon.daemon.signers import Forged, Signers
from artemon.log import Log
from artemon.model.access import Fact, IdentityGrant
from artemon.model.kinds import IDENTITY_GRANT
from artemon.model.resource import Resource
from artemon.model.tolerant import decode_tolerantly
from artemon.pki.spiffe import SpiffeId
from artemon.store.api import Entry, Store
from artemon.store.follow import Follow
from artemon.store.layout import Layout
from artemon.store.mirror import Changes
from citadeld.attestors.api import Facts
from citadeld.decision import Denied, Grounds, Reason

MAX_KEPT = 8
"""Values of one fact that are remembered with a certificate."""


class Grants:
    """Follows them. signers: whose signatures count."""

    def __init__(self, store: Store, layout: Layout, signers: Signers, log: Log) -> None:
        self._layout, self._signers, self._log = layout, signers, log
        self._found: dict[str, Resource[IdentityGrant]] = {}
        self._papers = Follow(store, layout.signers, self._take_signers, name="signers")
        self._grants = Follow(
            store, f"{layout.configs}{IDENTITY_GRANT.plural}/", self._take_grants, name="grants"
        )

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._papers.run())
            tasks.create_task(self._grants.run())

    def again(self) -> None:
        """The mesh's roots may be others: judge everything anew."""
        for entry in self._papers.entries.values():
            self._signers.take(entry.key.removeprefix(self._layout.signers), entry.value)
        self._judge()

    def find(self, identity: SpiffeId, *, attestor: str, facts: Facts) -> Grounds:
        """Why callers of whom `facts` hold may have `identity`. Raises Denied when nothing says so, or it
        is not known yet."""
        if not (self._papers.synced.is_set() and self._grants.synced.is_set()):
            raise Denied(Reason.NOT_NOW, "the IdentityGrants have not been read yet; try again")
        for one in self._found.values():
            if allows(one, identity, attestor=attestor, facts=facts):
                return Grounds(attestor, f"{one.meta.namespace}/{one.meta.name}", _kept(one.spec, facts))
        raise Denied(
            Reason.NOT_ALLOWED,
            f"no IdentityGrant in namespace {identity.namespace} gives {identity.service_account} to what "
            f"the attestor {attestor} found",
        )

    def _take_signers(self, changes: Changes) -> None:
        prefix = self._layout.signers
        for one in changes.upserts:
            self._signers.take(one.key.removeprefix(prefix), one.value)
        for one in changes.deletes:
            self._signers.take(one.key.removeprefix(prefix), None)
        self._judge()

    def _take_grants(self, _: Changes) -> None:
        self._judge()

    def _judge(self) -> None:
        entries = self._grants.entries.values()
        read = ((entry.key, self._read(entry)) for entry in entries)
        self._found = {key: one for key, one in read if one is not None}

    def _read(self, entry: Entry) -> Resource[IdentityGrant] | None:
        place = self._layout.relative(entry.key)
        try:
            body = self._signers.body(place, entry.value)
        except Forged as error:
            self._log.error("grant_forged", key=entry.key, reason=error)
            return None
        decoded = _decoded(body)
        if decoded is None or entry.key != self._key(decoded):
            self._log.error("grant_unusable", key=entry.key)
            return None
        return decoded

    def _key(self, one: Resource[IdentityGrant]) -> str:
        return self._layout.config(one.kind.plural, one.meta.namespace, one.meta.name)


def _decoded(body: bytes) -> Resource[IdentityGrant] | None:
    """The grant, if nothing is wrong with it."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    found: Resource[Any] | None = decode_tolerantly(value).resource if isinstance(value, dict) else None
    if found is None or found.kind is not IDENTITY_GRANT:
        return None
    wrong = any(problem.level == "error" for problem in validate.problems(found))
    return None if wrong else found


def allows(one: Resource[IdentityGrant], identity: SpiffeId, *, attestor: str, facts: Facts) -> bool:
    """Whether a grant gives `identity` to callers of whom `facts` hold. Identities of its namespace only."""
    spec = one.spec
    if spec.attestor != attestor or one.meta.namespace != identity.namespace:
        return False
    named = facts.get(spec.service_account_fact, ()) if spec.service_account_fact else ()
    if identity.service_account not in {*spec.service_accounts, *(named if len(named) == 1 else ())}:
        return False
    return bool(spec.facts) and all(_holds(fact, facts) for fact in spec.facts)


def _holds(fact: Fact, facts: Facts) -> bool:
    return bool(_fitting(fact, facts))


def _fitting(fact: Fact, facts: Facts) -> tuple[str, ...]:
    found = facts.get(fact.name, ())
    return tuple(value for value in found if any(_fits(pattern, value) for pattern in fact.values))


def _kept(spec: IdentityGrant, facts: Facts) -> dict[str, tuple[str, ...]]:
    """What of the facts decided."""
    kept = {fact.name: _fitting(fact, facts)[:MAX_KEPT] for fact in spec.facts}
    if spec.service_account_fact:
        kept[spec.service_account_fact] = facts.get(spec.service_account_fact, ())[:MAX_KEPT]
    return kept


def _fits(pattern: str, value: str) -> bool:
    if pattern == "*":
        return bool(value)
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    return value == pattern
