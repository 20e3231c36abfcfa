"""Consul's catalog of three servers, over TLS, with a token that may read it and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlencode

import pytest
from conftest import require_consul
from consul_door import SecureCluster
from consul_servers import Consul
from test_consul_catalog import until, watching

pytestmark = [pytest.mark.consul, pytest.mark.timeout(300)]
READ = 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }'
WEB = {8001, 8002, 8003}


def register(server: Consul, port: int) -> None:
    """An instance on a node without an agent, so that no server's death makes it critical."""
    service = {"ID": f"web-{port}", "Service": "web", "Port": port, "Address": "10.0.0.1"}
    server.call("PUT", "/v1/catalog/register", {"Node": "vm", "Address": "10.0.0.1", "Service": service})


def deregister(server: Consul, port: int) -> None:
    server.call("PUT", "/v1/catalog/deregister", {"Node": "vm", "ServiceID": f"web-{port}"})


async def test_servers_die_and_the_view_freezes_and_goes_on(tmp_path: Path) -> None:
    require_consul()
    secure = await asyncio.to_thread(SecureCluster, tmp_path / "secure")
    cluster = secure.cluster
    try:
        for port in WEB:
            register(cluster.servers[0], port)
        opened = secure.settings(secure.token(READ)) | {"proof": "1", "wait": "5"}
        async with watching(f"{cluster.url}?{urlencode(opened)}") as seen:
            await until(lambda: seen.ports() == WEB, 60)
            leader = await asyncio.to_thread(cluster.leader)
            leader.kill()
            await until(lambda: seen.keep.status()["reason"] != "", 60)
            await until(lambda: seen.keep.status()["state"] == "ok", 60)
            assert (seen.ports(), seen.keep.status()["held"]) == (WEB, [])
            alive = next(one for one in cluster.servers if one is not leader)
            deregister(alive, 8003)
            await until(lambda: seen.ports() == WEB - {8003}, 60)
            other = next(one for one in cluster.servers if one not in (leader, alive))
            other.kill()
            await until(lambda: seen.keep.status()["state"] == "stale", 90)
            assert seen.ports() == WEB - {8003}
            for one in (leader, other):
                one.start(wait=False)
            await asyncio.to_thread(cluster.wait_voters)
            deregister(alive, 8002)
            await until(lambda: seen.ports() == {8001}, 60)
            await until(lambda: seen.keep.status()["state"] == "ok", 60)
            assert seen.keep.status()["held"] == []
    finally:
        cluster.kill()


async def test_a_wrong_authority_and_a_missing_right_are_named(
    secure_consul: SecureCluster, tmp_path: Path
) -> None:
    register(secure_consul.cluster.servers[0], 8001)
    opened = secure_consul.settings(secure_consul.token(READ), "catalog") | {"proof": "0.5"}
    plain = {key: value for key, value in opened.items() if key != "ca"}
    wrong = {
        "certificate": plain | {"ca": secure_consul.client.cert},
        "refuses the token": opened | {"token_file": str(tmp_path / "unknown")},
        "token file": opened | {"token_file": str(tmp_path / "none")},
    }
    (tmp_path / "unknown").write_text("6a1253d2-0000-0000-0000-000000000000")
    for words, settings in wrong.items():
        async with watching(f"{secure_consul.cluster.url}?{urlencode(settings)}") as seen:
            await until(lambda: words in seen.keep.status()["reason"], 60)  # noqa: B023
            assert not seen.keep.readable
