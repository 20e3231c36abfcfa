"""Queries for names of the mesh, answered from a table (RFC 1035, RFC 2782). Pure.

Answers are kept as bytes: the same question is parsed once for each table.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset

from proxyd.dns.table import Host, Table

TTL_SECONDS = 30
UDP_BYTES = 1232
"""The largest answer by UDP that is not truncated, whatever the client says it takes (DNS flag day 2020)."""
MOST_KEPT = 10_000
_MIXED = 8


@dataclass(frozen=True, slots=True)
class Foreign:
    """A query for a name that is not of the mesh."""

    message: dns.message.Message


class Answers:
    """Answers of one table. chance: which of several addresses comes first."""

    def __init__(self, table: Table, chance: random.Random) -> None:
        self._table = table
        self._chance = chance
        self._kept: dict[tuple[bytes, bool], list[bytes]] = {}

    def answer(self, query: bytes, *, datagram: bool) -> bytes | Foreign | None:
        """The answer; None for what is no query, which gets none."""
        key = (query[2:], datagram)
        kept = self._kept.get(key)
        if kept is None or len(kept) < _MIXED:
            made = self._make(query, datagram)
            if not isinstance(made, _Own):
                return made
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            kept = self._kept.setdefault(key, [])
            kept += [made.wire[2:]] * (1 if made.varies else _MIXED)
            return made.wire
        return query[:2] + self._chance.choice(kept)

    def _make(self, query: bytes, datagram: bool) -> _Own | bytes | Foreign | None:
        try:
            message = dns.message.from_wire(query)
        except (dns.exception.DNSException, ValueError):
            return malformed(query)
        if message.flags & dns.flags.QR:
            return None
        if message.opcode() != dns.opcode.QUERY or len(message.question) != 1:
            return refusal(message, dns.rcode.NOTIMP)
        question = message.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        found = self._table.find(name)
        service = _service(name) if found is None or found.name.startswith("*.") else None
        if service is not None:
            found = self._table.find(service[2]) or found
        target = self._reverse(question.name) if found is None else None
        if question.rdclass != dns.rdataclass.IN or (found is None and target is None):
            return Foreign(message)
        response = dns.message.make_response(message, recursion_available=True)
        response.flags |= dns.flags.AA
        if target is not None:
            self._add(response, question, dns.rdatatype.PTR, [f"{target}."])
        elif found is not None:
            self._fill(response, question, found, service)
        varies = any(len(records) > 1 for records in response.answer)
        return _Own(_wire(response, message, datagram), varies=varies)

    def _fill(
        self,
        response: dns.message.Message,
        question: dns.rrset.RRset,
        host: Host,
        service: tuple[str, str, str] | None,
    ) -> None:
        if service is not None:
            targets = [
                f"0 100 {one.port} {service[2]}."
                for one in host.services
                if (one.name, one.protocol) == service[:2]
            ]
            self._add(response, question, dns.rdatatype.SRV, targets)
            return
        self._add(response, question, dns.rdatatype.A, host.v4)
        self._add(response, question, dns.rdatatype.AAAA, host.v6)

    def _add(
        self,
        response: dns.message.Message,
        question: dns.rrset.RRset,
        kind: dns.rdatatype.RdataType,
        values: tuple[str, ...] | list[str],
    ) -> None:
        if question.rdtype in (kind, dns.rdatatype.ANY) and values:
            mixed = self._chance.sample(values, len(values))
            response.answer.append(
                dns.rrset.from_text_list(question.name, TTL_SECONDS, dns.rdataclass.IN, kind, mixed)
            )

    def _reverse(self, name: dns.name.Name) -> str | None:
        try:
            return self._table.name_of(dns.reversename.to_address(name))
        except (dns.exception.DNSException, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class _Own:
    wire: bytes
    varies: bool


def _service(name: str) -> tuple[str, str, str] | None:
    """Port name, protocol and host of `_http._tcp.reviews.books`."""
    parts = name.split(".", 2)
    if len(parts) == 3 and parts[0].startswith("_") and parts[1] in ("_tcp", "_udp"):
        return parts[0][1:], parts[1][1:], parts[2]
    return None


def _wire(response: dns.message.Message, query: dns.message.Message, datagram: bool) -> bytes:
    """The bytes; by UDP, what is too long is cut and says so (TC), and the client asks again by TCP."""
    room = min(max(query.payload, 512), UDP_BYTES) if datagram else 65535
    try:
        return response.to_wire(max_size=room)
    except dns.exception.TooBig:
        cut = dns.message.make_response(query, recursion_available=True)
        cut.flags |= dns.flags.TC | dns.flags.AA
        return cut.to_wire(max_size=room)


def refusal(query: dns.message.Message, code: dns.rcode.Rcode) -> bytes:
    """An answer that only says why there is none."""
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(code)
    return response.to_wire()


def malformed(query: bytes) -> bytes | None:
    """FORMERR for what is not a DNS message; nothing for what is too short to have a header, or an answer."""
    if len(query) < 12 or query[2] & 0x80:
        return None
    return query[:2] + bytes([0x80 | query[2] & 0x79, 0x81]) + bytes(8)
