"""One member of an etcd cluster: its own channel, and the methods that are called on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from artemon.api.v1 import etcd_pb2 as pb
from artemon.errors import StoreError
from artemon.log import Log

log = Log("artemon.store.etcd")

HAS_LEADER = ("hasleader", "true")
"""Metadata that lets a member that has lost its leader cancel a stream instead of going silent."""
REFUSED = ((3, 5, 0), (3, 5, 2))
"""Releases, first and last, that lose data after a crash (etcd issue 13766)."""
NEW_ENOUGH: dict[tuple[int, ...], int] = {(3, 4): 42, (3, 5): 28, (3, 6): 9}
"""The patch releases that no known loss of data or of events, and no known hole, is left in."""


@dataclass(frozen=True, slots=True)
class Method:
    """A unary method. safe: may be sent again when nobody knows whether it arrived. linear: its answer's
    header comes from the quorum."""

    path: str
    request: Any
    response: Any
    safe: bool = False
    linear: bool = False


RANGE = Method("KV/Range", pb.RangeRequest, pb.RangeResponse, safe=True, linear=True)
TXN = Method("KV/Txn", pb.TxnRequest, pb.TxnResponse, linear=True)
COMPACT = Method("KV/Compact", pb.CompactionRequest, pb.CompactionResponse)
GRANT = Method("Lease/LeaseGrant", pb.LeaseGrantRequest, pb.LeaseGrantResponse, safe=True)
REVOKE = Method("Lease/LeaseRevoke", pb.LeaseRevokeRequest, pb.LeaseRevokeResponse, safe=True)
AUTHENTICATE = Method("Auth/Authenticate", pb.AuthenticateRequest, pb.AuthenticateResponse, safe=True)
STATUS = Method("Maintenance/Status", pb.StatusRequest, pb.StatusResponse, safe=True)


def options(keepalive: float) -> list[tuple[str, int]]:
    """Channel options. keepalive_timeout alone does not see a peer that accepts bytes and is dead:
    ping_timeout does. Pings without a stream would earn a GOAWAY from etcd."""
    return [
        ("grpc.keepalive_time_ms", int(keepalive * 1000)),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.http2.ping_timeout_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.max_receive_message_length", 256 << 20),
        ("grpc.max_send_message_length", 16 << 20),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1000),
        ("grpc.max_reconnect_backoff_ms", 3000),
        ("grpc.use_local_subchannel_pool", 1),
    ]


class Member:
    """A member. admitted: its version was looked at since the last failure. refused: why it is not used."""

    def __init__(self, target: str, credentials: Any, *, keepalive: float) -> None:
        self.target, self.admitted, self.refused = target, False, ""
        self._warned = False
        chosen = options(keepalive)
        self._channel = (
            grpc.aio.insecure_channel(target, options=chosen)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, options=chosen)
        )
        self.watch = self._stream("Watch/Watch", pb.WatchRequest, pb.WatchResponse)
        self.keep_alive = self._stream(
            "Lease/LeaseKeepAlive", pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse
        )
        self._unary: dict[str, Any] = {}

    def _stream(self, path: str, request: Any, response: Any) -> Any:
        return self._channel.stream_stream(
            f"/etcdserverpb.{path}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )

    async def call(self, method: Method, request: Any, *, timeout: float, token: str) -> Any:
        """One unary call. Raises grpc.aio.AioRpcError."""
        call = self._unary.get(method.path)
        if call is None:
            call = self._unary[method.path] = self._channel.unary_unary(
                f"/etcdserverpb.{method.path}",
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.response.FromString,
            )
        return await call(request, timeout=timeout, metadata=[("token", token)] if token else None)

    def judge(self, version: str) -> None:
        """Take note of the member's version. Raises StoreError for one that must not be used."""
        self.admitted = True
        number = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
        if REFUSED[0] <= number <= REFUSED[1]:
            self.refused = f"etcd {version} can lose data; upgrade to 3.5.3 or newer"
            raise StoreError(f"etcd {self.target}: {self.refused}")
        wanted = NEW_ENOUGH.get(number[:2], 0)
        if not self._warned and (number[:2] < min(NEW_ENOUGH) or number[2:] < (wanted,)):
            self._warned = True
            advice = (
                f"upgrade to {version.rpartition('.')[0]}.{wanted} or newer" if wanted else "upgrade to 3.5"
            )
            log.warning("etcd_is_old", member=self.target, version=version, advice=advice)

    async def close(self) -> None:
        """Release the connection."""
        await self._channel.close(None)
