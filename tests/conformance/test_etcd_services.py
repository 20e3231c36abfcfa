"""Services that register themselves in a real etcd, with a lease."""

from __future__ import annotations

import json
from typing import Any

import pytest
from servers import Etcd
from test_consul_catalog import until, watching

from artemon.model.service import Health
from artemon.registry.etcd.convert import read
from artemon.store.open import open_store

pytestmark = pytest.mark.etcd
WEB = "registry/etcd/shop/web"


def record(port: int, **more: Any) -> bytes:
    return json.dumps({"address": "10.0.0.1", "port": port, "protocol": "http", **more}).encode()


async def test_what_registers_is_in_the_mesh_until_its_lease_is_over(etcd: Etcd) -> None:
    store = await open_store(etcd.url)
    for number in (1, 2, 3):
        await store.put(f"services/shop/web/web-{number}", record(8000 + number, labels={"version": "v1"}))
    async with watching(etcd.url) as seen:
        await until(lambda: seen.ports(WEB) == {8001, 8002, 8003})
        service = seen.sources[WEB].services[0]
        assert service.host == "web.shop.svc.cluster.local"
        assert {one.service_account for one in seen.endpoints(WEB)} == {"web"}
        lease = await store.lease(2.0)
        await store.put("services/shop/web/web-4", record(8004), lease=lease.id)
        await until(lambda: 8004 in seen.ports(WEB))
        await lease.revoke()
        await until(lambda: 8004 not in seen.ports(WEB))
        await store.put("services/shop/web/web-1", record(8001, health="UNHEALTHY"))
        await until(lambda: seen.endpoints(WEB)[0].health is Health.UNHEALTHY)
        await store.put("services/shop/web/web-2", b"{")
        await store.put("services/shop/db/db-1", record(5432, protocol="tcp"))
        await until(lambda: seen.ports("registry/etcd/shop/db") == {5432})
        assert seen.ports(WEB) == {8001, 8002, 8003}, "a bad record leaves the good one"
    await store.close()


async def test_many_leases_that_end_at_once_are_held_and_goodbyes_are_not(etcd: Etcd) -> None:
    store = await open_store(etcd.url)
    lease = await store.lease(10.0)
    for number in (1, 2, 3, 4):
        await store.put(f"services/shop/web/web-{number}", record(8000 + number), lease=lease.id)
    async with watching(etcd.url) as seen:
        await until(lambda: seen.ports(WEB) == {8001, 8002, 8003, 8004})
        await store.put("services/shop/web/web-4", record(8004, health="DRAINING"), lease=lease.id)
        await until(lambda: seen.endpoints(WEB)[3].health is Health.DRAINING)
        await lease.revoke()
        await until(lambda: len(seen.keep.status()["held"]) == 3)
        assert seen.ports(WEB) == {8001, 8002, 8003}
        assert seen.keep.release() == 3
        assert WEB not in seen.sources
    await store.close()


async def test_an_etcd_that_is_away_or_wiped_empties_nothing(etcd: Etcd) -> None:
    store = await open_store(etcd.url)
    await store.put("services/shop/web/web-1", record(8001))
    await store.close()
    async with watching(etcd.url) as seen:
        await until(lambda: seen.ports(WEB) == {8001})
        etcd.kill()
        etcd.wipe()
        etcd.start()
        await until(lambda: "wiped" in seen.keep.status()["reason"], 60)
        assert seen.ports(WEB) == {8001}


def test_a_record_says_what_is_wrong() -> None:
    for value, reason in ((b"[]", "object"), (b"{}", "address"), (record(0), "port"), (b"\xff", "record")):
        with pytest.raises(Exception, match=reason):
            read(("shop", "web"), value)
