"""The door: what a user wrote is decoded strictly and validated, every problem at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from artemon.errors import Problem
from artemon.model.resource import Kind, Resource
from artemon.model.tolerant import UNKNOWN, decode_tolerantly, without
from galleyd import status
from galleyd.objects import Object, Ref, created, split, updated

Check = Callable[[Resource[Any]], Iterable[Problem]]

_MODES = ("", "Ignore", "Warn", "Strict")


def _ignored(kind: Kind, reason: str) -> None:
    """Counts nothing."""


@dataclass(frozen=True, slots=True)
class Admission:
    """checks: what finds problems in a decoded resource, errors and warnings.
    count: told of every verdict: kind, and "" when admitted, else the reason."""

    checks: Sequence[Check]
    count: Callable[[Kind, str], None] = field(default=_ignored)

    def admit(self, ref: Ref, obj: Object, validation: str) -> tuple[Object, tuple[Problem, ...]]:
        """What is to be stored of `obj`, and warnings. Raises ApiError with every reason: 400 for unknown
        fields alone in Strict mode, else 422."""
        try:
            found = self._admit(ref, obj, validation)
        except status.ApiError as error:
            self.count(ref.kind, error.reason)
            raise
        self.count(ref.kind, "")
        return found

    def created(self, obj: Object, *, uid: str, now: str) -> Object:
        """What was admitted, as a new object."""
        return created(obj, uid=uid, now=now)

    def updated(self, before: Object, obj: Object) -> Object:
        """What was admitted, in the place of `before`."""
        return updated(before, obj)

    def _admit(self, ref: Ref, obj: Object, validation: str) -> tuple[Object, tuple[Problem, ...]]:
        if validation not in _MODES:
            raise status.bad_request(f'fieldValidation must be Ignore, Warn or Strict, not "{validation}"')
        whole = _named(ref, obj)
        decoded = decode_tolerantly(whole)
        unknown, wrong = decoded.unknown, list(decoded.wrong)
        readable = decoded.resource or decoded.despite
        if readable:
            found = [problem for check in self.checks for problem in check(readable)]
            wrong += [problem for problem in found if problem.level == "error"]
            warnings = [problem for problem in found if problem.level == "warning"]
        else:
            warnings = []
        strict = unknown if validation == "Strict" else ()
        if wrong:
            causes = [status.cause_of(problem) for problem in [*strict, *wrong]]
            raise status.invalid(ref.kind, ref.name, causes)
        if strict:
            raise _strict(strict)
        if validation != "Ignore":
            warnings = [replace(problem, level="warning") for problem in unknown] + warnings
        kept, dropped = split(without(whole, {problem.path for problem in unknown}))
        kept["apiVersion"] = ref.kind.api_version
        return kept, (*dropped, *warnings)


def _named(ref: Ref, obj: Object) -> Object:
    meta = obj.get("metadata")
    if not isinstance(meta, dict):
        return obj
    return {**obj, "metadata": {**meta, "name": ref.name, "namespace": ref.namespace}}


def _strict(unknown: Sequence[Problem]) -> status.ApiError:
    listed = ", ".join(
        f'{UNKNOWN} "{problem.path}"{problem.message.removeprefix(UNKNOWN)}' for problem in unknown
    )
    causes = [status.cause_of(problem) for problem in unknown]
    return status.bad_request(f"strict decoding error: {listed}", causes=causes)
