"""Who may do what: roles, bindings, and the judgement. Pure; nothing is allowed that no rule allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from artemon.model import kinds
from artemon.model.access import (
    AUDITOR,
    EDITOR,
    GROUP,
    MESH_ADMIN,
    NAMESPACE_ADMIN,
    SERVICE_ACCOUNT,
    USER,
    VIEWER,
)
from artemon.pki.spiffe import SYSTEM_NAMESPACE
from galleyd.callers import ADMINS, READERS, Caller

EVERYWHERE = ""
"""As the namespace of a grant: all of the mesh. As the namespace of a question: it is about no single one."""
READ = frozenset({"get", "list", "watch"})
WRITE = frozenset({"create", "update", "patch", "delete", "deletecollection"})

PATCHES = frozenset({kinds.ENVOY_FILTER.plural, kinds.WASM_PLUGIN.plural, kinds.TRAFFIC_EXTENSION.plural})
"""What runs inside of Envoy as it is written, so that no namespace can contain it."""
REACHING = frozenset({kinds.HANDLER.plural})
"""What makes mixerd write files and call others."""
_CONFIG = (
    frozenset(
        kind.plural for kind in (*kinds.KINDS, *kinds.MIXER_KINDS, *kinds.GATEWAY_API_KINDS, kinds.RATE_LIMIT)
    )
    - PATCHES
    - REACHING
)
_SHARED = frozenset({"mesh", "wait"})
"""Of no namespace, and for whoever has any role."""
_SEEN = (
    _CONFIG
    | PATCHES
    | REACHING
    | {kinds.INGRESS.plural}  # written by mesh-admins alone: it takes hosts of everybody's gateway
    | {"hostgrants", "identitygrants", "namespaces", "events", "proxies", "history", "debug", "metrics"}
    | {"telemetry"}
)
_OWNED = frozenset({"rolebindings", "hostgrants", "identitygrants", "secrets", "jointokens"})

_ROLES: Mapping[str, tuple[tuple[frozenset[str], frozenset[str]], ...]] = {
    VIEWER: ((READ, _SEEN),),
    AUDITOR: ((READ, _SEEN | {"rolebindings", "audit"}),),
    EDITOR: ((READ, _SEEN), (WRITE, _CONFIG)),
    NAMESPACE_ADMIN: ((READ, _SEEN | _OWNED), (WRITE, _CONFIG | _OWNED)),
}
"""Role -> pairs of verbs and resources. MESH_ADMIN may do everything and is not in the table."""


@dataclass(frozen=True, slots=True)
class Ask:
    """May somebody do this? In Kubernetes' terms: verb, plural of the resource, group, namespace, name."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = EVERYWHERE
    name: str = ""


@dataclass(frozen=True, slots=True)
class Binding:
    """A role for subjects, `(kind, name, namespace)`; namespace EVERYWHERE: in all of the mesh."""

    name: str
    role: str
    namespace: str
    subjects: frozenset[tuple[str, str, str]]


def names_of(caller: Caller) -> frozenset[tuple[str, str, str]]:
    """As what a caller can be bound."""
    found = {(USER, caller.name, ""), *((GROUP, group, "") for group in caller.groups)}
    if caller.account:
        namespace, name = caller.account
        found.add((SERVICE_ACCOUNT, name, namespace))
    return frozenset(found)


def role_allows(role: str, ask: Ask) -> bool:
    """Whether a role, where it is bound, includes what is asked."""
    if role == MESH_ADMIN:
        return True
    if ask.resource in _SHARED:
        return ask.verb in READ
    return any(ask.verb in verbs and ask.resource in resources for verbs, resources in _ROLES.get(role, ()))


@dataclass(frozen=True, slots=True)
class Rights:
    """Judges. bindings: those in force at the moment."""

    bindings: Callable[[], Sequence[Binding]] = field(default=tuple)

    def why(self, caller: Caller, ask: Ask) -> str:
        """What allows it; "" when nothing does."""
        for grant in self._grants(caller):
            if self._applies(grant, ask) and role_allows(grant.role, ask):
                where = f"in namespace {grant.namespace}" if grant.namespace else "in the mesh"
                return f"{grant.name} gives the role {grant.role} {where}"
        return ""

    def namespaces(self, caller: Caller, verb: str, resource: str) -> frozenset[str] | None:
        """The namespaces in which it is allowed; None: in all."""
        found = set()
        for grant in self._grants(caller):
            if role_allows(grant.role, Ask(verb, resource)):
                if grant.namespace == EVERYWHERE:
                    return None
                found.add(grant.namespace)
        return frozenset(found)

    def is_admin(self, caller: Caller) -> bool:
        """Whether the caller may do everything."""
        return bool(self.why(caller, Ask("*", "*")))

    @staticmethod
    def _applies(grant: Binding, ask: Ask) -> bool:
        if grant.namespace == EVERYWHERE:
            # who administers namespaces does not thereby say who administers the mesh
            escalates = ask.namespace == SYSTEM_NAMESPACE and ask.verb in WRITE
            return grant.role == MESH_ADMIN or not escalates
        return ask.namespace == grant.namespace or ask.resource in _SHARED

    def _grants(self, caller: Caller) -> list[Binding]:
        fixed = [(ADMINS, MESH_ADMIN), (READERS, VIEWER)]
        found = [
            Binding(f"group {group}", role, EVERYWHERE, frozenset())
            for group, role in fixed
            if group in caller.groups
        ]
        names = names_of(caller)
        return found + [binding for binding in self.bindings() if not names.isdisjoint(binding.subjects)]
