"""The collections of configuration over HTTP, in Kubernetes' API conventions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from artemon.model.envelope import is_dns_label, is_subdomain
from artemon.model.kinds import SECRET, WORKLOAD_ENTRY
from artemon.model.resource import Kind
from artemon.store.api import Store
from galleyd import body, catalog, patch, protobuf, status
from galleyd import request as ask
from galleyd.edits import Edits, Outcome, Preconditions
from galleyd.feed import Feed
from galleyd.forms import Form, asked_form
from galleyd.keys import Keys
from galleyd.lists import Page, Pages, listed
from galleyd.objects import Object, Ref, Stored, meta_of, shown
from galleyd.registered import find, registered
from galleyd.secrets import from_protobuf
from galleyd.selectors import selector
from galleyd.table import Table
from galleyd.watching import Watching, stream

Edit = Callable[[Stored], Object]

_STRATEGIC = "application/strategic-merge-patch+json"
_PATCHES: dict[str, Callable[[Any, Any], Any]] = {
    "application/merge-patch+json": patch.merge,
    "application/json-patch+json": patch.json_patch,
}


@dataclass(frozen=True, slots=True)
class Rest:
    """Handlers of `/apis/<group>/<version>/...`. Every one raises ApiError for what it refuses."""

    edits: Edits
    store: Store
    keys: Keys
    feed: Feed
    table: Table
    pages: Pages = field(default_factory=Pages)

    def routes(self) -> list[web.RouteDef]:
        """The paths."""
        return [
            *self._routes("/apis/{group}/{version}", "{plural}"),
            *self._routes("/api/v1", "{plural:secrets}"),
        ]

    def _routes(self, base: str, plural: str) -> list[web.RouteDef]:
        everywhere = f"{base}/{plural}"
        within = f"{base}/namespaces/{{namespace}}/{plural}"
        one, state = f"{within}/{{name}}", f"{within}/{{name}}/status"
        return [
            web.get(everywhere, self.list),
            web.get(within, self.list),
            web.post(within, self.create),
            web.delete(within, self.delete_collection),
            web.get(one, self.get),
            web.put(one, self.replace),
            web.patch(one, self.patch),
            web.delete(one, self.delete),
            web.get(state, self.get),
            web.put(state, self.replace_status),
            web.patch(state, self.patch_status),
        ]

    async def get(self, request: web.Request) -> web.StreamResponse:
        """GET one object."""
        ref, form = self._target(request)
        stored = await self.edits.writer.read(ref) or await find(self.store, self.keys.layout, ref)
        if stored is None:
            raise status.not_found(ref.kind, ref.name)
        return web.json_response(form.one(stored))

    async def list(self, request: web.Request) -> web.StreamResponse:
        """GET a collection, or WATCH it."""
        ref, form = self._target(request)
        query = request.query
        chosen = selector(query.get("labelSelector", ""), query.get("fieldSelector", ""))
        if ask.flag(request, "watch"):
            if ref.kind is SECRET:
                raise status.ApiError(405, "MethodNotAllowed", "secrets cannot be watched; list them")
            watching = Watching.asked(request, keys=self.keys, kind=ref.kind, namespace=ref.namespace)
            return await stream(request, watching, form, chosen, store=self.store, feed=self.feed)
        limit = ask.number(request, "limit")
        if token := query.get("continue"):
            page = self.pages.next(token, limit)
        else:
            found = await listed(self.store, self.keys, ref.kind, ref.namespace, chosen)
            check_revision(request, found.revision, self.feed.floor)
            if ref.kind is WORKLOAD_ENTRY:
                kept = await registered(self.store, self.keys.layout, ref.namespace)
                found = replace(found, items=(*found.items, *(one for one in kept if chosen(one.object))))
            page = self.pages.first(found, limit)
        return web.json_response(form.many(page.items, list_meta(page)))

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST."""
        ref, form = self._target(request)
        obj = await _body(request, ref)
        ref = _written_ref(ref, obj, form)
        if meta_of(obj).get("resourceVersion"):
            raise status.bad_request("resourceVersion must not be set on an object that is created")
        return self._done(request, await self.edits.create(ref, obj, ask.how(request)), form)

    async def replace(self, request: web.Request) -> web.StreamResponse:
        """PUT."""
        ref, form = self._target(request)
        obj = await ask.mapping(request)
        ref = _written_ref(ref, obj, form)
        expected = _expected(obj)
        return self._done(request, await self.edits.replace(ref, obj, ask.how(request), expected), form)

    async def patch(self, request: web.Request) -> web.StreamResponse:
        """PATCH."""
        ref, form = self._target(request)
        edit = await self._edit(request, ref, form)
        return self._done(request, await self.edits.change(ref, edit, ask.how(request)), form)

    async def replace_status(self, request: web.Request) -> web.StreamResponse:
        """PUT of `/status`."""
        ref, form = self._target(request)
        obj = await ask.mapping(request)
        _written_ref(ref, obj, form)
        expected = _expected(obj)
        outcome = await self.edits.set_status(ref, lambda _: obj, ask.how(request), expected)
        return self._done(request, outcome, form)

    async def patch_status(self, request: web.Request) -> web.StreamResponse:
        """PATCH of `/status`."""
        ref, form = self._target(request)
        edit = await self._edit(request, ref, form)
        outcome = await self.edits.set_status(ref, edit, ask.how(request), Preconditions())
        return self._done(request, outcome, form)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """DELETE one object."""
        ref, _ = self._target(request)
        given = await ask.delete_options(request)
        outcome = await self.edits.delete(ref, ask.how(request, given.options), given.expected)
        uid = str(outcome.stored.object["metadata"].get("uid", ""))
        return web.json_response(status.success(ref.kind, ref.name, uid))

    async def delete_collection(self, request: web.Request) -> web.StreamResponse:
        """DELETE the selected objects of a namespace, all or none; the list of what was deleted."""
        ref, form = self._target(request)
        given = await ask.delete_options(request)
        query = request.query
        chosen = selector(query.get("labelSelector", ""), query.get("fieldSelector", ""))
        found = await listed(self.store, self.keys, ref.kind, ref.namespace, chosen)
        refs = [replace(ref, name=stored.object["metadata"]["name"]) for stored in found.items]
        revision, _ = await self.edits.apply([], refs, ask.how(request, given.options))
        meta = {"resourceVersion": str(revision or found.revision)}
        return web.json_response(form.many(found.items, meta))

    def _target(self, request: web.Request) -> tuple[Ref, Form]:
        path = request.match_info
        group, version = path.get("group", ""), path.get("version", "v1")
        kind = catalog.kind_at(group, version, path["plural"])
        if kind is None:
            raise status.unknown_path()
        _check_names(kind, path.get("namespace", ""), path.get("name", ""))
        api_version = f"{group}/{version}" if group else version
        form = self._form(request, kind, api_version)
        return Ref(kind, path.get("namespace", ""), path.get("name", "")), form

    def _form(self, request: web.Request, kind: Kind, api_version: str) -> Form:
        name = asked_form(request.headers.get("Accept", ""))
        return Form(kind, api_version, self.table, name, request.query.get("includeObject", ""))

    async def _edit(self, request: web.Request, ref: Ref, form: Form) -> Edit:
        media = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media == _STRATEGIC and ref.kind is SECRET:
            media = "application/merge-patch+json"  # the same for an object of maps and texts
        if media not in _PATCHES:
            known = " and ".join(_PATCHES)
            raise status.unsupported_media(
                f'a patch of a {ref.kind.name} is {known}; "{media}" is not served'
            )
        wanted = body.parse_json(await ask.data(request))
        if media.startswith("application/merge") and not isinstance(wanted, dict):
            raise status.bad_request("a merge patch is an object")
        change = _PATCHES[media]

        def edit(stored: Stored) -> Object:
            fresh = change(shown(stored, form.api_version), wanted)
            if not isinstance(fresh, dict):
                raise status.bad_request("the patched object must be an object")
            _written_ref(ref, fresh, form)
            return fresh

        return edit

    def _done(self, request: web.Request, outcome: Outcome, form: Form) -> web.Response:
        request[ask.WARNINGS].extend(str(problem) for problem in outcome.warnings)
        made = outcome.result == "created"
        return web.json_response(form.one(outcome.stored), status=201 if made else 200)


