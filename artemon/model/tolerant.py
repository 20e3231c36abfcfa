"""Decoding that goes on after unknown fields, so that everything wrong can be told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from artemon.errors import Problem, Refused
from artemon.model.decode import decode
from artemon.model.message import Message
from artemon.model.resource import Resource
from artemon.model.words import path_of

UNKNOWN = "unknown field"


@dataclass(frozen=True, slots=True)
class Decoded:
    """resource: without its unknown fields; None when the rest cannot be decoded, for what is `wrong`.
    despite: where only its metadata is wrong, the same with metadata that stands in: for finding what else
    is wrong, never for keeping."""

    resource: Resource[Message] | None
    unknown: tuple[Problem, ...] = ()
    wrong: tuple[Problem, ...] = ()
    despite: Resource[Message] | None = None


def decode_tolerantly(obj: Mapping[str, Any], *, namespace: str = "default") -> Decoded:
    """Like `decode`, with unknown fields told apart from everything else that is wrong. Raises nothing."""
    try:
        return Decoded(decode(obj, namespace=namespace))
    except Refused as refusal:
        unknown = tuple(problem for problem in refusal.problems if problem.message.startswith(UNKNOWN))
        wrong = tuple(problem for problem in refusal.problems if problem not in unknown)
    known = without(dict(obj), {problem.path for problem in unknown}) if unknown else dict(obj)
    try:
        return Decoded(decode(known, namespace=namespace), unknown=unknown)
    except Refused as refusal:
        found = wrong or tuple(refusal.problems)
    return Decoded(None, unknown, found, _despite(known, found, namespace=namespace))


def _despite(obj: Mapping[str, Any], wrong: Sequence[Problem], *, namespace: str) -> Resource[Message] | None:
    if any(problem.path.split(".")[0].split("[")[0] != "metadata" for problem in wrong):
        return None
    try:
        return decode({**obj, "metadata": {"name": "unnamed"}}, namespace=namespace)
    except Refused:
        return None


def without(value: Any, paths: Set[str], at: str = "") -> Any:
    """`value` without the fields that lie at `paths` (as problems name them)."""
    if isinstance(value, dict):
        places = {key: path_of((key,), at) for key in value}
        return {
            key: without(item, paths, places[key]) for key, item in value.items() if places[key] not in paths
        }
    if isinstance(value, list):
        return [without(item, paths, path_of((number,), at)) for number, item in enumerate(value)]
    return value
