"""The gRPC services: certificates, join tokens, trust."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from artemon.api.v1 import ca_pb2, join_tokens_pb2, trust_pb2
from artemon.daemon.audit import AuditLog, AuditUnavailable
from artemon.daemon.signers import Forged
from artemon.errors import ArtemonError, StoreError
from artemon.log import Log, printable
from artemon.pki.bundle import Bundle, pem_list
from artemon.pki.errors import CertificateRefused
from citadeld import books, rotating
from citadeld.attestation import Attestation
from citadeld.attestors.api import Evidence
from citadeld.books import Books
from citadeld.callers import Context, Door, address_of
from citadeld.decision import Caller, Denied, Method, Reason
from citadeld.issuer import Issuer, Told
from citadeld.metrics import Metrics
from citadeld.rotating import Rotating
from citadeld.tokens import TOKEN_BYTES, Token, Tokens, wanted_identity

CERTIFICATES = "istio.v1.auth.IstioCertificateService"
JOIN_TOKENS = "artemon.v1.JoinTokens"
TRUST = "artemon.v1.Trust"
MAX_NODE = 253
FAILURES = (StoreError, AuditUnavailable, CertificateRefused, Forged)
"""What a call can end with that is not the caller's fault."""

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


@dataclass(frozen=True, slots=True)
class Services:
    """What citadeld does for its callers, whatever door they come through."""

    trust_domain: str
    leaf: timedelta
    token_ttl: timedelta
    issuer: Issuer
    attestation: Attestation
    tokens: Tokens
    audit: AuditLog
    metrics: Metrics
    bundle: Callable[[], Bundle]
    books: Books
    rotating: Rotating
    log: Log

    def handlers(self, door: Door) -> list[grpc.GenericRpcHandler[Any, Any]]:
        """The services behind one door. Tokens are managed only where operators can come in."""
        found: dict[str, dict[str, Any]] = {
            CERTIFICATES: {"CreateCertificate": self._create_certificate},
            TRUST: {"GetBundle": self._bundle},
        }
        if door.method in _MANAGING:
            found[JOIN_TOKENS] = {"Create": self._create, "List": self._list, "Revoke": self._revoke}
            found[books.SERVICE] = self.books.methods()
            found[rotating.SERVICE] = self.rotating.methods()
        return [
            grpc.method_handlers_generic_handler(
                service,
                {name: self._handler(f"{service}/{name}", method, door) for name, method in methods.items()},
            )
            for service, methods in found.items()
        ]

    def _handler(self, path: str, method: Any, door: Door) -> grpc.RpcMethodHandler[Any, Any]:
        request_type = _REQUESTS[path]

        async def call(data: bytes, context: Context) -> Message:
            try:
                try:
                    request = request_type.FromString(data)
                except Exception as error:  # protobuf's decoders raise several unrelated types
                    raise Denied(Reason.MALFORMED, "the message cannot be decoded") from error
                answer: Message = await method(request, context, door)
                return answer
            except Denied as error:
                await self._refuse(path, error, context, door)
            except FAILURES as error:
                failure = self.failed(path, error)
                await context.abort(grpc.StatusCode[failure.reason.value], str(failure))
            raise AssertionError("abort returns never")

        return grpc.unary_unary_rpc_method_handler(
            call, request_deserializer=None, response_serializer=_serialize
        )

    async def _refuse(self, path: str, error: Denied, context: Context, door: Door) -> None:
        """Every refusal is written down, but those of callers who ask too often: they are counted only."""
        if error.reason is not Reason.TOO_MANY:
            self.log.info("refused", call=path, peer=context.peer(), reason=error)
        await self.write_down(error, call=path, door=door.method, address=address_of(context.peer()))
        await context.abort(grpc.StatusCode[error.reason.value], str(error))

    def failed(self, path: str, error: ArtemonError) -> Denied:
        """What a caller is told of one of `FAILURES`, which is logged."""
        if isinstance(error, CertificateRefused):
            self.log.error("signing_failed", call=path, reason=error)
            return Denied(Reason.BROKEN, "the certificate could not be signed")
        self.log.error("call_failed", call=path, reason=error)
        if isinstance(error, Forged):
            return Denied(
                Reason.NOT_NOW, f"what is needed from the registry {error}; citadeld's log names it"
            )
        return Denied(Reason.NOT_NOW, "citadeld cannot write down its decision; try again")

    async def write_down(self, error: Denied, **fields: str) -> None:
        """A refusal, in the audit log; not those of callers who ask too often."""
        if error.reason is Reason.TOO_MANY:
            return
        try:
            await self.audit.append("refused", **fields, reason=printable(error))
        except AuditUnavailable as failure:
            self.log.error("audit_failed", reason=failure)

    async def _create_certificate(
        self, request: ca_pb2.IstioCertificateRequest, context: Context, door: Door
    ) -> ca_pb2.IstioCertificateResponse:
        self.metrics.count("csr")
        caller = door.caller(context)
        return await self.certify(request, caller, door.evidence(context, caller))

    async def certify(
        self, request: ca_pb2.IstioCertificateRequest, caller: Caller, evidence: Evidence
    ) -> ca_pb2.IstioCertificateResponse:
        """A certificate for whom the evidence is. Raises Denied, StoreError, AuditUnavailable and
        CertificateRefused: then there is none."""
        caller, claim = await self.attestation.subject(caller, evidence, request.csr.encode())
        if _text(request, "ImpersonatedIdentity"):
            raise Denied(Reason.NOT_ALLOWED, f"{caller.identity} may not ask for the identity of another")
        if request.validity_duration < 0:
            raise Denied(Reason.MALFORMED, "validity_duration: must be 0 or more")
        wish = timedelta(seconds=min(request.validity_duration, 10**6)) or self.leaf
        chain = await self.issuer.issue(
            caller,
            request.csr.encode(),
            lifetime=max(min(wish, self.leaf), timedelta(seconds=1)),
            told=Told(printable(_text(request, "node"))[:MAX_NODE], _text(request, "workload")),
            claim=claim,
        )
        return ca_pb2.IstioCertificateResponse(cert_chain=chain)

    async def _create(
        self, request: join_tokens_pb2.CreateJoinTokenRequest, context: Context, door: Door
    ) -> join_tokens_pb2.CreateJoinTokenResponse:
        caller = door.operator(context)
        identity = wanted_identity(self.trust_domain, request.namespace, request.service_account)
        secret = secrets.token_urlsafe(TOKEN_BYTES)
        ttl = timedelta(seconds=request.ttl_seconds) or self.token_ttl
        token = await self.tokens.create(secret, identity=identity, ttl=ttl, uses=request.uses or 1)
        await self.audit.append(
            "token_created",
            token=token.id,
            identity=identity,
            method=caller.method,
            by=caller.identity,
            address=caller.address,
            until=token.expires.isoformat(),
            uses=token.uses,
        )
        return join_tokens_pb2.CreateJoinTokenResponse(token=secret, record=_record(token))

    async def _list(
        self, _: join_tokens_pb2.ListJoinTokensRequest, context: Context, door: Door
    ) -> join_tokens_pb2.ListJoinTokensResponse:
        door.operator(context)
        tokens = [_record(token) for token in await self.tokens.list()]
        return join_tokens_pb2.ListJoinTokensResponse(tokens=tokens)

    async def _revoke(
        self, request: join_tokens_pb2.RevokeJoinTokenRequest, context: Context, door: Door
    ) -> join_tokens_pb2.RevokeJoinTokenResponse:
        caller = door.operator(context)
        await self.tokens.revoke(request.id)
        await self.audit.append(
            "token_revoked",
            token=request.id,
            method=caller.method,
            by=caller.identity,
            address=caller.address,
        )
        return join_tokens_pb2.RevokeJoinTokenResponse()

    async def _bundle(self, _: trust_pb2.GetBundleRequest, context: Context, door: Door) -> trust_pb2.Bundle:
        door.caller(context)
        bundle = self.bundle()
        return trust_pb2.Bundle(
            trust_domain=bundle.trust_domain,
            sequence=bundle.sequence,
            roots=pem_list(bundle.roots),
            intermediates=pem_list(bundle.intermediates),
        )


_MANAGING: tuple[Method, ...] = ("certificate", "socket")
_REQUESTS: dict[str, type[Message]] = {
    f"{CERTIFICATES}/CreateCertificate": ca_pb2.IstioCertificateRequest,
    f"{TRUST}/GetBundle": trust_pb2.GetBundleRequest,
    f"{JOIN_TOKENS}/Create": join_tokens_pb2.CreateJoinTokenRequest,
    f"{JOIN_TOKENS}/List": join_tokens_pb2.ListJoinTokensRequest,
    f"{JOIN_TOKENS}/Revoke": join_tokens_pb2.RevokeJoinTokenRequest,
    **books.REQUESTS,
    **rotating.REQUESTS,
}


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _text(request: ca_pb2.IstioCertificateRequest, key: str) -> str:
    """A text that the agent tells about itself."""
    return request.metadata.fields[key].string_value if key in request.metadata.fields else ""


def _record(token: Token) -> join_tokens_pb2.JoinToken:
    return join_tokens_pb2.JoinToken(
        id=token.id,
        namespace=token.namespace,
        service_account=token.service_account,
        created=token.created.isoformat(),
        expires=token.expires.isoformat(),
        uses=token.uses,
    )
