"""One door for operators: galleyd asks citadeld and pilotd for them, with its own identity."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

import grpc
from aiohttp import web
from google.protobuf.message import Message

from artemon.api.v1 import join_tokens_pb2 as pb
from artemon.api.v1.debug_pb2 import DebugRequest, DebugResponse
from artemon.daemon.identity import Identity
from artemon.daemon.identity_tls import channel_options, grpc_channel_credentials
from galleyd import request as ask
from galleyd import status
from galleyd.gathered import SIDED, gathered
from galleyd.rights import Ask
from galleyd.settings import GalleySettings

SECONDS = 10.0
TOKENS = "jointokens"
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""What the page may load: nothing from anywhere else."""
OURS = frozenset({"namespaces", "sides"})
"""What mixerd is asked with, and no caller may write."""
LARGEST = 64 * 1024 * 1024
"""Bytes of an answer."""
M = TypeVar("M", bound=Message)

_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: (400, "BadRequest"),
    grpc.StatusCode.FAILED_PRECONDITION: (409, "Conflict"),
    grpc.StatusCode.NOT_FOUND: (404, "NotFound"),
    grpc.StatusCode.UNAUTHENTICATED: (403, "Forbidden"),
    grpc.StatusCode.PERMISSION_DENIED: (403, "Forbidden"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (504, "Timeout"),
}