async def _body(request: web.Request, ref: Ref) -> Object:
    """The object to be made. kubectl sends new Secrets as protobuf."""
    if ref.kind is SECRET and request.content_type == protobuf.MEDIA:
        return from_protobuf(await ask.data(request))
    return await ask.mapping(request)


def _check_names(kind: Kind, namespace: str, name: str) -> None:
    """Raises ApiError 404 for names that no object can have."""
    if (namespace and not is_dns_label(namespace)) or (name and not is_subdomain(name)):
        raise status.not_found(kind, name or namespace)


def list_meta(page: Page) -> dict[str, Any]:
    """The metadata of a list."""
    meta: dict[str, Any] = {"resourceVersion": str(page.revision)}
    return {**meta, "continue": page.token, "remainingItemCount": page.left} if page.token else meta


def check_revision(request: web.Request, revision: int, floor: int) -> None:
    """Raises ApiError when a list at `resourceVersion` is asked that cannot be given: 400, 410 or 504."""
    asked = ask.number(request, "resourceVersion")
    match = request.query.get("resourceVersionMatch", "")
    if match and match not in {"Exact", "NotOlderThan"}:
        raise status.bad_request("resourceVersionMatch must be Exact or NotOlderThan")
    if match and not asked and match == "Exact":
        raise status.bad_request("resourceVersionMatch=Exact needs a resourceVersion above 0")
    if asked > revision:
        raise future(asked, revision)
    if match == "Exact" and asked and (asked < floor or asked != revision):
        raise status.expired(f"revision {asked} is no longer kept; list without resourceVersion")


