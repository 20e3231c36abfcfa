"""Calls to an etcd cluster: failover, retry, authentication, and etcd's errors as ours."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio

from artemon.api.v1 import etcd_pb2 as pb
from artemon.backoff import Backoff
from artemon.errors import LeaseGone, StoreError, TooLarge, Unavailable, Unknown
from artemon.log import Log
from artemon.store import clock
from artemon.store.etcd.history import History
from artemon.store.etcd.member import AUTHENTICATE, HAS_LEADER, STATUS, Member, Method

log = Log("artemon.store.etcd")

Code = grpc.StatusCode
TRANSIENT = {
    Code.UNAVAILABLE,
    Code.DEADLINE_EXCEEDED,
    Code.CANCELLED,
    Code.INTERNAL,
    Code.UNKNOWN,
    Code.ABORTED,
}
NEVER_SENT = ("failed to connect", "connection refused", "name resolution", "dns resolution", "dns query")
"""Said by gRPC when there was no connection to send on."""
UNTRUSTED = (
    "certificate_verify_failed",
    "certificate signature failure",
    "hostname verification check failed",
)
"""Said by gRPC when the server's certificate is not one to be trusted."""


class Compacted(StoreError):
    """The asked revision is no longer in etcd's history."""


class NotAuthenticated(StoreError):
    """etcd does not know the token (any more)."""


def translate(error: grpc.aio.AioRpcError, target: str, *, safe: bool) -> StoreError:
    """What a failed call means. safe: it changed nothing that matters, whether it arrived or not."""
    code, details = error.code(), error.details() or str(error.code())
    lower = details.lower()
    known = "its certificate is not trusted: " if any(words in lower for words in UNTRUSTED) else ""
    text = f"etcd {target}: {known}{details}"
    if code in TRANSIENT:
        return Unavailable(text) if safe or any(words in lower for words in NEVER_SENT) else Unknown(text)
    for kind, meant, words in _MEANINGS:
        if code is meant and words in lower:
            return kind(text)
    return StoreError(text)


_MEANINGS: Sequence[tuple[type[StoreError], grpc.StatusCode, str]] = (
    (LeaseGone, Code.NOT_FOUND, "lease not found"),
    (Compacted, Code.OUT_OF_RANGE, "compacted"),
    (TooLarge, Code.INVALID_ARGUMENT, "too large"),
    (NotAuthenticated, Code.UNAUTHENTICATED, ""),
    (NotAuthenticated, Code.INVALID_ARGUMENT, "auth: revision in header is old"),
    (Unavailable, Code.RESOURCE_EXHAUSTED, ""),
)


class Client:
    """A cluster. `member` is the one in use; a failure moves on to the next."""

    def __init__(self, members: Sequence[Member], *, user: str, password: str, timeout: float) -> None:
        self._members, self._current = members, 0
        self._user, self._password, self._token = user, password, ""
        self._login = asyncio.Lock()
        self.timeout, self.history = timeout, History()

    @property
    def member(self) -> Member:
        """The member in use."""
        return self._members[self._current]

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """What a stream carries."""
        return [HAS_LEADER, ("token", self._token)] if self._token else [HAS_LEADER]

    def leave(self, member: Member) -> None:
        """`member` failed: use the next one that may be used."""
        member.admitted = False
        if self.member is not member:
            return
        count = len(self._members)
        after = [(self._current + step) % count for step in range(1, count + 1)]
        self._current = next((one for one in after if not self._members[one].refused), after[0])

    async def call(
        self, method: Method, request: Any, *, timeout: float | None = None, member: Member | None = None
    ) -> Any:
        """The answer to `request`, from `member` or from any. Raises StoreError: Unavailable, where it was
        surely not applied, Unknown where it may have been."""
        deadline = clock.now() + (timeout or self.timeout)
        backoff = Backoff(0.04, 0.5)
        while True:
            chosen = member or self.member
            try:
                return await self._once(chosen, method, request, deadline)
            except NotAuthenticated as error:
                await self._authenticate(chosen, self._token, error)
                failure: StoreError = error
            except Unavailable as error:
                self.leave(chosen)
                failure = error
            pause = backoff.next(random.random())  # noqa: S311 - jitter
            if member is not None or clock.now() + pause >= deadline:
                raise failure
            await asyncio.sleep(pause)

    async def ready(self, member: Member, *, timeout: float | None = None) -> None:
        """See to it that `member` may be used and that there is a token. Raises StoreError."""
        limit = timeout or self.timeout
        if member.refused:
            raise StoreError(f"etcd {member.target}: {member.refused}")
        if not member.admitted:
            try:
                answer = await member.call(STATUS, pb.StatusRequest(), timeout=limit, token=self._token)
                version = str(answer.version)
            except grpc.aio.AioRpcError as error:
                if error.code() in TRANSIENT:
                    raise translate(error, member.target, safe=True) from error
                version = "3.99.0"
                log.warning("version_unknown", member=member.target, error=error.details())
            self._judge(member, version)
        if self._user and not self._token:
            await self._authenticate(member, "", None)

    def _judge(self, member: Member, version: str) -> None:
        """Raises Unavailable for a member to be passed over, StoreError when there is no other."""
        try:
            member.judge(version)
        except StoreError as error:
            log.error("member_refused", member=member.target, reason=member.refused)
            if all(one.refused for one in self._members):
                raise
            raise Unavailable(str(error)) from error

    async def _once(self, member: Member, method: Method, request: Any, deadline: float) -> Any:
        left = max(deadline - clock.now(), 0.001)
        if method.safe and len(self._members) > 1:
            left = min(left, max(self.timeout / len(self._members), 1.0))
        await self.ready(member, timeout=left)
        left = max(min(left, deadline - clock.now()), 0.001)
        mark = self.history.mark()
        try:
            answer = await member.call(method, request, timeout=left, token=self._token)
        except grpc.aio.AioRpcError as error:
            raise translate(error, member.target, safe=method.safe) from error
        if method.linear:
            head = answer.header
            self.history.answered(head.cluster_id, head.revision, head.raft_term, since=mark)
        return answer

    async def renew_token(self, member: Member) -> None:
        """A stream was refused for its token."""
        await self._authenticate(member, self._token, None)

    async def _authenticate(self, member: Member, old: str, cause: StoreError | None) -> None:
        if not self._user:
            raise StoreError(f"etcd {member.target}: asks for a user; set user and password_file") from cause
        async with self._login:
            if self._token != old:
                return
            request = pb.AuthenticateRequest(name=self._user, password=self._password)
            try:
                answer = await member.call(AUTHENTICATE, request, timeout=self.timeout, token="")
            except grpc.aio.AioRpcError as error:
                raise translate(error, member.target, safe=True) from error
            self._token = str(answer.token)

    async def close(self) -> None:
        """Release the connections."""
        for member in self._members:
            await member.close()
