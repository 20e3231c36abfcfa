"""Who calls: decided by the listener that the call came in on, before anything it says is parsed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import grpc

from artemon.daemon.identity_tls import peer_chain, peer_serial, peer_spiffe_id
from artemon.daemon.peers import Peer
from citadeld.attestors.api import Evidence
from citadeld.decision import Caller, Denied, Method, Reason
from citadeld.limits import Limiter, Rate
from citadeld.metrics import Metrics
from citadeld.revoker import Known

Context = grpc.aio.ServicerContext[Any, Any]

PER_IDENTITY = Rate(per_second=10, burst=50)
"""All instances of a service account share it."""
PER_ADDRESS = Rate(per_second=50, burst=200)
OPERATORS = ("galleyd", "admin")


@dataclass(frozen=True, slots=True)
class Door:
    """Authenticates the callers of one listener."""

    method: Method
    trust_domain: str
    metrics: Metrics
    addresses: Limiter
    known: Known

    def caller(self, context: Context) -> Caller:
        """Who calls, as far as the connection tells. Raises Denied."""
        address = address_of(context.peer())
        if self.method != "socket" and not self.addresses.allow(address, now=time.monotonic()):
            self._too_many("there are too many calls from this address")
        caller = Caller(self.method, address)
        if self.method != "certificate":
            return caller
        identity = peer_spiffe_id(context)
        if identity is None or identity.trust_domain != self.trust_domain:
            self.metrics.count("authentication_failure")
            raise Denied(
                Reason.NOT_AUTHENTICATED,
                f"the client certificate must name one workload of {self.trust_domain}",
            )
        serial = f"{peer_serial(context) or 0:x}"
        if self.known.refuses(identity, serial):
            self.metrics.count("authentication_failure")
            raise Denied(Reason.NOT_ALLOWED, f"{identity} or its certificate {serial} is revoked")
        return replace(caller, identity=identity, serial=serial)

    def operator(self, context: Context) -> Caller:
        """The caller, if it may manage tokens. Raises Denied."""
        caller = self.caller(context)
        identity = caller.identity
        if self.method == "socket":
            return caller
        if identity is None or not identity.is_system or identity.service_account not in OPERATORS:
            raise Denied(Reason.NOT_ALLOWED, f"{identity or 'this caller'} may not manage join tokens")
        return caller

    def peer(self, peer: Peer) -> Caller:
        """A process of this machine. Raises Denied."""
        address = f"uid {peer.uid}"
        if not self.addresses.allow(address, now=time.monotonic()):
            self._too_many("there are too many calls from this user")
        return Caller(self.method, address)

    def evidence(self, context: Context, caller: Caller) -> Evidence:
        """What `caller` shows beside its connection. Raises Denied."""
        if self.method in {"token", "socket"}:
            try:
                return Evidence("token", bearer=_bearer(context))
            except Denied:
                self.metrics.count("authentication_failure")
                raise
        if self.method == "machine":
            return Evidence(self.method, chain=peer_chain(context))
        return Evidence(self.method, caller.identity)

    def _too_many(self, text: str) -> None:
        self.metrics.count("rate_limited")
        raise Denied(Reason.TOO_MANY, text)


def address_of(peer: str) -> str:
    """The address in gRPC's name of a peer, without the port: `ipv4:127.0.0.1:5000` is `127.0.0.1`."""
    kind, _, rest = peer.partition(":")
    return rest.rpartition(":")[0].strip("[]").replace("%5B", "").replace("%5D", "") if kind != "unix" else ""


def _bearer(context: Context) -> str:
    """The token of the one authorization header. Raises Denied when there is none, or more than one."""
    found = [value for key, value in context.invocation_metadata() or () if key.lower() == "authorization"]
    if len(found) != 1 or not isinstance(found[0], str):
        raise Denied(Reason.NOT_AUTHENTICATED, "exactly one authorization header with a token is needed")
    scheme, _, token = found[0].partition(" ")
    if scheme.lower() != "bearer":
        raise Denied(Reason.NOT_AUTHENTICATED, "the authorization header must be: Bearer <token>")
    return token.strip()
