"""Names of the mesh: what is found under which name, and what is answered, forwarded or refused."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artemon.api.v1.nds_pb2 import NameTable
from artemon.errors import ArtemonError
from artemon.model.service import Endpoint, Health, Port, Protocol, Service
from artemon.translate.name_table import NameStates
from artemon.xds.resource import NOTHING
from proxyd.dns.answers import Answers, Foreign
from proxyd.dns.resolvers import name_servers, resolvers
from proxyd.dns.table import Table


def host(name: str, *ips: str, namespace: str = "books", short: str = "") -> NameTable:
    table = NameTable()
    info = table.table[name]
    info.ips.extend(ips)
    info.namespace, info.shortname = namespace, short
    info.ports.add(name="http", number=9080, protocol="tcp")
    return table


TABLE = Table(
    [
        host("reviews.books.svc.cluster.local", "10.0.0.2", "10.0.0.1", "fd00::1", short="reviews"),
        host("web.other.svc.cluster.local", "10.1.0.1", namespace="other", short="web"),
        host("*.example.com", "240.240.0.1"),
        host("*.deep.example.com", "240.240.0.2"),
        host("Shop.Example.com", "240.240.0.3"),
        host("many.books.svc.cluster.local", *(f"10.2.{n // 250}.{n % 250}" for n in range(400))),
    ],
    namespace="books",
)


def ask(
    name: str, kind: str = "A", *, datagram: bool = True, **options: int
) -> dns.message.Message | Foreign:
    query = dns.message.make_query(name, kind, **options)  # type: ignore[arg-type]
    found = Answers(TABLE, random.Random(1)).answer(query.to_wire(), datagram=datagram)
    if isinstance(found, Foreign):
        return found
    assert found is not None
    answer = dns.message.from_wire(found)
    assert answer.id == query.id
    return answer


def records(name: str, kind: str = "A") -> list[str]:
    answer = ask(name, kind)
    assert isinstance(answer, dns.message.Message)
    assert answer.rcode() == dns.rcode.NOERROR
    return sorted(str(record) for one in answer.answer for record in one)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("reviews.books.svc.cluster.local", "A", ["10.0.0.1", "10.0.0.2"]),
        ("REVIEWS.Books.svc.cluster.local.", "AAAA", ["fd00::1"]),
        ("reviews.books.svc", "A", ["10.0.0.1", "10.0.0.2"]),
        ("reviews.books", "A", ["10.0.0.1", "10.0.0.2"]),
        ("reviews", "A", ["10.0.0.1", "10.0.0.2"]),
        ("reviews", "ANY", ["10.0.0.1", "10.0.0.2", "fd00::1"]),
        ("web.other", "A", ["10.1.0.1"]),
        ("web.other", "AAAA", []),
        ("web.other", "TXT", []),
        ("shop.example.com", "A", ["240.240.0.3"]),
        ("any.example.com", "A", ["240.240.0.1"]),
        ("a.b.example.com", "A", ["240.240.0.1"]),
        ("a.deep.example.com", "A", ["240.240.0.2"]),
        ("_http._tcp.reviews.books", "SRV", ["0 100 9080 reviews.books."]),
        ("_http._udp.reviews.books", "SRV", []),
        ("1.0.0.10.in-addr.arpa", "PTR", ["reviews.books.svc.cluster.local."]),
        ("1" + ".0" * 27 + ".0.0.d.f.ip6.arpa", "PTR", ["reviews.books.svc.cluster.local."]),
    ],
)
def test_names_of_the_mesh(name: str, kind: str, expected: list[str]) -> None:
    assert records(name, kind) == expected


@pytest.mark.parametrize(
    "name", ["web", "example.com", "reviews.other", "cluster.local", "8.8.8.8.in-addr.arpa", "."]
)
def test_all_others_are_asked_elsewhere(name: str) -> None:
    assert isinstance(ask(name, "PTR" if name.endswith("arpa") else "A"), Foreign)


def test_an_answer_too_long_for_a_datagram_is_asked_for_again_by_tcp() -> None:
    short = ask("many.books.svc.cluster.local", payload=4096, use_edns=0)
    assert isinstance(short, dns.message.Message)
    assert short.flags & dns.flags.TC
    whole = ask("many.books.svc.cluster.local", datagram=False)
    assert isinstance(whole, dns.message.Message)
    assert len(whole.answer[0]) == 400


def test_addresses_come_in_changing_order() -> None:
    answers, query = Answers(TABLE, random.Random(1)), dns.message.make_query("reviews", "A").to_wire()
    first = set()
    for _ in range(100):
        found = answers.answer(query, datagram=True)
        assert isinstance(found, bytes)
        first.add(str(dns.message.from_wire(found).answer[0][0]))
    assert first == {"10.0.0.1", "10.0.0.2"}


def test_what_is_no_query_gets_no_answer_or_a_refusal() -> None:
    answers = Answers(TABLE, random.Random(1))
    query = dns.message.make_query("reviews", "A")
    response = dns.message.make_response(query)
    assert answers.answer(response.to_wire(), datagram=True) is None
    assert answers.answer(b"\0\1", datagram=True) is None
    broken = answers.answer(struct.pack("!6H", 7, 0x0100, 9, 0, 0, 0), datagram=True)
    assert isinstance(broken, bytes)
    assert dns.message.from_wire(broken).rcode() == dns.rcode.FORMERR
    query.set_opcode(2)
    update = answers.answer(query.to_wire(), datagram=True)
    assert isinstance(update, bytes)
    assert dns.message.from_wire(update).rcode() == dns.rcode.NOTIMP


@given(st.binary(max_size=200))
def test_any_bytes_are_answered_or_left(data: bytes) -> None:
    found = Answers(TABLE, random.Random(1)).answer(data, datagram=True)
    assert found is None or isinstance(found, Foreign) or found[:2] == data[:2]


def test_resolvers_of_the_machine(tmp_path: Path) -> None:
    first, second = tmp_path / "resolv.conf", tmp_path / "behind"
    first.write_text("# by hand\nsearch lan\nnameserver 127.0.0.1\noptions ndots:1\n")
    second.write_text("nameserver 10.0.0.53 # the office\nnameserver fe80::1%eth0\nnameserver what\n")
    files = (first, second)
    assert resolvers((), ("127.0.0.2", 53), files=files) == (("127.0.0.1", 53),)
    assert resolvers((), ("127.0.0.1", 53), files=files) == (("10.0.0.53", 53), ("fe80::1%eth0", 53))
    assert resolvers((), ("127.0.0.1", 53), files=(tmp_path / "none",)) == ()
    assert resolvers(("10.0.0.1:5353",), ("127.0.0.1", 53)) == (("10.0.0.1", 5353),)
    with pytest.raises(ArtemonError, match=r"dns_upstream: 127.0.0.1:53 is where proxyd itself answers"):
        resolvers(("127.0.0.1:53",), ("127.0.0.1", 53))
    assert len(name_servers("nameserver 10.0.0.1\n" * 5)) == 3


def service(name: str, *addresses: str, namespace: str = "books") -> Service:
    full = f"{name}.{namespace}.svc.cluster.local"
    return Service(full, namespace, (Port(80, "http", Protocol.HTTP),), addresses=addresses)


def test_what_pilotd_tells_of_services() -> None:
    services = {
        one.host: one
        for one in (service("vip", "10.9.0.1"), service("headless"), service("net", "10.0.0.0/8"))
    }
    head = "headless.books.svc.cluster.local"
    up, sick = Endpoint("10.0.0.7", "books"), Endpoint("10.0.0.8", "books", health=Health.UNHEALTHY)
    states = NameStates(services)
    first = states.state({head: (up, sick)}, NOTHING)
    assert set(first.items) == {head, "vip.books.svc.cluster.local"}
    info = NameTable.FromString(first.items[head].body).table[head]
    assert (list(info.ips), info.shortname, info.registry) == (["10.0.0.7"], "headless", "Kubernetes")
    gone = states.state({head: (sick,)}, first)
    assert set(gone.items) == {"vip.books.svc.cluster.local"}
    assert states.state({head: (sick,)}, gone) is not None
    assert head in states.state({head: (up,)}, gone).items
