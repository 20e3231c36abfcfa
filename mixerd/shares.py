"""Counting requests for all proxies over several mixerds: each value of a limit is counted by one of them,
which its hash chooses (rendezvous hashing)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from envoy.service.ratelimit.v3.rls_pb2 import RateLimitRequest, RateLimitResponse

from artemon.daemon.identity import Identity
from artemon.daemon.identity_tls import channel_options, grpc_channel_credentials
from artemon.errors import ArtemonError
from artemon.model.limit_terms import DOMAIN, TERMS, Terms
from mixerd.limits import Limits, Verdict

ASK = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
SECONDS = 2.0


class Shares:
    """replicas: addresses of all mixerds; me: this one's. Without others everything is counted here."""

    def __init__(
        self,
        limits: Limits,
        *,
        now: Callable[[], float],
        identity: Callable[[], Identity],
        replicas: Sequence[str] = (),
        me: str = "",
    ) -> None:
        self._limits, self._now, self._identity = limits, now, identity
        self._replicas, self._me = sorted({*replicas, *([me] if replicas else [])}), me
        self._channels: dict[str, tuple[Identity, Any]] = {}

    def owner(self, terms: Terms, values: tuple[str, ...]) -> str:
        """Who counts these values; "" is this one."""
        if len(self._replicas) < 2:
            return ""
        key = "\0".join((terms.name, *values))
        weight = {
            one: hashlib.blake2b(f"{one}\0{key}".encode(), digest_size=8).digest() for one in self._replicas
        }
        found = max(self._replicas, key=weight.__getitem__)
        return "" if found == self._me else found

    def here(self, terms: Terms, values: tuple[str, ...], hits: int) -> Verdict:
        """Count here, whoever should."""
        return self._limits.hit(terms, values, hits, self._now())

    async def hit(self, terms: Terms, values: tuple[str, ...], hits: int) -> Verdict:
        """Count `hits` requests. Raises ArtemonError when the one that counts them cannot be asked."""
        owner = self.owner(terms, values)
        if not owner:
            return self.here(terms, values, hits)
        request = RateLimitRequest(domain=DOMAIN, hits_addend=hits)
        entries = request.descriptors.add().entries
        entries.add(key=TERMS, value=terms.text())
        for value in values:
            name, _, rest = value.partition("=")
            entries.add(key=name, value=rest)
        try:
            answer = await self._channel(owner).unary_unary(
                ASK, RateLimitRequest.SerializeToString, RateLimitResponse.FromString
            )(request, timeout=SECONDS)
        except grpc.aio.AioRpcError as error:
            raise ArtemonError(f"mixerd at {owner}: {error.details() or error.code().name}") from error
        status = answer.statuses[0]
        allowed = status.code == RateLimitResponse.OK
        return Verdict(allowed, status.limit_remaining, status.duration_until_reset.ToMilliseconds() / 1000)

    def _channel(self, address: str) -> Any:
        """A connection, made anew with every certificate."""
        identity = self._identity()
        known = self._channels.get(address)
        if known is None or known[0] is not identity:
            options = channel_options("mixerd")
            channel = grpc.aio.secure_channel(address, grpc_channel_credentials(identity), options=options)
            known = self._channels[address] = (identity, channel)
        return known[1]
