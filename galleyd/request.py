"""What a request says, read once: body, options, caller."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from galleyd import body, status
from galleyd.callers import Caller
from galleyd.edits import How, Preconditions
from galleyd.judge import Judge

CALLER = web.RequestKey("caller", Caller)
JUDGE = web.RequestKey("judge", Judge)
WARNINGS: web.RequestKey[list[str]] = web.RequestKey("warnings", list[str])
BODY_SECONDS = 30.0


def flag(request: web.Request, name: str) -> bool:
    """A boolean of the query: absent, "0" and "false" are false, everything else is true (Kubernetes)."""
    value = request.query.get(name)
    return value is not None and value.lower() not in {"0", "false"}


def number(request: web.Request, name: str, default: int = 0) -> int:
    """A whole number of the query, 0 or more. Raises ApiError 400."""
    text = request.query.get(name) or ""
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise status.bad_request(f'{name} must be a whole number, not "{text}"')
    return int(text)


async def data(request: web.Request) -> bytes:
    """The body. Raises ApiError: 413 over the limit, 408 when it does not come in time."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise status.ApiError(408, "Timeout", "the body did not arrive in time") from None


async def value(request: web.Request) -> Any:
    """The one value of a JSON or YAML body. Raises ApiError 400, 413, 415."""
    media = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    content = await data(request)
    if media in body.JSON_TYPES:
        return body.parse_json(content)
    if media in body.YAML_TYPES:
        documents = body.parse_yaml(content)
        if len(documents) != 1:
            raise status.bad_request(f"the body must hold one object, not {len(documents)}")
        return documents[0]
    known = ", ".join([*filter(None, body.JSON_TYPES), *body.YAML_TYPES])
    raise status.unsupported_media(f'the body of a write is one of {known}, not "{media}"')


async def mapping(request: web.Request) -> dict[str, Any]:
    """The one object of a body. Raises ApiError as `value` does."""
    found = await value(request)
    if not isinstance(found, dict):
        raise status.bad_request("the body must be an object")
    return found


def how(request: web.Request, options: dict[str, Any] | None = None) -> How:
    """How a write is to be done, from query and (DELETE) body. Raises ApiError 400."""
    wanted = [*request.query.getall("dryRun", []), *((options or {}).get("dryRun") or [])]
    if any(item != "All" for item in wanted):
        raise status.bad_request("dryRun must be All")
    validation = request.query.get("fieldValidation") or "Warn"
    return How(who=request[CALLER].name, validation=validation, dry_run=bool(wanted), judge=request[JUDGE])


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """The body of a DELETE."""

    options: dict[str, Any]
    expected: Preconditions


async def delete_options(request: web.Request) -> DeleteOptions:
    """The options in a DELETE's body, which may be empty. Raises ApiError 400."""
    content = await data(request)
    options = body.parse_json(content) if content.strip() else {}
    if not isinstance(options, dict):
        raise status.bad_request("the body of a DELETE holds DeleteOptions")
    expected = options.get("preconditions") or {}
    if not isinstance(expected, dict) or not isinstance(options.get("dryRun") or [], list):
        raise status.bad_request("preconditions must be a mapping, dryRun a list")
    version, uid = str(expected.get("resourceVersion") or ""), str(expected.get("uid") or "")
    return DeleteOptions(options, Preconditions(version, uid))
