"""Passes Envoy's question on to another external authorizer (`envoy.service.auth.v3.Authorization`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from artemon.adapters import Adapter, Answer, Handler, Params, Place, Row, Shape
from artemon.errors import ArtemonError, Problem
from artemon.model.duration import Duration, Nanoseconds
from mixerd.adapters.plain import address_problems

CHECK = "/envoy.service.auth.v3.Authorization/Check"
DENIED = 7


class ExtAuthzParams(Params):
    """address: `host:port`, gRPC. cachingInterval, cachingUseCount: of answers, for requests with the same
    instance: say with it what the answer depends on."""

    required: ClassVar[tuple[str, ...]] = ("address",)

    address: str = ""
    timeout: Duration = Nanoseconds(1_000_000_000)
    tls: bool = False
    caching_interval: Duration | None = None
    caching_use_count: Annotated[int, Field(ge=0)] = 0


def _problems(params: ExtAuthzParams, _: Sequence[Shape]) -> Iterator[Problem]:
    yield from address_problems(params.address)
    if not 1_000_000 <= params.timeout <= 2_000_000_000:
        yield Problem("spec.params.timeout", "must be 1ms to 2s")


class ExtAuthz(Handler):
    """One channel, kept."""

    def __init__(self, params: ExtAuthzParams, _: Place) -> None:
        self._params = params
        self._channel: Any = None

    async def check(self, row: Row) -> Answer:
        import grpc
        from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

        if self._channel is None:
            address, channels = self._params.address, grpc.aio
            self._channel = (
                channels.secure_channel(address, grpc.ssl_channel_credentials())
                if self._params.tls
                else channels.insecure_channel(address)
            )
        ask = self._channel.unary_unary(CHECK, None, CheckResponse.FromString)
        try:
            answer = await ask(row.request, timeout=self._params.timeout.seconds)
        except grpc.aio.AioRpcError as error:
            reason = error.details() or error.code().name
            raise ArtemonError(f"{self._params.address}: {reason}") from error
        return self._read(answer)

    def _read(self, answer: Any) -> Answer:
        interval = self._params.caching_interval
        seconds, uses = interval.seconds if interval else 0.0, self._params.caching_use_count
        allowed = answer.status.code == 0 and not answer.HasField("denied_response")
        part = answer.ok_response if allowed else answer.denied_response
        headers = {one.header.key: one.header.value for one in part.headers}
        if allowed:
            return Answer(0, "", seconds, uses, headers)
        code, text = answer.status.code or DENIED, part.body or answer.status.message
        return Answer(code, text, seconds, uses, headers, part.status.code)

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()


plugin = Adapter(
    ExtAuthzParams, frozenset({"checknothing", "listentry", "authorization"}), ExtAuthz, _problems
)