def future(asked: int, revision: int) -> status.ApiError:
    """504: a revision that does not exist yet."""
    text = f"Too large resource version: {asked}, current: {revision}"
    cause = status.Cause("", "Too large resource version", "ResourceVersionTooLarge")
    return status.ApiError(504, "Timeout", text, causes=[cause], details={"retryAfterSeconds": 1})


def _written_ref(ref: Ref, obj: Object, form: Form) -> Ref:
    """The object that a body for `ref` describes. Raises ApiError: 400 when it is another one, 422: kind."""
    for required in ("apiVersion", "kind"):
        if not isinstance(obj.get(required), str) or not obj[required]:
            raise status.bad_request(f"Object '{required}' is missing in {json.dumps(obj)[:200]}")
    if obj["apiVersion"] != form.api_version:
        text = f"apiVersion is {obj['apiVersion']} in the body and {form.api_version} in the URL"
        raise status.bad_request(text)
    if obj["kind"] != ref.kind.name:
        cause = status.Cause("kind", f'must be {ref.kind.name}, as in the URL, not "{obj["kind"]}"')
        raise status.invalid(ref.kind, ref.name, [cause])
    meta = meta_of(obj)
    for field_name, in_url in (("namespace", ref.namespace), ("name", ref.name)):
        in_body = meta.get(field_name)
        if in_body and in_url and in_body != in_url:
            text = f'metadata.{field_name} is "{in_body}" in the body and "{in_url}" in the URL'
            raise status.bad_request(text)
    name = meta.get("name")
    return ref if ref.name else replace(ref, name=name if isinstance(name, str) else "")


def _expected(obj: Object) -> Preconditions:
    meta = meta_of(obj)
    version, uid = str(meta.get("resourceVersion") or ""), str(meta.get("uid") or "")
    return Preconditions(version, uid, versioned=True)
