"""What Kubernetes' clients ask beside the kinds: namespaces, events, and who they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiohttp import web

from artemon.model.envelope import is_dns_label, meta_problems
from galleyd import body, protobuf, status
from galleyd import request as ask
from galleyd.catalog import EVENT, NAMESPACE, REVIEW_PATHS
from galleyd.forms import Form, asked_form
from galleyd.lists import Listed, Pages, listed, namespace_object
from galleyd.objects import Object, Ref, Stored
from galleyd.rest import Rest, list_meta
from galleyd.rights import Ask
from galleyd.selectors import selector
from galleyd.writes import Lost, Write


@dataclass(frozen=True, slots=True)
class Core:
    """Handlers of `/api/v1` and of the two self reviews."""

    rest: Rest

    def routes(self) -> list[web.RouteDef]:
        """The paths."""
        namespaces = "/api/v1/namespaces"
        answers = {"SelfSubjectAccessReview": self.access_review, "SelfSubjectReview": self.review}
        return [
            web.get(namespaces, self.namespaces),
            web.post(namespaces, self.create_namespace),
            web.get(f"{namespaces}/{{name}}", self.namespace),
            web.delete(f"{namespaces}/{{name}}", self.delete_namespace),
            web.get("/api/v1/events", self.events),
            web.get(f"{namespaces}/{{namespace}}/events", self.events),
            *(web.post(path, answers[kind]) for path, kind in REVIEW_PATHS.items()),
        ]

    async def namespaces(self, request: web.Request) -> web.Response:
        """GET: those that are in use or were made."""
        if ask.flag(request, "watch"):
            raise status.ApiError(405, "MethodNotAllowed", "namespaces cannot be watched; list them")
        found = await self._listed(request)
        limit, token = ask.number(request, "limit"), request.query.get("continue")
        page = self.rest.pages.next(token, limit) if token else self.rest.pages.first(found, limit)
        return web.json_response(self._form(request).many(page.items, list_meta(page)))

    async def namespace(self, request: web.Request) -> web.Response:
        """GET one."""
        stored = await self._find(request.match_info["name"])
        return web.json_response(self._form(request).one(stored))

    async def create_namespace(self, request: web.Request) -> web.Response:
        """POST: a namespace that stays without objects in it."""
        obj = await _namespace_body(request)
        meta = obj.get("metadata")
        problems = list(meta_problems(meta))
        if problems or not isinstance(meta, dict):
            raise status.invalid(NAMESPACE, "", [status.cause_of(problem) for problem in problems])
        name = meta["name"]
        how = ask.how(request)
        ref = Ref(NAMESPACE, "", name)
        fresh = namespace_object(name)
        labels = {**(meta.get("labels") or {}), **fresh["metadata"]["labels"]}
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        own = {"uid": str(uuid4()), "creationTimestamp": now, "labels": labels}
        if meta.get("annotations"):
            own["annotations"] = meta["annotations"]
        fresh["metadata"] |= own
        revision = await self._create(ref, fresh, who=how.who, dry_run=how.dry_run)
        return web.json_response(self._form(request).one(Stored(fresh, revision)), status=201)

    async def delete_namespace(self, request: web.Request) -> web.Response:
        """DELETE: only an empty one, so that nothing vanishes unseen."""
        name = request.match_info["name"]
        given = await ask.delete_options(request)
        ref = Ref(NAMESPACE, "", name)
        stored = await self._find(name)
        layout = self.rest.keys.layout
        used = [await self.rest.store.list(prefix) for prefix in (layout.configs, layout.secrets)]
        inside = [entry for one in used for entry in one.entries if entry.key.split("/")[-2:-1] == [name]]
        if inside:
            raise status.conflict(NAMESPACE, name, f"{len(inside)} objects are in it; delete them first")
        how = ask.how(request, given.options)
        if stored.version and not how.dry_run:
            await self.rest.edits.writer.commit([Write(ref, stored, None)], who=how.who)
        return web.json_response(
            status.success(NAMESPACE, name, str(stored.object["metadata"].get("uid", "")))
        )

    async def events(self, request: web.Request) -> web.Response:
        """GET: there are none."""
        form = Form(EVENT, "v1", self.rest.table, asked_form(request.headers.get("Accept", "")))
        position = (await self.rest.store.list(self.rest.keys.namespaces)).position
        return web.json_response(form.many([], list_meta(Pages().first(Listed((), position.revision), 0))))

    async def review(self, request: web.Request) -> web.Response:
        """POST: who the caller is."""
        caller = request[ask.CALLER]
        user = {"username": caller.name, "groups": list(caller.groups)}
        answer = {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}}
        return web.json_response({**answer, "status": {"userInfo": user}}, status=201)

    async def access_review(self, request: web.Request) -> web.Response:
        """POST: whether the caller may do something."""
        caller = request[ask.CALLER]
        spec = await _review_spec(request)
        wanted = spec.get("resourceAttributes") or {}
        verb = str(wanted.get("verb", "")) if isinstance(wanted, dict) else ""
        texts = {key: str(value) for key, value in wanted.items()} if isinstance(wanted, dict) else {}
        plural = texts.get("resource", "").partition("/")[0]
        question = Ask(
            verb, plural, texts.get("group", ""), texts.get("namespace", ""), texts.get("name", "")
        )
        reason = request[ask.JUDGE].rights.why(caller, question)
        return web.json_response(
            {
                "kind": "SelfSubjectAccessReview",
                "apiVersion": "authorization.k8s.io/v1",
                "metadata": {},
                "spec": spec,
                "status": {"allowed": bool(reason), "reason": reason or "no RoleBinding allows it"},
            },
            status=201,
        )

    def _form(self, request: web.Request) -> Form:
        name = asked_form(request.headers.get("Accept", ""))
        return Form(NAMESPACE, "v1", self.rest.table, name, request.query.get("includeObject", ""))

    async def _listed(self, request: web.Request) -> Listed:
        chosen = selector(request.query.get("labelSelector", ""), request.query.get("fieldSelector", ""))
        return await listed(self.rest.store, self.rest.keys, NAMESPACE, "", chosen)

    async def _find(self, name: str) -> Stored:
        if not is_dns_label(name):
            raise status.not_found(NAMESPACE, name)
        found = await listed(
            self.rest.store, self.rest.keys, NAMESPACE, "", lambda obj: obj["metadata"]["name"] == name
        )
        if not found.items:
            raise status.not_found(NAMESPACE, name)
        return found.items[0]

    async def _create(self, ref: Ref, fresh: Object, *, who: str, dry_run: bool) -> int:
        writer = self.rest.edits.writer
        if await writer.version(ref):
            raise status.already_exists(NAMESPACE, ref.name)
        if dry_run:
            return 0
        try:
            return (await writer.commit([Write(ref, None, fresh)], who=who)).revision
        except Lost:
            raise status.already_exists(NAMESPACE, ref.name) from None


def _is_protobuf(request: web.Request) -> bool:
    return request.headers.get("Content-Type", "").startswith("application/vnd.kubernetes.protobuf")


async def _namespace_body(request: web.Request) -> Mapping[str, Any]:
    if not _is_protobuf(request):
        return await ask.mapping(request)
    name = protobuf.text(protobuf.raw(await ask.data(request)), 1, 1)
    return {"metadata": {"name": name}}


_ATTRIBUTES = ("namespace", "verb", "group", "version", "resource", "subresource", "name")


async def _review_spec(request: web.Request) -> dict[str, Any]:
    if _is_protobuf(request):
        content = protobuf.raw(await ask.data(request))
        found = {
            name: protobuf.text(content, 2, 1, number) for number, name in enumerate(_ATTRIBUTES, start=1)
        }
        return {"resourceAttributes": {name: value for name, value in found.items() if value}}
    obj = body.parse_json(await ask.data(request))
    spec = obj.get("spec") if isinstance(obj, dict) else None
    return spec if isinstance(spec, dict) else {}
