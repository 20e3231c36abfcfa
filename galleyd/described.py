"""Discovery, version and OpenAPI over HTTP."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from galleyd import discovery, openapi, status

Handler = Callable[[web.Request], Awaitable[web.Response]]


async def _version(_: web.Request) -> web.Response:
    return web.json_response(discovery.version())


def _two_forms(old: Callable[[], Any], aggregated: Callable[[], Any]) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        headers = {"Vary": "Accept"}
        if discovery.wants_aggregated(request.headers.get("Accept", "")):
            headers["Content-Type"] = discovery.AGGREGATED
            return web.Response(body=json.dumps(aggregated()).encode(), headers=headers)
        return web.json_response(old(), headers=headers)

    return answer


async def _group(request: web.Request) -> web.Response:
    return _found(discovery.group(request.match_info["group"]))


async def _resources(request: web.Request) -> web.Response:
    path = request.match_info
    return _found(discovery.resources(path.get("group", ""), path.get("version", "v1")))


def _found(value: Any) -> web.Response:
    if value is None:
        raise status.unknown_path()
    return web.json_response(value)


async def _index(request: web.Request) -> web.Response:
    return _sent(request, openapi.index())


async def _document(request: web.Request) -> web.Response:
    path = request.match_info
    return _sent(request, openapi.document(path.get("group", ""), path.get("version", "v1")))


def _sent(request: web.Request, document: openapi.Document | None) -> web.Response:
    if document is None:
        raise status.unknown_path()
    headers = {"ETag": f'"{document.etag}"', "Vary": "Accept"}
    if document.etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    if request.query.get("hash") == document.etag:
        headers["Cache-Control"] = "public, immutable"
    response = web.Response(body=document.content, content_type="application/json", headers=headers)
    response.enable_compression()
    return response


_HANDLERS: Mapping[str, Handler] = {
    "/version": _version,
    "/version/": _version,
    "/api": _two_forms(discovery.core, discovery.aggregated_core),
    "/apis": _two_forms(discovery.groups, discovery.aggregated_groups),
    "/api/v1": _resources,
    "/apis/{group}": _group,
    "/apis/{group}/{version}": _resources,
    "/openapi/v3": _index,
    "/openapi/v3/api/v1": _document,
    "/openapi/v3/apis/{group}/{version}": _document,
}
PATHS = frozenset(_HANDLERS)
"""The paths that tell what is served."""


def routes() -> list[web.RouteDef]:
    """The handlers of `PATHS`."""
    return [web.get(path, handler) for path, handler in _HANDLERS.items()]
