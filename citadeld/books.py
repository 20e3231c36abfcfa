"""The service `artemon.v1.Certificates`: what was issued, and making it good for nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from artemon.api.v1 import certificates_pb2 as pb
from artemon.daemon.audit import AuditLog
from artemon.log import printable
from artemon.pki.errors import InvalidSpiffeId
from artemon.pki.spiffe import SpiffeId
from citadeld.callers import Context, Door
from citadeld.decision import Caller, Denied, Reason
from citadeld.revoker import Revoker

SERVICE = "artemon.v1.Certificates"
REQUESTS: Mapping[str, type[Message]] = {
    f"{SERVICE}/List": pb.ListCertificatesRequest,
    f"{SERVICE}/Revoke": pb.RevokeCertificateRequest,
    f"{SERVICE}/Reinstate": pb.ReinstateRequest,
}
MAX_REASON = 256
_SERIAL = re.compile(r"[0-9a-f]{1,40}")


@dataclass(frozen=True, slots=True)
class Books:
    """Lists and revokes, for operators."""

    trust_domain: str
    revoker: Revoker
    audit: AuditLog

    def methods(self) -> dict[str, Any]:
        """By name."""
        return {"List": self._list, "Revoke": self._revoke, "Reinstate": self._reinstate}

    async def _list(
        self, _: pb.ListCertificatesRequest, context: Context, door: Door
    ) -> pb.ListCertificatesResponse:
        door.operator(context)
        revoked = await self.revoker.revoked()
        found = []
        for one in await self.revoker.issued():
            gone = revoked.get(one.serial)
            found.append(
                pb.Certificate(
                    serial=one.serial,
                    identity=one.identity,
                    node=one.node,
                    issuer=one.issuer,
                    not_before=one.not_before,
                    not_after=one.not_after,
                    issued=one.issued,
                    revoked=gone.at if gone else "",
                    reason=gone.reason if gone else "",
                )
            )
        bans = [
            pb.Ban(identity=ban.identity, at=ban.at, by=ban.by, reason=ban.reason)
            for ban in await self.revoker.bans()
        ]
        return pb.ListCertificatesResponse(certificates=found, bans=bans)

    async def _revoke(
        self, request: pb.RevokeCertificateRequest, context: Context, door: Door
    ) -> pb.RevokeCertificateResponse:
        caller = door.operator(context)
        by, reason = who(caller, request.by), printable(request.reason)[:MAX_REASON]
        if bool(request.serial) == bool(request.identity):
            raise Denied(Reason.MALFORMED, "exactly one of serial and identity is needed")
        serial = request.serial.lower().replace(":", "").lstrip("0")
        if request.serial and not _SERIAL.fullmatch(serial):
            raise Denied(
                Reason.MALFORMED, "serial: must be hexadecimal digits, as `certificate list` shows them"
            )
        identity = self._identity(request.identity) if request.identity else None
        fields = {
            "identity": identity,
            "serial": serial,
            "by": by,
            "because": reason,
            "address": caller.address,
        }
        await self.audit.append("revoked", **fields)
        if identity is not None:
            done = await self.revoker.ban(identity, by=by, reason=reason)
        else:
            done = await self.revoker.revoke_serial(serial, by=by, reason=reason)
        return pb.RevokeCertificateResponse(certificates=done.certificates, revision=done.revision)

    async def _reinstate(
        self, request: pb.ReinstateRequest, context: Context, door: Door
    ) -> pb.ReinstateResponse:
        caller, identity = door.operator(context), self._identity(request.identity)
        await self.audit.append(
            "reinstated", identity=identity, by=who(caller, request.by), address=caller.address
        )
        return pb.ReinstateResponse(revision=await self.revoker.reinstate(identity))

    def _identity(self, text: str) -> SpiffeId:
        try:
            identity = SpiffeId.parse(text)
        except InvalidSpiffeId as error:
            raise Denied(Reason.MALFORMED, f"identity: {error}") from error
        if identity.trust_domain != self.trust_domain:
            raise Denied(Reason.MALFORMED, f"identity: {identity} is not of {self.trust_domain}")
        if identity.is_system and identity.service_account == "citadeld":
            raise Denied(Reason.NOT_ALLOWED, "citadeld cannot ban itself: rotate the root instead")
        return identity


def who(caller: Caller, told: str) -> str:
    """Who asked, as the door that relays tells it; else who called."""
    return printable(told)[:MAX_REASON] or str(caller.identity or "socket")
