"""The last good answers of other resolvers, for when they say that a name does not exist any more. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

MOST = 10_000
"""Answers that are kept."""
TTL_SECONDS = 5
"""Of an answer that is held: clients ask again soon."""
GONE = frozenset({dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL, dns.rcode.REFUSED})

Question = tuple[dns.name.Name, dns.rdatatype.RdataType]


@dataclass(frozen=True, slots=True)
class _Good:
    answer: dns.message.Message
    at: float


class Hold:
    """seconds: how long an answer counts after it was given last; 0: nothing is held."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._good: dict[Question, _Good] = {}

    def judged(
        self, query: dns.message.Message, answer: dns.message.Message | None, *, now: float
    ) -> dns.message.Message | None:
        """What to answer: `answer` itself (None: nobody gave one), or the last good one in place of a name
        that is gone. now: seconds of a clock that does not jump."""
        if not self._seconds:
            return answer
        question = query.question[0].name, query.question[0].rdtype
        if answer is not None and answer.answer and answer.rcode() == dns.rcode.NOERROR:
            self._keep(question, _Good(answer, now))
            return answer
        if answer is not None and answer.rcode() not in GONE:
            return answer
        good = self._good.get(question)
        if good is None or now - good.at > self._seconds:
            self._good.pop(question, None)
            return answer
        return _again(query, good.answer)

    def _keep(self, question: Question, good: _Good) -> None:
        self._good.pop(question, None)
        while len(self._good) >= MOST:
            del self._good[next(iter(self._good))]
        self._good[question] = good


def _again(query: dns.message.Message, good: dns.message.Message) -> dns.message.Message:
    """The records of an answer, for this query."""
    made = dns.message.make_response(query, recursion_available=True)
    for record in good.answer:
        copy = record.copy()  # type: ignore[no-untyped-call]
        copy.ttl = min(copy.ttl, TTL_SECONDS)
        made.answer.append(copy)
    return made
