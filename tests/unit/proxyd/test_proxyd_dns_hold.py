"""Names that are gone are held where that is asked for; resolvers that lead back are found and left out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import dns.asyncquery
import dns.message
import dns.rcode
import dns.rrset
import pytest
from prometheus_client import CollectorRegistry
from servers import free_ports

from artemon.log import Log
from proxyd.bootstrap import bootstrap
from proxyd.dns.hold import Hold
from proxyd.dns.server import DnsServer
from proxyd.metrics import Metrics
from proxyd.settings import ProxydSettings

NAME = "db.example.org."
QUERY = dns.message.make_query(NAME, "A")


def good() -> dns.message.Message:
    answer = dns.message.make_response(QUERY)
    answer.answer.append(dns.rrset.from_text(NAME, 300, "IN", "A", "192.0.2.1"))
    return answer


def said(code: dns.rcode.Rcode) -> dns.message.Message:
    answer = dns.message.make_response(QUERY)
    answer.set_rcode(code)
    return answer


@pytest.mark.parametrize(
    ("seconds", "then", "after", "held"),
    [
        pytest.param(600, said(dns.rcode.NXDOMAIN), 599, True, id="name-is-gone"),
        pytest.param(600, said(dns.rcode.SERVFAIL), 10, True, id="resolver-fails"),
        pytest.param(600, None, 10, True, id="nobody-answers"),
        pytest.param(600, said(dns.rcode.NXDOMAIN), 601, False, id="too-long-ago"),
        pytest.param(600, said(dns.rcode.NOERROR), 10, False, id="no-such-record"),
        pytest.param(0, said(dns.rcode.NXDOMAIN), 1, False, id="not-asked-for"),
    ],
)
def test_the_last_good_answer_counts_for_a_while(
    seconds: float, then: dns.message.Message | None, after: float, held: bool
) -> None:
    hold = Hold(seconds)
    first = good()
    assert hold.judged(QUERY, first, now=100.0) is first
    again = dns.message.make_query(NAME, "A")
    told = hold.judged(again, then, now=100.0 + after)
    if not held:
        assert told is then
        return
    assert told is not None
    assert told.id == again.id
    assert [str(record) for one in told.answer for record in one] == ["192.0.2.1"]
    assert told.answer[0].ttl == 5


def test_another_name_is_not_held() -> None:
    hold = Hold(600)
    hold.judged(QUERY, good(), now=1.0)
    other = dns.message.make_query("other.example.org.", "A")
    gone = dns.message.make_response(other)
    gone.set_rcode(dns.rcode.NXDOMAIN)
    assert hold.judged(other, gone, now=2.0) is gone


class Resolver(asyncio.DatagramProtocol):
    """Answers what `answer` makes of a query."""

    def __init__(self, answer: Callable[[dns.message.Message], dns.message.Message]) -> None:
        self.answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        answer = self.answer(query)
        answer.id = query.id
        self.transport.sendto(answer.to_wire(), addr)  # type: ignore[attr-defined]


@asynccontextmanager
async def resolver(answer: Callable[[dns.message.Message], dns.message.Message]) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Resolver(answer), local_addr=("127.0.0.1", 0))
    yield transport.get_extra_info("sockname")[1]
    transport.close()


async def ask(port: int, name: str = NAME) -> dns.message.Message:
    return await dns.asyncquery.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=port, timeout=30)


async def test_a_name_that_vanishes_is_answered_on(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [good()]
    (port,) = free_ports(1)
    metrics = Metrics(CollectorRegistry())
    async with resolver(lambda _: answers[-1]) as upstream:
        server = DnsServer((("127.0.0.1", upstream),), log=Log("test"), metrics=metrics, hold=600)
        async with server.serve(("127.0.0.1", port)):
            assert (await ask(port)).rcode() == dns.rcode.NOERROR
            answers.append(said(dns.rcode.NXDOMAIN))
            for _ in range(20):
                held = await ask(port)
                assert held.rcode() == dns.rcode.NOERROR
                assert str(held.answer[0][0]) == "192.0.2.1"


class Circle(asyncio.DatagramProtocol):
    """Asks `port` whatever it is asked."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr[1] != self.port:
            self.transport.sendto(data, ("127.0.0.1", self.port))  # type: ignore[attr-defined]


async def test_a_resolver_that_leads_back_is_found_and_another_is_asked() -> None:
    (port,) = free_ports(1)
    loop = asyncio.get_running_loop()
    circle, _ = await loop.create_datagram_endpoint(lambda: Circle(port), local_addr=("127.0.0.1", 0))
    crooked = circle.get_extra_info("sockname")
    async with resolver(lambda _: good()) as other:
        straight = ("127.0.0.1", other)
        server = DnsServer((crooked, straight), log=Log("test"), metrics=Metrics(CollectorRegistry()))
        async with server.serve(("127.0.0.1", port)):
            async with asyncio.timeout(30):
                while server._loops.straight != (straight,):
                    await asyncio.sleep(0.01)
            assert (await ask(port)).rcode() == dns.rcode.NOERROR
    circle.close()


def test_envoy_asks_proxyd_only_where_answers_are_held() -> None:
    plain = ProxydSettings(dns_listen="127.0.0.1:15053", dns_upstream=("192.0.2.53:53",))
    assert "typed_dns_resolver_config" not in bootstrap(plain, "n")
    holding = plain.model_copy(update={"dns_hold": 600.0})
    asked = bootstrap(holding, "n")["typed_dns_resolver_config"]["typed_config"]["resolvers"]
    addresses = [one["socket_address"]["address"] for one in asked]
    assert addresses == ["127.0.0.1", "192.0.2.53"]
