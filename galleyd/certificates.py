"""`/artemon/v1/certificates` and `/artemon/v1/ca`: citadeld's books and the rotation of its root, for
operators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from artemon.api.v1 import certificates_pb2 as pb
from artemon.api.v1 import rotation_pb2 as rotation
from galleyd import request as ask
from galleyd.rights import Ask

CERTIFICATES, CA = "certificates", "ca"
SERVICE = "/artemon.v1.Certificates"
Citadeld = Callable[[str, Message, type[Any]], Awaitable[Any]]
"""Asks citadeld: path, request, type of the answer."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Handlers for whoever administers the mesh."""

    citadeld: Citadeld

    def routes(self) -> list[web.RouteDef]:
        """The paths."""
        return [
            web.get("/artemon/v1/certificates", self.list),
            web.post("/artemon/v1/certificates/revoke", self.revoke),
            web.post("/artemon/v1/certificates/reinstate", self.reinstate),
            web.get("/artemon/v1/ca", self.status),
            web.post("/artemon/v1/ca/rotate", self.rotate),
            web.post("/artemon/v1/ca/rollback", self.rollback),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """GET: every live certificate, and who is banned."""
        request[ask.JUDGE].insist(Ask("list", CERTIFICATES))
        found = await self.citadeld(
            f"{SERVICE}/List", pb.ListCertificatesRequest(), pb.ListCertificatesResponse
        )
        return web.json_response({"items": _all(found.certificates), "bans": _all(found.bans)})

    async def revoke(self, request: web.Request) -> web.Response:
        """POST `{"serial" or "identity", "reason"}`: the answer says which revision of the view `revoked` all
        proxies must have."""
        request[ask.JUDGE].insist(Ask("update", CERTIFICATES))
        asked, who = await ask.mapping(request), ask.how(request).who
        wanted = pb.RevokeCertificateRequest(
            serial=str(asked.get("serial", "")),
            identity=str(asked.get("identity", "")),
            reason=str(asked.get("reason", "")),
            by=who,
        )
        done = await self.citadeld(f"{SERVICE}/Revoke", wanted, pb.RevokeCertificateResponse)
        return web.json_response({"certificates": done.certificates, "revision": done.revision})

    async def reinstate(self, request: web.Request) -> web.Response:
        """POST `{"identity"}`: it may have new certificates."""
        request[ask.JUDGE].insist(Ask("update", CERTIFICATES))
        asked = await ask.mapping(request)
        wanted = pb.ReinstateRequest(identity=str(asked.get("identity", "")), by=ask.how(request).who)
        done = await self.citadeld(f"{SERVICE}/Reinstate", wanted, pb.ReinstateResponse)
        return web.json_response({"revision": done.revision})

    async def status(self, request: web.Request) -> web.Response:
        """GET: the roots, and where the rotation is."""
        request[ask.JUDGE].insist(Ask("get", CA))
        return await self._rotation("Status", rotation.RotationStatusRequest())

    async def rotate(self, request: web.Request) -> web.Response:
        """POST: rotate to a new root."""
        request[ask.JUDGE].insist(Ask("update", CA))
        return await self._rotation("Rotate", rotation.RotateRequest(by=ask.how(request).who))

    async def rollback(self, request: web.Request) -> web.Response:
        """POST: undo the rotation under way."""
        request[ask.JUDGE].insist(Ask("update", CA))
        return await self._rotation("Rollback", rotation.RollbackRequest(by=ask.how(request).who))

    async def _rotation(self, method: str, asked: Message) -> web.Response:
        found = await self.citadeld(f"/artemon.v1.Rotation/{method}", asked, rotation.RotationStatus)
        return web.json_response(_all([found])[0])


def _all(messages: Any) -> list[dict[str, Any]]:
    return [MessageToDict(one, always_print_fields_with_no_presence=True) for one in messages]
