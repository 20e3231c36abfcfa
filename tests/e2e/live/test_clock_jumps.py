"""F17: the time of day of daemons jumps by an hour, back and forth, while requests go through Envoys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from live_mesh import wait
from load import load
from meshlet_net import upstream_app
from required_servers import require_etcd
from servers import encoded
from whole_site import URL, WholeSite

from artemon.store.limits import end_of

pytestmark = [pytest.mark.envoy, pytest.mark.etcd, pytest.mark.timeout(300)]
HOUR = 3600.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[WholeSite]:
    require_etcd()
    made = WholeSite(tmp_path, replicas=1, jumps=True)
    with ExitStack() as stack:
        stack.callback(made.stop_all)
        made.start([stack.enter_context(upstream_app("app"))])
        wait(made.green, "all is well", 120)
        yield made


def test_no_request_fails_no_lease_ends_and_nothing_is_issued_anew(site: WholeSite) -> None:
    leases, issued = leased(site), certificates(site)
    with load(site.clients(), URL, rate=25) as found:
        for seconds in (HOUR, -HOUR):
            for one in site.everything():
                site.jump(one, seconds)
            wait(lambda before=found.sent: found.sent > before + 100, "requests went on", 60)
            assert leased(site) == leases
            assert certificates(site) == issued
        for one in site.everything():
            site.jump(one, 0)
    assert found.failures == []
    client = site.clients()[0]
    client.agent.stop()
    client.agent.start()  # every connection and every look at a certificate is a new one
    wait(site.green, "all is well", 120)
    assert leases <= leased(site)


def leased(site: WholeSite) -> set[tuple[str, str]]:
    """Keys of workloads and elections, with the leases that they are bound to."""
    return {(row["key"], row["lease"]) for row in below(site, "") if row.get("lease", "0") != "0"}


def certificates(site: WholeSite) -> int:
    """How many were issued."""
    return len(below(site, "trust/issued/"))


def below(site: WholeSite, part: str) -> list[dict[str, str]]:
    start = f"artemon/default/{part}"
    asked = {"key": encoded(start), "range_end": encoded(end_of(start))}
    return site.members[0].gateway("kv/range", asked)["kvs"]
