"""What the verbs mean: create, replace, patch, delete, and several at once. No HTTP here."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol
from uuid import uuid4

from artemon.errors import Problem
from galleyd import status
from galleyd.admission import Admission
from galleyd.judge import Judge
from galleyd.objects import Object, Ref, Stored, generated_name, meta_of, with_status
from galleyd.writer import TRIES, Writer
from galleyd.writes import Committed, Lost, Write


@dataclass(frozen=True, slots=True)
class How:
    """How a write is done. validation: Strict, Warn or Ignore unknown fields. dry_run: say what would be.
    judge: of what the writer may do; None: of everything."""

    who: str
    validation: str = "Warn"
    dry_run: bool = False
    judge: Judge | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write did: `created`, `configured`, `unchanged` or `deleted`, and the object as it is now."""

    ref: Ref
    result: str
    stored: Stored
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What a caller expects of the object: "" is no matter. versioned: he must name the version that he has
    seen."""

    version: str = ""
    uid: str = ""
    versioned: bool = False

    def check(self, ref: Ref, stored: Stored) -> None:
        """Raises ApiError 409 when the object is not the expected one, 422 when a version is missing."""
        if self.versioned and not self.version:
            cause = status.Cause("metadata.resourceVersion", "must be specified for an update")
            raise status.invalid(ref.kind, ref.name, [cause])
        uid = stored.object["metadata"].get("uid", "")
        if self.uid and self.uid != uid:
            raise status.conflict(ref.kind, ref.name, f"its uid is {uid}, not {self.uid}")
        if self.version and self.version != str(stored.version):
            raise status.conflict(ref.kind, ref.name)


@dataclass(frozen=True, slots=True)
class Plan:
    """A write that is decided but not done."""

    write: Write | None
    outcome: Outcome


class Way(Protocol):
    """How objects of a kind are taken in."""

    def admit(self, ref: Ref, obj: Object, validation: str) -> tuple[Object, tuple[Problem, ...]]:
        """What is to be stored of `obj`, and warnings. Raises ApiError."""

    def created(self, obj: Object, *, uid: str, now: str) -> Object:
        """What was admitted, as a new object."""

    def updated(self, before: Object, obj: Object) -> Object:
        """What was admitted, in the place of `before`."""


async def _anything(_: Sequence[Plan]) -> None:
    """Refuses nothing."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Edits:
    """The writing half of the API. ways: by name, the kinds that are not taken in by `admission`.
    across: adds warnings about what plans mean for other objects. vet: refuses plans for what they mean for
    others, `fit` for what they lack; both raise ApiError."""

    writer: Writer
    admission: Admission
    ways: Mapping[str, Way] = field(default_factory=dict)
    across: Callable[[Sequence[Plan]], Sequence[Plan]] = lambda plans: plans
    vet: Callable[[Sequence[Plan], How], None] = lambda plans, how: None
    fit: Callable[[Sequence[Plan]], Awaitable[None]] = _anything
    now: Callable[[], str] = _now
    uid: Callable[[], str] = field(default=lambda: str(uuid4()))

    async def create(self, ref: Ref, obj: Object, how: How) -> Outcome:
        """POST. Raises ApiError 409 when it exists."""
        prefix = meta_of(obj).get("generateName")
        for _ in range(TRIES):
            named = ref
            if not ref.name and prefix:
                named = replace(ref, name=generated_name(prefix, secrets.choice))
                obj = {**obj, "metadata": {**meta_of(obj), "name": named.name}}
            admitted, warnings = self._way(named).admit(named, obj, how.validation)
            if await self.writer.version(named):
                if named is ref:
                    break
                continue
            fresh = self._way(named).created(admitted, uid=self.uid(), now=self.now())
            plan = self._plan(named, None, fresh, warnings)
            try:
                return await self._do(plan, how)
            except Lost:
                continue
        raise status.already_exists(ref.kind, ref.name)

    async def replace(self, ref: Ref, obj: Object, how: How, expected: Preconditions) -> Outcome:
        """PUT: the whole object but its status."""
        stored = await self._existing(ref)
        expected.check(ref, stored)
        admitted, warnings = self._way(ref).admit(ref, obj, how.validation)
        plan = self._plan(ref, stored, self._way(ref).updated(stored.object, admitted), warnings)
        try:
            return await self._do(plan, how)
        except Lost:
            raise status.conflict(ref.kind, ref.name) from None

    async def change(self, ref: Ref, edit: Callable[[Stored], Object], how: How) -> Outcome:
        """PATCH: `edit` makes the new object of the present one; tried again when somebody else wrote.

        A `metadata.resourceVersion` or `uid` in the new object that differs is a failed precondition.
        """
        for _ in range(TRIES):
            stored = await self._existing(ref)
            wanted = edit(stored)
            meta = meta_of(wanted)
            expected = Preconditions(str(meta.get("resourceVersion") or ""), str(meta.get("uid") or ""))
            expected.check(ref, stored)
            admitted, warnings = self._way(ref).admit(ref, wanted, how.validation)
            plan = self._plan(ref, stored, self._way(ref).updated(stored.object, admitted), warnings)
            try:
                return await self._do(plan, how)
            except Lost:
                continue
        raise status.conflict(ref.kind, ref.name)

    async def set_status(
        self, ref: Ref, edit: Callable[[Stored], Object], how: How, expected: Preconditions
    ) -> Outcome:
        """PUT or PATCH of `/status`: nothing but the status changes."""
        for _ in range(TRIES):
            stored = await self._existing(ref)
            expected.check(ref, stored)
            plan = self._plan(ref, stored, with_status(stored.object, edit(stored).get("status")), ())
            try:
                return await self._do(plan, how)
            except Lost:
                continue
        raise status.conflict(ref.kind, ref.name)

    async def delete(self, ref: Ref, how: How, expected: Preconditions) -> Outcome:
        """DELETE."""
        for _ in range(TRIES):
            stored = await self._existing(ref)
            expected.check(ref, stored)
            plan = Plan(Write(ref, stored, None), Outcome(ref, "deleted", stored))
            try:
                return await self._do(plan, how)
            except Lost:
                continue
        raise status.conflict(ref.kind, ref.name)

    async def apply(
        self, objects: Sequence[tuple[Ref, Object]], deletes: Sequence[Ref], how: How
    ) -> tuple[int, list[Outcome]]:
        """Several objects at once, all or none: each becomes what is given, deleted ones vanish.

        Returns the revision (0: nothing had to change) and one outcome per object, in order.
        """
        admitted, failures = [], []
        for ref, obj in objects:
            try:
                admitted.append((ref, *self._way(ref).admit(ref, obj, how.validation)))
            except status.ApiError as error:
                failures.append((ref, error))
        if failures:
            raise _all(failures)
        for _ in range(TRIES):
            found = await self.writer.read_all([*(ref for ref, *_ in admitted), *deletes])
            plans = [self._upsert(*item, found[item[0]]) for item in admitted]
            plans += [_removal(ref, found[ref]) for ref in deletes]
            try:
                return await self._do_all(plans, how)
            except Lost:
                continue
        raise status.ApiError(409, "Conflict", "others keep writing the same objects; try again")

    def _way(self, ref: Ref) -> Way:
        return self.ways.get(ref.kind.name, self.admission)

    async def _existing(self, ref: Ref) -> Stored:
        stored = await self.writer.read(ref)
        if stored is None:
            raise status.not_found(ref.kind, ref.name)
        return stored

    def _upsert(self, ref: Ref, obj: Object, warnings: Sequence[Problem], stored: Stored | None) -> Plan:
        if stored:
            return self._plan(ref, stored, self._way(ref).updated(stored.object, obj), warnings)
        fresh = self._way(ref).created(obj, uid=self.uid(), now=self.now())
        return self._plan(ref, None, fresh, warnings)

    def _plan(self, ref: Ref, stored: Stored | None, after: Object, warnings: Sequence[Problem]) -> Plan:
        if stored and stored.sequence and stored.object == after:
            return Plan(None, Outcome(ref, "unchanged", stored, tuple(warnings)))
        result = "configured" if stored else "created"
        now = Stored(after, stored.version if stored else 0)
        return Plan(Write(ref, stored, after), Outcome(ref, result, now, tuple(warnings)))

    async def _do(self, plan: Plan, how: How) -> Outcome:
        _, outcomes = await self._do_all([plan], how)
        return outcomes[0]

    async def _do_all(self, plans: Sequence[Plan], how: How) -> tuple[int, list[Outcome]]:
        self.vet(plans, how)
        await self.fit(plans)
        plans = self.across(plans)
        writes = [plan.write for plan in plans if plan.write]
        if how.dry_run or not writes:
            for write in writes:
                self.writer.check(write)
            return 0, [plan.outcome for plan in plans]
        done = await self.writer.commit(writes, who=how.who)
        return done.revision, [self._at(plan, done) for plan in plans]

    def _at(self, plan: Plan, done: Committed) -> Outcome:
        if plan.write is None:
            return plan.outcome
        version = done.versions.get(self.writer.key_of(plan.write.ref), done.revision)
        return replace(plan.outcome, stored=Stored(plan.outcome.stored.object, version))


def _removal(ref: Ref, stored: Stored | None) -> Plan:
    if stored is None:
        raise status.not_found(ref.kind, ref.name)
    return Plan(Write(ref, stored, None), Outcome(ref, "deleted", stored))


def _all(failures: Sequence[tuple[Ref, status.ApiError]]) -> status.ApiError:
    causes = [
        replace(cause, subject=str(ref))
        for ref, error in failures
        for cause in (error.causes or (status.Cause("", error.message),))
    ]
    text = "; ".join(f"{cause.subject}: {cause.field}: {cause.message}" for cause in causes)
    return status.ApiError(422, "Invalid", f"nothing was written: {text}", causes=causes)