@dataclass(frozen=True, slots=True)
class Relay:
    """Handlers that ask other daemons. identity: galleyd's own; None where it has none."""

    identity: Callable[[], Identity] | None
    settings: GalleySettings

    def routes(self) -> list[web.RouteDef]:
        """The paths."""
        tokens = "/artemon/v1/jointokens"
        return [
            web.get(tokens, self.tokens),
            web.post(tokens, self.create_token),
            web.delete(f"{tokens}/{{id}}", self.revoke_token),
            web.get("/artemon/v1/debug/{page:(?!release)[a-z_]+}", self.debug),
            web.get("/artemon/v1/callers", self.callers),
            web.get("/artemon/v1/telemetry/{page:[a-z]+}", self.telemetry),
            web.get("/artemon/v1/dashboard", self.dashboard),
            web.get("/artemon/v1/registries", self.registries),
            web.post("/artemon/v1/registries/release", self.release),
        ]

    async def tokens(self, request: web.Request) -> web.Response:
        """GET: the join tokens, without their secrets."""
        seen = request[ask.JUDGE].namespaces("list", TOKENS)
        answer = await self._citadeld("List", pb.ListJoinTokensRequest(), pb.ListJoinTokensResponse)
        tokens = [token for token in answer.tokens if seen is None or token.namespace in seen]
        return web.json_response({"items": [_token(token) for token in tokens]})

    async def create_token(self, request: web.Request) -> web.Response:
        """POST `{"namespace","serviceAccount","ttlSeconds","uses"}`: a new token; its secret is told once."""
        request[ask.JUDGE].namespaces("create", TOKENS)
        asked = await ask.mapping(request)
        try:
            wanted = pb.CreateJoinTokenRequest(
                namespace=asked.get("namespace", ""),
                service_account=asked.get("serviceAccount", ""),
                ttl_seconds=asked.get("ttlSeconds", 0),
                uses=asked.get("uses", 0),
            )
        except (TypeError, ValueError) as error:
            raise status.bad_request(f"the join token cannot be asked for: {error}") from error
        request[ask.JUDGE].insist(Ask("create", TOKENS, namespace=wanted.namespace))
        answer = await self._citadeld("Create", wanted, pb.CreateJoinTokenResponse)
        shown = {"token": answer.token, **_token(answer.record)}
        return web.json_response(shown, status=201, headers={"Cache-Control": "no-store"})

    async def revoke_token(self, request: web.Request) -> web.Response:
        """DELETE: the token is good for nothing any more."""
        judge, name = request[ask.JUDGE], request.match_info["id"]
        if not judge.may(Ask("delete", TOKENS)):
            judge.namespaces("delete", TOKENS)
            known = await self._citadeld("List", pb.ListJoinTokensRequest(), pb.ListJoinTokensResponse)
            where = next((token.namespace for token in known.tokens if token.id == name), "")
            judge.insist(Ask("delete", TOKENS, namespace=where, name=name))
        wanted = pb.RevokeJoinTokenRequest(id=name)
        await self._citadeld("Revoke", wanted, pb.RevokeJoinTokenResponse)
        return web.json_response({})

    async def debug(self, request: web.Request) -> web.Response:
        """GET: a page of pilotd's, from the first replica that has it."""
        proxy = request.query.get("proxyID", "")
        of = proxy.rpartition(".")[2] if request.match_info["page"] == "config_dump" else ""
        request[ask.JUDGE].insist(Ask("get", "debug", namespace=of, name=proxy))
        page = f"/debug/{request.match_info['page']}?{request.query_string}"
        found = DebugResponse(status=503)
        for address in self.settings.pilotd or ("",):
            found = await self._page("pilotd", (address,) if address else (), page)
            if found.status != 404:
                break
        if found.status != 200:
            raise status.ApiError(found.status, "NotFound", _reason(found.body))
        return web.Response(body=found.body, content_type="application/json")

    async def callers(self, request: web.Request) -> web.Response:
        """GET: who comes to proxies without mutual TLS where it is not required, in the namespaces that the
        caller may look into."""
        seen = request[ask.JUDGE].namespaces("get", "debug")
        answers = await self._of_all("/debug/callers")
        items = [item for answer in answers for item in answer.get("found", ())]
        silent = [answer for answer in answers if "error" in answer]
        mine = [item for item in items if seen is None or item["namespace"] in seen]
        return web.json_response({"items": mine, "unreachable": silent})

    async def telemetry(self, request: web.Request) -> web.Response:
        """GET: what mixerd knows of the namespaces that the caller may see."""
        seen = request[ask.JUDGE].namespaces("get", "telemetry")
        query = {name: value for name, value in request.query.items() if name not in OURS}
        if seen is not None:
            query["namespaces"] = ",".join(sorted(seen))
        name, several = request.match_info["page"], len(self.settings.mixerd) > 1
        told = {**query, "sides": ""} if several and name in SIDED else query
        answers, silent = await self._of_mixerds(f"/{name}?{urlencode(told)}")
        return web.json_response({**gathered(name, answers, query), **silent})

    async def _of_mixerds(self, page: str) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """What those answer that do, by address, and who does not. Raises ApiError: nobody answers."""

        async def asked(address: str) -> dict[str, Any] | status.ApiError:
            try:
                found = await self._page("mixerd", (address,) if address else (), page)
            except status.ApiError as error:
                return error
            if found.status == 200:
                return dict(json.loads(found.body))
            kind = {404: "NotFound", 502: "ServiceUnavailable"}.get(found.status, "BadRequest")
            return status.ApiError(found.status, kind, _reason(found.body))

        addresses = self.settings.mixerd or ("",)
        found = dict(zip(addresses, await asyncio.gather(*map(asked, addresses)), strict=True))
        failures = {one: why for one, why in found.items() if isinstance(why, status.ApiError)}
        answers = {one: answer for one, answer in found.items() if not isinstance(answer, status.ApiError)}
        if not answers:
            raise min(failures.values(), key=lambda why: why.code >= 500)
        silent = [{"mixerd": one, "error": str(why)} for one, why in failures.items()]
        return answers, {"unreachable": silent} if silent else {}

    async def dashboard(self, request: web.Request) -> web.Response:
        """GET: the page that shows it."""
        request[ask.JUDGE].namespaces("get", "telemetry")
        found = await self._page("mixerd", self.settings.mixerd, "/dashboard")
        return web.Response(
            body=found.body,
            content_type="text/html",
            charset="utf-8",
            headers={"Content-Security-Policy": PAGE_POLICY, "X-Content-Type-Options": "nosniff"},
        )

    async def registries(self, request: web.Request) -> web.Response:
        """GET: what every pilotd says of its registries, and how old its view of each is."""
        request[ask.JUDGE].insist(Ask("get", "debug"))
        return web.json_response({"items": await self._of_all("/debug/registries")})

    async def release(self, request: web.Request) -> web.Response:
        """POST: every pilotd lets go the removals that it holds; how many, by registry."""
        request[ask.JUDGE].insist(Ask("update", "debug"))
        return web.json_response({"items": await self._of_all("/debug/release")})

    async def _of_all(self, path: str) -> list[dict[str, Any]]:
        """A page of every pilotd; of those that do not answer, why. Raises ApiError: none is known."""
        if self.identity is None or not self.settings.pilotd:
            raise status.unavailable("galleyd does not know pilotd: set pilotd and an identity")
        return [await self._of_one(address, path) for address in self.settings.pilotd]

    async def _of_one(self, address: str, path: str) -> dict[str, Any]:
        try:
            found = await self._page("pilotd", (address,), path)
        except status.ApiError as error:
            return {"pilotd": address, "error": str(error)}
        return {"pilotd": address, "found": json.loads(found.body)}

    async def _page(self, daemon: str, addresses: Sequence[str], page: str) -> DebugResponse:
        """A page of the first address that can be reached. Raises ApiError."""
        asked = DebugRequest(path=page)
        return await self._first(
            daemon, addresses, path="/artemon.v1.Debug/Get", asked=asked, answer=DebugResponse
        )

    async def _citadeld(self, method: str, asked: Message, answer: type[M]) -> M:
        return await self.citadeld(f"/artemon.v1.JoinTokens/{method}", asked, answer)

    async def citadeld(self, path: str, asked: Message, answer: type[M]) -> M:
        """citadeld's answer. Raises ApiError."""
        return await self._first("citadeld", self.settings.citadeld, path=path, asked=asked, answer=answer)

    async def _first(
        self, daemon: str, addresses: Sequence[str], *, path: str, asked: Message, answer: type[M]
    ) -> M:
        """The answer of the first address that can be reached. Raises ApiError."""
        if self.identity is None or not addresses:
            raise status.unavailable(f"galleyd does not know {daemon}: set {daemon} and an identity")
        credentials = grpc_channel_credentials(self.identity())
        failure = status.unavailable(f"{daemon} does not answer")
        for address in addresses:
            try:
                return await _call(address, credentials, daemon, path=path, asked=asked, answer=answer)
            except grpc.aio.AioRpcError as error:
                failure = _failure(daemon, address, error)
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    break
        raise failure


async def _call(
    address: str,
    credentials: grpc.ChannelCredentials,
    daemon: str,
    *,
    path: str,
    asked: Message,
    answer: type[M],
) -> M:
    options = [
        *channel_options(daemon),
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", LARGEST),
    ]
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        call: Any = channel.unary_unary(
            path, request_serializer=type(asked).SerializeToString, response_deserializer=answer.FromString
        )
        found: M = await call(asked, timeout=SECONDS)
        return found


def _reason(content: bytes) -> str:
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return "there is no answer"


def _failure(daemon: str, address: str, error: grpc.aio.AioRpcError) -> status.ApiError:
    code, reason = _STATUS.get(error.code(), (503, "ServiceUnavailable"))
    why = error.details() or error.code().name.lower()
    return status.ApiError(code, reason, f"{daemon} at {address}: {why}")


def _token(token: pb.JoinToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "namespace": token.namespace,
        "serviceAccount": token.service_account,
        "created": token.created,
        "expires": token.expires,
        "uses": token.uses,
    }
