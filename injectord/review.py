"""The verdict on one review, without I/O."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from artemon.errors import Refused
from artemon.inject import Injection
from artemon.kube.admission import Asked, allowed, refused

Inject = Callable[[Mapping[str, Any], str], Injection]
Outcome = Literal["success", "skip", "failure"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer as JSON has it, and what it amounts to. reason: why there is no proxy."""

    body: dict[str, Any]
    outcome: Outcome
    reason: str = ""


def answer(asked: Asked, inject: Inject) -> Verdict:
    """What the API server is told: a patch, nothing to do, or a refusal with every reason."""
    if asked.object is None or asked.operation != "CREATE":
        return Verdict(allowed(asked), "skip", f"{asked.operation} changes no proxy")
    try:
        done = inject(asked.object, asked.namespace)
    except Refused as refusal:
        return Verdict(refused(asked, str(refusal)), "failure", str(refusal))
    if done.skipped:
        return Verdict(allowed(asked), "skip", done.skipped)
    patch = base64.b64encode(json.dumps(list(done.patch)).encode()).decode()
    return Verdict(allowed(asked, warnings=done.warnings, patchType="JSONPatch", patch=patch), "success")
