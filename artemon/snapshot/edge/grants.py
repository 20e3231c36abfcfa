"""ReferenceGrants: who may refer to objects of other namespaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from artemon.model.gateway_api import GROUP
from artemon.model.resource import Resource


@dataclass(frozen=True, slots=True)
class Grants:
    """All of them."""

    grants: Sequence[Resource[Any]] = ()

    def allow(self, kind: str, source: str, *, target: str, namespace: str, name: str) -> bool:
        """Whether a `kind` of Gateway API in namespace `source` may refer to the `target` (a kind of
        Kubernetes' core) called `name` in `namespace`."""
        return source == namespace or any(
            any((one.group, one.kind, one.namespace) == (GROUP, kind, source) for one in grant.spec.from_)
            and any((to.group, to.kind) == ("", target) and to.name in ("", name) for to in grant.spec.to)
            for grant in self.grants
            if grant.meta.namespace == namespace
        )
