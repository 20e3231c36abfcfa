"""The HTTP application: who may ask, and every failure as a `Status`."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram

from artemon.daemon.audit import AuditUnavailable
from artemon.daemon.identity_tls import tls_peer_spiffe_id
from artemon.errors import TooLarge, Unavailable, Unknown
from artemon.log import Log
from artemon.pki.jwt import JwtRefused
from galleyd import status, webhook
from galleyd.body import MAX_BODY
from galleyd.callers import Caller, Tokens, certificate_caller, subject_caller
from galleyd.judge import Judge, question_of
from galleyd.oidc import Oidc
from galleyd.request import CALLER, JUDGE, WARNINGS
from galleyd.rights import Rights
from galleyd.trail import Trail, unaudited

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OPEN = frozenset({"/healthz", "/readyz", "/version", "/livez", webhook.PATH})
"""What anyone may ask."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Counted by name; others together."""
_LONGEST_WARNING = 256
_MOST_WARNINGS = 50


@dataclass(frozen=True, slots=True)
class Gate:
    """Decides who gets in. hosts: names under which the server may be called, beside addresses. oidc: whose
    tokens count beside ours. subjects: whether a certificate's subject names a user."""

    tokens: Tokens
    trust_domain: str
    hosts: Container[str]
    rights: Rights
    oidc: Oidc | None = None
    subjects: bool = False

    def check_origin(self, request: web.Request) -> None:
        """Raises ApiError 403 when a browser's page, or a name that is not ours, is behind the request
        (DNS rebinding and cross-site requests)."""
        if "Origin" in request.headers or request.headers.get("Sec-Fetch-Site", "none") not in {
            "none",
            "same-origin",
        }:
            raise status.forbidden("requests of web pages are not served")
        name = _host_name(request.headers.get("Host", ""))
        if not (_is_address(name) or name in self.hosts):
            raise status.ApiError(421, "Forbidden", f'"{name}" is not a name of this server; add it to hosts')

    async def caller(self, request: web.Request) -> Caller:
        """Who is calling. Raises ApiError 401."""
        given = request.headers.getall("Authorization", [])
        if given:
            scheme, _, token = given[0].partition(" ")
            if scheme.lower() != "bearer" or len(given) > 1:
                raise status.unauthorized("one bearer token is taken, and nothing else")
            return await self._bearer(token.strip())
        connection = request.transport.get_extra_info("ssl_object") if request.transport else None
        by_certificate = certificate_caller(tls_peer_spiffe_id(connection), self.trust_domain)
        if by_certificate is None and self.subjects and connection is not None:
            by_certificate = subject_caller(connection.getpeercert())
        if by_certificate is None:
            raise status.unauthorized("a bearer token or a client certificate of this mesh is needed")
        return by_certificate

    async def _bearer(self, token: str) -> Caller:
        found = self.tokens.find(token)
        if found is not None:
            return found
        if self.oidc is None or token.count(".") != 2:
            raise status.unauthorized("the token is not known here")
        try:
            return await self.oidc.caller(token)
        except JwtRefused as error:
            raise status.unauthorized(str(error)) from error

    def authorise(self, request: web.Request, caller: Caller) -> Judge:
        """Who judges what the caller asks for further on. Raises ApiError 403 when it may not do this."""
        judge = Judge(self.rights, caller)
        if question := question_of(request):
            judge.insist(question)
        return judge


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].rstrip(".").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Requests:
    """Counts requests, for /metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "code")
        self.total = Counter("galley_api_requests", "Requests to the REST API.", labels, registry=registry)
        self.seconds = Histogram(
            "galley_api_request_seconds", "Time to answer, watches excepted.", ("method",), registry=registry
        )


def application(
    routes: Sequence[web.AbstractRouteDef], gate: Gate, requests: Requests, trail: Trail, log: Log
) -> web.Application:
    """The application that serves `routes` to those whom `gate` lets in."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        begun = time.monotonic()
        warnings: list[str] = []
        request[WARNINGS] = warnings
        try:
            gate.check_origin(request)
            if request.path.rstrip("/") not in OPEN:
                caller = await gate.caller(request)
                request[CALLER] = caller
                request[JUDGE] = gate.authorise(request, caller)
                await trail.asked(request)
            response = await handler(request)
            await trail.settled(request, None, response.status)
        except Exception as error:  # noqa: BLE001 - the border: whatever went wrong becomes a Status
            response = await _failure(error, request, log, trail)
        if not response.prepared:
            _warn(response, warnings)
        method = request.method if request.method in METHODS else "other"
        requests.total.labels(method, str(response.status)).inc()
        if isinstance(response, web.Response):
            requests.seconds.labels(method).observe(time.monotonic() - begun)
        return response

    app = web.Application(client_max_size=MAX_BODY, middlewares=[guarded])
    app.add_routes(routes)
    return app


async def _failure(error: Exception, request: web.Request, log: Log, trail: Trail) -> web.Response:
    answer = _api_error(error)
    if answer.code == 500:
        log.error("request_failed", method=request.method, path=request.path, reason=repr(error))
    try:
        await trail.settled(request, answer, answer.code)
    except AuditUnavailable as failure:  # a refusal stays one
        log.error("audit_failed", reason=failure)
    headers = dict(answer.headers)
    if isinstance(error, web.HTTPMethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    return web.json_response(answer.json(), status=answer.code, headers=headers)


def _api_error(error: Exception) -> status.ApiError:
    match error:
        case status.ApiError():
            return error
        case Unknown():
            return status.outcome_unknown(f"the registry did not answer: {error}")
        case TooLarge():
            return status.too_large(str(error))
        case Unavailable():
            return status.unavailable(f"the registry cannot be reached: {error}; nothing was changed")
        case AuditUnavailable():
            return unaudited(error)
        case web.HTTPRequestEntityTooLarge():
            return status.too_large(f"the body is larger than {MAX_BODY} bytes")
        case web.HTTPNotFound():
            return status.unknown_path()
        case web.HTTPMethodNotAllowed():
            return status.ApiError(405, "MethodNotAllowed", f"{error.method} is not served on this path")
        case web.HTTPException():
            return status.ApiError(error.status, "BadRequest", error.reason)
        case _:
            return status.ApiError(500, "InternalError", "the request failed inside the server; see its log")


def _warn(response: web.StreamResponse, warnings: Sequence[str]) -> None:
    """`Warning: 299` headers (RFC 7234, section 5.5), as kubectl prints them."""
    for text in list(dict.fromkeys(warnings))[:_MOST_WARNINGS]:
        plain = "".join(letter if letter.isprintable() else " " for letter in text)[:_LONGEST_WARNING]
        quoted = plain.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
