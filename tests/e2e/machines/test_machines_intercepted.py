"""Unmodified applications on intercepted machines: mutual TLS both ways, IPv6, no loops, SSH as it was."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from machine_site import ANSWER, NAMESPACE, PORT, Control, Machine, wait
from netns import APP_UID, Host, hosts, missing

from proxyd.dns.resolvers import RESOLV_CONF, name_servers

pytestmark = [
    pytest.mark.root,
    pytest.mark.envoy,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]


SSH = 22
RESOLVERS = name_servers(RESOLV_CONF.read_text()) if RESOLV_CONF.exists() else ()
ASK = """
import sys, dns.message, dns.query
by, resolver, name = sys.argv[1:]
answer = getattr(dns.query, by)(dns.message.make_query(name, "A"), resolver, timeout=30)
print(*(record.address for one in answer.answer for record in one))
"""


@dataclass
class Site:
    control: Control
    client: Machine
    server: Machine
    outside: Host

    @property
    def keeps_source(self) -> bool:
        return bool(self.server.settings["interception"] == "TPROXY")


@pytest.fixture(scope="module", params=["REDIRECT", "TPROXY"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("machines")
    with hosts(2) as (switch, one, two):
        control = Control(folder / "control", switch)
        control.start()
        names = {"dns_listen": "127.0.0.1:15053", "dns_upstream": [f"{switch.ipv4}:53"]}
        client = Machine(folder, one, control, "client", interception=request.param, **names)
        server = Machine(folder, two, control, "server", interception=request.param)
        for machine in (client, server):
            machine.start()
        for machine in (client, server):
            machine.wait_ready()
            machine.intercept("apply")
            machine.intercept("confirm")
        wait(lambda: client.call(server)[0] == 200, client.log.read_text)
        ssh = folder / "ssh.log"
        two.start(sys.executable, "-c", ANSWER, "ssh", str(SSH), log=ssh)
        yield Site(control, client, server, switch)


@pytest.mark.parametrize("ipv6", [False, True])
def test_applications_reach_each_other_by_mutual_tls(site: Site, ipv6: bool) -> None:
    for one, other in ((site.client, site.server), (site.server, site.client)):
        status, answer = one.call(other, ipv6=ipv6)
        assert (status, answer["name"]) == (200, other.service)
        assert f"spiffe://cluster.local/ns/{NAMESPACE}/sa/{one.service}" in answer["caller"], answer


@pytest.mark.skipif(not RESOLVERS, reason="needs a nameserver in /etc/resolv.conf")
def test_names_of_the_mesh_are_found_by_applications_that_ask_the_machines_resolver(site: Site) -> None:
    """Nobody is there under the resolver's address: the queries are led to proxyd, by UDP and TCP."""
    url = f"http://server.{NAMESPACE}:{PORT}/"
    status, answer = wait(lambda: found if (found := site.client.get(url))[0] == 200 else None, lambda: url)
    assert (status, answer["name"]) == (200, "server")
    assert f"/sa/{site.client.service}" in answer["caller"]
    for by in ("udp", "tcp"):
        asked = (sys.executable, "-c", ASK, by, RESOLVERS[0][0], f"server.{NAMESPACE}.svc.cluster.local")
        assert site.client.host.check(*asked, uid=APP_UID).strip(), by


def test_each_connection_passes_each_proxy_once(site: Site) -> None:
    """Interception that leads the proxy's own connections back to it makes thousands (the loop)."""
    before = [machine.stat("downstream_cx_total") for machine in (site.client, site.server)]
    for _ in range(5):
        assert site.client.call(site.server)[0] == 200
    found = [machine.stat("downstream_cx_total") for machine in (site.client, site.server)]
    assert all(after - earlier <= 20 for earlier, after in zip(before, found, strict=True)), (before, found)


@pytest.mark.parametrize("port", [15001, 15006])
def test_connections_to_the_proxys_own_ports_end(site: Site, port: int) -> None:
    for machine, to in ((site.client, "127.0.0.1"), (site.client, site.server.host.ipv4)):
        before = site.server.stat("downstream_cx_total") + site.client.stat("downstream_cx_total")
        status, _ = machine.get(f"http://{to}:{port}/")
        assert status != 200
        after = site.server.stat("downstream_cx_total") + site.client.stat("downstream_cx_total")
        assert after - before <= 20


def test_a_machine_calls_its_own_service_through_its_proxy(site: Site) -> None:
    status, answer = site.server.get(
        f"http://{site.client.host.ipv4}:{PORT}/", "-H", f"Host: server.{NAMESPACE}:{PORT}"
    )
    assert (status, answer["name"]) == (200, "server")
    assert f"/sa/{site.server.service}" in answer["caller"]


def test_what_the_machine_says_to_itself_is_as_before(site: Site) -> None:
    for to in ("127.0.0.1", "[::1]", site.server.host.ipv4):
        status, answer = site.server.get(f"http://{to}:{PORT}/")
        assert (status, answer["name"], answer["caller"]) == (200, "server", "")


@pytest.mark.parametrize("ipv6", [False, True])
def test_the_application_sees_its_peer_only_where_the_source_is_kept(site: Site, ipv6: bool) -> None:
    host = site.outside
    source = host.ipv6 if ipv6 else host.ipv4
    to = f"[{site.server.host.ipv6}]" if ipv6 else site.server.host.ipv4
    told = json.loads(host.check("curl", "-sg", "-m", "20", f"http://{to}:{PORT}/"))
    assert told["name"] == "server"
    assert told["peer"] == (source if site.keeps_source else ("::6" if ipv6 else "127.0.0.6"))


def test_strict_takes_plaintext_from_nobody_and_ssh_stays(site: Site) -> None:
    """Last: the mesh stays strict."""
    url = f"http://{site.server.host.ipv4}:{PORT}/"
    assert site.outside.run("curl", "-sf", "-m", "20", url).returncode == 0
    site.control.strict()
    wait(lambda: site.outside.run("curl", "-sf", "-m", "5", url).returncode != 0, lambda: "still taken")
    assert site.client.call(site.server)[0] == 200
    for to in (site.server.host.ipv4, f"[{site.server.host.ipv6}]"):
        assert site.outside.run("curl", "-sgf", "-m", "20", f"http://{to}:{PORT}/").returncode != 0
        ssh = site.outside.check("curl", "-sgf", "-m", "20", f"http://{to}:{SSH}/")
        assert json.loads(ssh)["name"] == "ssh"
