"""proxyd answers names of the mesh over real sockets, with pilotd and without; others it asks for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import dns.rrset
import pytest
from meshlet import Agent, Ca, Pilot
from meshlet_net import eventually
from worlds import world

from artemon.api.v1.nds_pb2 import NameTable
from artemon.xds.session import Accepted, Rejected
from artemon.xds.types import NAMES

pytestmark = pytest.mark.envoy
HOST = "ratings.bookinfo.svc.cluster.local"


def names(*ips: str, host: str = HOST) -> tuple[str, str, NameTable]:
    table = NameTable()
    info = table.table[host]
    info.ips.extend(ips)
    info.namespace, info.shortname = "bookinfo", host.split(".", maxsplit=1)[0]
    return NAMES, host, table


class Resolver(asyncio.DatagramProtocol):
    """Knows one name, by UDP."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        if query.question[0].name.to_text() == "outside.example.org.":
            answer.answer.append(dns.rrset.from_text("outside.example.org.", 60, "IN", "A", "192.0.2.1"))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), addr)  # type: ignore[attr-defined]


@pytest.fixture
async def resolver() -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Resolver, local_addr=("127.0.0.1", 0))
    yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    transport.close()


@pytest.fixture
async def dns_agent(tmp_path: Path, ca: Ca, pilot: Pilot, resolver: str) -> AsyncIterator[Agent]:
    agent = Agent(tmp_path, ca.identity("bookinfo", "bookinfo-reviews"), [pilot.address])
    agent.settings |= {"dns_listen": f"{agent.ip}:15053", "dns_upstream": [resolver]}
    yield agent
    agent.clean()


async def ask(agent: Agent, name: str, kind: str = "A", *, tcp: bool = False) -> tuple[str, list[str]]:
    query = dns.message.make_query(name, kind)
    by = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
    answer = await by(query, agent.ip, port=15053, timeout=10)
    return dns.rcode.to_text(answer.rcode()), [str(record) for one in answer.answer for record in one]


async def answers(agent: Agent, name: str, *ips: str) -> bool:
    try:
        return await ask(agent, name) == ("NOERROR", list(ips))
    except (OSError, dns.exception.DNSException):
        return False


async def test_names_of_the_mesh_and_all_others(dns_agent: Agent, pilot: Pilot, app: int) -> None:
    pilot.publish(*world(dns_agent.ip, app), names("10.0.0.1"))
    dns_agent.start()
    await dns_agent.ready()
    await eventually(lambda: answers(dns_agent, "ratings", "10.0.0.1"), "the name is answered")
    await pilot.until(Accepted, type_url=NAMES)
    assert pilot.nodes[0].metadata["DNS_CAPTURE"] == "true"
    assert await ask(dns_agent, HOST, tcp=True) == ("NOERROR", ["10.0.0.1"])
    assert await ask(dns_agent, "ratings.bookinfo", "AAAA") == ("NOERROR", [])
    assert await ask(dns_agent, "outside.example.org") == ("NOERROR", ["192.0.2.1"])
    assert await ask(dns_agent, "nowhere.example.org") == ("NXDOMAIN", [])
    pilot.publish(*world(dns_agent.ip, app), names("10.0.0.2"))
    await eventually(lambda: answers(dns_agent, "ratings", "10.0.0.2"), "the new address is answered")
    pilot.publish(*world(dns_agent.ip, app))
    await eventually(lambda: nowhere(dns_agent, "ratings"), "the name is gone")


async def nowhere(agent: Agent, name: str) -> bool:
    return (await ask(agent, name))[0] == "NXDOMAIN"


async def test_names_are_answered_with_nobody_there(dns_agent: Agent, pilot: Pilot, app: int) -> None:
    pilot.publish(*world(dns_agent.ip, app), names("10.0.0.1"))
    dns_agent.start()
    await dns_agent.ready()
    await eventually(lambda: answers(dns_agent, "ratings", "10.0.0.1"), "the name is answered")
    assert dns_agent.stop() == 0
    await pilot.stop()
    dns_agent.start()
    await eventually(lambda: answers(dns_agent, "ratings", "10.0.0.1"), "the name is answered from disk")


async def test_a_broken_table_hurts_only_itself(dns_agent: Agent, pilot: Pilot, app: int) -> None:
    other = "details.bookinfo.svc.cluster.local"
    pilot.publish(*world(dns_agent.ip, app), names("10.0.0.1"), names("10.0.0.9", host=other))
    dns_agent.start()
    await dns_agent.ready()
    await eventually(lambda: answers(dns_agent, "details", "10.0.0.9"), "the name is answered")
    pilot.publish(*world(dns_agent.ip, app), names("not an address"), names("10.0.0.8", host=other))
    await eventually(lambda: answers(dns_agent, "details", "10.0.0.8"), "the other name goes on")
    (rejected,) = await pilot.until(Rejected, type_url=NAMES)
    assert HOST in rejected.message
    assert await answers(dns_agent, "ratings", "10.0.0.1")


async def test_a_port_in_use_is_said(dns_agent: Agent) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((dns_agent.ip, 15053))
        dns_agent.start()
        assert dns_agent.process is not None
        assert await asyncio.to_thread(dns_agent.process.wait, 30) == 1
    assert dns_agent.said(f"DNS cannot listen on {dns_agent.ip}:15053: Address already in use")
