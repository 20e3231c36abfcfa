"""Refuses plans by which a namespace would route, or lead to, what is not its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from artemon.daemon.address import split_address
from artemon.errors import ArtemonError
from artemon.model.access import HostGrant
from artemon.model.kinds import GATEWAY, SERVICE_ENTRY, VIRTUAL_SERVICE, WORKLOAD_ENTRY
from artemon.model.resource import Resource
from artemon.model.tolerant import decode_tolerantly
from artemon.model.workload import Workload
from artemon.snapshot.edge.known import NAMESPACE_LABELS
from artemon.store.api import Entry
from galleyd import status
from galleyd.claims import claims_of_address, claims_of_entry, claims_of_routes, granted, held
from galleyd.edge_claims import claims_of_gateway
from galleyd.edits import How, Plan
from galleyd.holds import OTHERS, Claim, Stock
from galleyd.judge import Judge
from galleyd.keys import Keys
from galleyd.objects import meta_of
from galleyd.rights import Ask
from galleyd.writes import decode

_KINDS = (VIRTUAL_SERVICE, GATEWAY, SERVICE_ENTRY, WORKLOAD_ENTRY)


@dataclass(slots=True)
class Vetting:
    """Judges plans of whoever is not an administrator of the mesh.

    entries: all of the configuration as last seen. namespaces: those that are known otherwise.
    """

    keys: Keys
    entries: Callable[[], Iterable[Entry]]
    grants: Callable[[], Sequence[Resource[HostGrant]]]
    namespaces: Callable[[], Iterable[str]]
    guarded: set[str]
    workloads: Callable[[], Iterable[Workload]] = tuple
    _decoded: dict[str, tuple[int, Resource[Any] | None]] = field(default_factory=dict)

    def __call__(self, plans: Sequence[Plan], how: How) -> None:
        """Raises ApiError 403 with every reason."""
        judge = how.judge
        if judge is not None and not judge.is_admin:
            _refuse_marks(plans)
        concerned = [plan for plan in plans if plan.outcome.ref.kind in _KINDS and plan.write]
        if judge is None or not concerned or judge.is_admin:
            return
        stock = self._stock(concerned)
        causes = [cause for plan in concerned for cause in self._causes(plan, stock, judge)]
        if causes:
            text = "; ".join(f"{cause.subject}: {cause.field}: {cause.message}" for cause in causes)
            raise status.ApiError(403, "Forbidden", f"nothing was written: {text}", causes=causes)

    def _causes(self, plan: Plan, stock: Stock, judge: Judge) -> Iterator[status.Cause]:
        one = _decode(plan)
        if one is None:
            return
        namespace, plural = one.meta.namespace, one.kind.plural
        for claim in dict.fromkeys(_claims_of_change(_before(plan), one, stock)):
            theirs = (
                claim.owner != OTHERS
                and claim.lendable
                and judge.may(Ask("update", plural, one.kind.group, claim.owner))
            )
            if not theirs and not granted(claim, namespace, stock.grants, stock.domain):
                yield status.Cause(claim.path, _told(claim), "FieldValueForbidden", str(plan.outcome.ref))

    def _stock(self, plans: Sequence[Plan]) -> Stock:
        found = self._known()
        for plan in plans:
            found[self.keys.of(plan.outcome.ref)] = _decode(plan)
        present = [one for one in found.values() if one is not None]
        return Stock(
            routes=[one for one in present if one.kind is VIRTUAL_SERVICE],
            gateways=[one for one in present if one.kind is GATEWAY],
            workloads=[one.labels for one in self.workloads()],
            entries=[one for one in present if one.kind is SERVICE_ENTRY],
            grants=self.grants(),
            guarded=frozenset(self.guarded),
            namespaces=frozenset(self.namespaces()),
        )

    def _known(self) -> dict[str, Resource[Any] | None]:
        prefixes = tuple(self.keys.collection(kind) for kind in (VIRTUAL_SERVICE, GATEWAY, SERVICE_ENTRY))
        entries = {entry.key: entry for entry in self.entries() if entry.key.startswith(prefixes)}
        for key in self._decoded.keys() - entries.keys():
            del self._decoded[key]
        for key, entry in entries.items():
            if self._decoded.get(key, (-1, None))[0] != entry.version:
                stored = decode(entry)
                resource = decode_tolerantly(stored.object).resource if stored else None
                self._decoded[key] = (entry.version, resource)
        return {key: resource for key, (_, resource) in self._decoded.items()}


def _refuse_marks(plans: Sequence[Plan]) -> None:
    """Raises ApiError 403 for labels of namespaces that are told by those whom they let in."""
    path = f'metadata.annotations["{NAMESPACE_LABELS}"]'
    causes = [
        status.Cause(path, "is written by galleyd alone", "FieldValueForbidden", str(plan.outcome.ref))
        for plan in plans
        if plan.write
        and plan.write.after is not None
        and NAMESPACE_LABELS in (meta_of(plan.write.after).get("annotations") or {})
    ]
    if causes:
        text = "; ".join(f"{cause.subject}: {cause.field}: {cause.message}" for cause in causes)
        raise status.ApiError(403, "Forbidden", f"nothing was written: {text}", causes=causes)


def _decode(plan: Plan) -> Resource[Any] | None:
    """What a plan makes of its object; None when it is deleted."""
    if plan.write is None or plan.write.after is None:
        return None
    found = decode_tolerantly(plan.write.after).resource
    # what is only being made has no age yet, whatever it says
    return (
        found if found is None or plan.write.before else replace(found, meta=replace(found.meta, created=""))
    )


def _before(plan: Plan) -> Resource[Any] | None:
    """The object as it was; None for one that is only being made."""
    before = plan.write.before if plan.write else None
    return decode_tolerantly(before.object).resource if before is not None else None


def _claims_of_change(before: Resource[Any] | None, after: Resource[Any], stock: Stock) -> Iterator[Claim]:
    """What is claimed anew is as young as the change is, however old the object."""
    fresh = replace(after, meta=replace(after.meta, created=""))
    so_far, way = held(before, stock) if before is not None else (frozenset[str](), None)
    kept = so_far if way == held(after, stock)[1] else frozenset[str]()
    as_old = set(_claims(after, stock))
    yield from (one for one in _claims(fresh, stock) if one.what not in kept or one in as_old)


def _claims(one: Resource[Any], stock: Stock) -> Iterator[Claim]:
    if one.kind is VIRTUAL_SERVICE:
        yield from claims_of_routes(one, stock)
    elif one.kind is GATEWAY:
        yield from claims_of_gateway(one, stock)
    elif one.kind is SERVICE_ENTRY:
        yield from claims_of_entry(one, stock)
    else:
        yield from claims_of_address("spec.address", one.spec.address, stock)


def _told(claim: Claim) -> str:
    home = 'write exportTo: ["."] to route your own clients alone, or ' if claim.abroad else ""
    owner = claim.owner if claim.lendable else OTHERS
    ask = f"ask for a HostGrant in namespace {owner}" if owner != OTHERS else "ask a mesh-admin"
    return f'"{claim.what}" {claim.reason}' + (f"; {home}{ask}" if claim.lendable else "")


def guarded_hosts(*urls: str) -> set[str]:
    """The hosts of URLs (several with commas) and `host:port` addresses."""
    found = set()
    for url in urls:
        for part in (urlsplit(url).netloc if "://" in url else url).split(","):
            try:
                found.add(split_address(part.rpartition("@")[2])[0].strip("[]").lower())
            except ArtemonError:
                found.add(part.lower())
    return found - {""}
