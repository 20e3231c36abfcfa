"""Unmodified applications on intercepted machines: mutual TLS both ways, IPv6, no loops, SSH as it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from machine_site import NAMESPACE, Control, Machine, wait
from netns import hosts, missing

pytestmark = [
    pytest.mark.root,
    pytest.mark.envoy,
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]


@dataclass
class Site:
    client: Machine
    server: Machine


@pytest.fixture(scope="module", params=["REDIRECT", "TPROXY"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("machines")
    with hosts(2) as (switch, one, two):
        control = Control(folder / "control", switch)
        control.start()
        client = Machine(folder, one, control, "client", interception=request.param)
        server = Machine(folder, two, control, "server", interception=request.param)
        for machine in (client, server):
            machine.start()
        for machine in (client, server):
            machine.wait_ready()
            machine.intercept("apply")
            machine.intercept("confirm")
        wait(lambda: client.call(server)[0] == 200, client.log.read_text)
        yield Site(client, server)


@pytest.mark.parametrize("ipv6", [False, True])
def test_applications_reach_each_other_by_mutual_tls(site: Site, ipv6: bool) -> None:
    for one, other in ((site.client, site.server), (site.server, site.client)):
        status, answer = one.call(other, ipv6=ipv6)
        assert (status, answer["name"]) == (200, other.service)
        assert f"spiffe://cluster.local/ns/{NAMESPACE}/sa/{one.service}" in answer["caller"], answer
