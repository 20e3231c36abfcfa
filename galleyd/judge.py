"""What a request asks for, and the answer to it: 403 with the reason that Kubernetes gives."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from artemon.model.access import AUDITOR, EDITOR, MESH_ADMIN, NAMESPACE_ADMIN, VIEWER
from artemon.pki.spiffe import SYSTEM_NAMESPACE
from galleyd import catalog, described, status
from galleyd.callers import Caller
from galleyd.catalog import REVIEW_PATHS
from galleyd.rights import EVERYWHERE, READ, Ask, Rights, role_allows

FOR_ALL = frozenset(
    {*(("GET", path) for path in described.PATHS), *(("POST", path) for path in REVIEW_PATHS)}
)
"""What every known caller may ask: method and path as routed. Not guessed from the text of a URL."""
OURS = "/artemon/v1/"
JUDGED_INSIDE = frozenset(
    {"analysis", "transactions", "proxies", "jointokens", "debug", "registries", "callers"}
)
"""Below OURS: what is judged by its handler, object by object."""
_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_BY_WEIGHT = (VIEWER, AUDITOR, EDITOR, NAMESPACE_ADMIN, MESH_ADMIN)


@dataclass(frozen=True, slots=True)
class Judge:
    """Answers for one caller."""

    rights: Rights
    caller: Caller

    def insist(self, ask: Ask) -> None:
        """Raises ApiError 403 unless the caller may do this."""
        if not self.rights.why(self.caller, ask):
            raise refusal(self.caller.name, ask)

    def may(self, ask: Ask) -> bool:
        """Whether the caller may do this."""
        return bool(self.rights.why(self.caller, ask))

    def namespaces(self, verb: str, resource: str) -> frozenset[str] | None:
        """The namespaces in which the caller may; None: in all. Raises ApiError 403 when in none."""
        found = self.rights.namespaces(self.caller, verb, resource)
        if found is not None and not found:
            raise refusal(self.caller.name, Ask(verb, resource))
        return found

    @property
    def is_admin(self) -> bool:
        """Whether the caller may do everything."""
        return self.rights.is_admin(self.caller)


def refusal(who: str, ask: Ask) -> status.ApiError:
    """403, in Kubernetes' words, and which role would do."""
    whole = f"{ask.resource}.{ask.group}" if ask.group else ask.resource
    named = f'{whole} "{ask.name}"' if ask.name else whole
    where = f'in the namespace "{ask.namespace}"' if ask.namespace else "at the cluster scope"
    what = f'User "{who}" cannot {ask.verb} resource "{ask.resource}" in API group "{ask.group}" {where}'
    role = next((role for role in _BY_WEIGHT if role_allows(role, ask)), MESH_ADMIN)
    place = SYSTEM_NAMESPACE if role == MESH_ADMIN or not ask.namespace else ask.namespace
    text = f"{named} is forbidden: {what}; a RoleBinding in namespace {place} with role {role} would allow it"
    details = {"name": ask.name, "group": ask.group, "kind": ask.resource}
    return status.ApiError(
        403, "Forbidden", text, details={key: value for key, value in details.items() if value}
    )


def question_of(request: web.Request) -> Ask | None:
    """What the caller must be allowed; None: it is open to every known caller, or judged by its handler.

    Told by the route that was matched. A path of no route asks for something that only an administrator may.
    """
    resource = request.match_info.route.resource
    path = resource.canonical if resource is not None else ""
    if (request.method, path) in FOR_ALL or (request.method, path) == ("HEAD", ""):
        return None
    verb = _VERBS.get(request.method, "*")
    if path.startswith(OURS):
        what = path.removeprefix(OURS).partition("/")[0]
        return None if what in JUDGED_INSIDE else Ask(verb, what)
    if path == "/metrics":
        return Ask(verb, "metrics")
    if path.startswith(("/api/v1/namespaces", "/api/v1/events", "/apis/{group}", "/api/v1/{plural")):
        return _of_objects(request, verb, path)
    return Ask(verb, path or "*")


def _of_objects(request: web.Request, verb: str, path: str) -> Ask:
    parts = request.match_info
    namespace, name = parts.get("namespace", EVERYWHERE), parts.get("name", "")
    if path.rpartition("/")[2] == "events":
        return Ask("list", catalog.EVENT.plural, "", namespace)
    if "plural" not in parts:  # namespaces themselves: whoever sees into one sees that it exists
        within = name if verb in READ else EVERYWHERE
        return Ask(verb if name or verb not in READ else "list", catalog.NAMESPACE.plural, "", within, name)
    if not name:
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
        verb = "watch" if verb == "list" and "watch" in request.query else verb
    return Ask(verb, parts["plural"], parts.get("group", ""), namespace, name)
