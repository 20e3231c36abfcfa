"""The gRPC server: access logs, spans, questions. Every caller shows a certificate of the mesh."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import grpc
from cryptography import x509
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage, StreamAccessLogsResponse
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from envoy.service.ratelimit.v3.rls_pb2 import RateLimitRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from artemon.daemon.grpc_server import Answer, Context, debug, read
from artemon.daemon.identity_tls import peer_spiffe_id
from artemon.errors import ArtemonError
from artemon.model.mixer import ASKED_SERVICE, ASKED_VERSION
from mixerd import reading
from mixerd.checking import Checking
from mixerd.counting import Counting
from mixerd.desk import Desk
from mixerd.dispatch import Dispatch
from mixerd.records import Reporter

MAX_MESSAGE = 16 * 1024 * 1024
OPTIONS = (("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.so_reuseport", 0))


async def reporter_of(context: Context, trust_domain: str) -> Reporter:
    """Who calls; the call is ended for whoever is not of the mesh."""
    identity = peer_spiffe_id(context)
    if identity is None or identity.trust_domain != trust_domain:
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "only workloads of the mesh report")
    found = list(context.auth_context().get("x509_pem_cert", ()))
    certificate = x509.load_pem_x509_certificate(found[0]) if found else None
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.USER_ID) if certificate else []
    return Reporter.of(identity, str(names[0].value) if names else "")


def told_by(context: Context, reporter: Reporter) -> Reporter:
    """What pilotd makes a proxy say of its workload when it asks about requests; its namespace is its
    certificate's."""
    told = {name: str(value) for name, value in context.invocation_metadata() or ()}
    service = told.get(ASKED_SERVICE)
    if not service:
        return reporter
    return replace(reporter, service=service, version=told.get(ASKED_VERSION, ""))


class Services:
    """The handlers."""

    def __init__(
        self,
        desk: Desk,
        dispatch: Dispatch,
        answer: Answer,
        counting: Counting,
        checking: Checking,
        *,
        trust_domain: str,
    ) -> None:
        self._desk, self._dispatch, self._answer = desk, dispatch, answer
        self._counting, self._checking = counting, checking
        self._trust_domain = trust_domain

    async def logs(self, messages: AsyncIterator[bytes], context: Context) -> bytes:
        """`AccessLogService/StreamAccessLogs`: until the proxy ends the stream."""
        reporter = await reporter_of(context, self._trust_domain)
        async for data in messages:
            message = await read(StreamAccessLogsMessage, data, context)
            calls = [(one, reading.request(one, reporter)) for one in message.http_logs.log_entry]
            calls += [(one, reading.connection(one, reporter)) for one in message.tcp_logs.log_entry]
            self._desk.calls(call for _, call in calls)
            for entry, call in calls:
                self._dispatch.take(entry, call)
        return bytes(StreamAccessLogsResponse().SerializeToString())

    async def spans(self, data: bytes, context: Context) -> bytes:
        """`TraceService/Export`."""
        reporter = await reporter_of(context, self._trust_domain)
        message = await read(ExportTraceServiceRequest, data, context)
        self._desk.spans(reading.spans(message, reporter))
        return bytes(ExportTraceServiceResponse().SerializeToString())

    async def limit(self, data: bytes, context: Context) -> bytes:
        """`RateLimitService/ShouldRateLimit`."""
        reporter = await reporter_of(context, self._trust_domain)
        request = await read(RateLimitRequest, data, context)
        try:
            return bytes((await self._counting.answer(request, reporter)).SerializeToString())
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except ArtemonError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))

    async def check(self, data: bytes, context: Context) -> bytes:
        """`Authorization/Check`."""
        reporter = told_by(context, await reporter_of(context, self._trust_domain))
        request = await read(CheckRequest, data, context)
        try:
            return bytes((await self._checking.answer(request, data, reporter)).SerializeToString())
        except ArtemonError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))

    def table(self) -> Mapping[str, Mapping[str, Any]]:
        """By service and method."""
        return {
            "envoy.service.accesslog.v3.AccessLogService": {
                "StreamAccessLogs": grpc.stream_unary_rpc_method_handler(self.logs)
            },
            "opentelemetry.proto.collector.trace.v1.TraceService": {
                "Export": grpc.unary_unary_rpc_method_handler(self.spans)
            },
            "envoy.service.ratelimit.v3.RateLimitService": {
                "ShouldRateLimit": grpc.unary_unary_rpc_method_handler(self.limit)
            },
            "envoy.service.auth.v3.Authorization": {"Check": grpc.unary_unary_rpc_method_handler(self.check)},
            **debug(self._answer, self._trust_domain),
        }
