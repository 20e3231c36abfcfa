"""Services of the mesh in the catalog of a real Consul: ours, and only ours, written by one leader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from consul_servers import Consul
from test_consul_catalog import until, watching

from artemon.errors import Refused
from artemon.model.service import Endpoint, Health, Port, Protocol, Service
from artemon.registry.consul.client import Client, Conflict
from artemon.registry.consul.entries import entries
from artemon.registry.consul.exporter import Claim
from artemon.registry.consul.settings import ConsulSettings
from artemon.registry.exports import Exported, Feed, Shown
from artemon.registry.open import open_registry

pytestmark = pytest.mark.consul
NODE = "artemon-default"


class Leads:
    """A replica that leads (implements Lead)."""

    def __init__(self, fence: int = 1) -> None:
        self.fence = fence

    async def confirm(self) -> None:
        """Always."""


def service(name: str, *instances: Endpoint) -> Exported:
    port = Port(80, "http", Protocol.HTTP)
    made = Service(f"{name}.shop.svc.cluster.local", "shop", (port, Port(9000, "admin", Protocol.GRPC)))
    return Exported(name, made, instances)


def instance(address: str, **more: Any) -> Endpoint:
    more = {"labels": {"version": "v1", "app.io/x": "y"}, "service_account": "web", "mtls": True, **more}
    return Endpoint(address, "shop", ports={"http": 8080, "admin": 9001}, **more)


@asynccontextmanager
async def exporting(url: str, *first: Exported) -> AsyncIterator[tuple[Feed, Shown]]:
    """The export runs while the block does."""
    exporter = open_registry(url).exporter("default")
    assert exporter is not None
    feed, shown = Feed(), Shown()
    feed.offer(lambda: first)
    task = asyncio.ensure_future(exporter.run(feed, Leads(), shown))
    try:
        yield feed, shown
    finally:
        task.cancel()
        await asyncio.wait([task])


def found(consul: Consul, name: str) -> dict[str, str]:
    """Address and port of the instances of a name, with the state of each."""
    rows = consul.call("GET", f"/v1/health/service/{name}")
    return {
        f"{row['Service']['Address']}:{row['Service'].get('Port')}": ",".join(
            check["Status"] for check in row["Checks"]
        )
        for row in rows
    }


async def test_instances_come_change_and_go_with_what_is_known_of_them(consul: Consul) -> None:
    one, two = instance("10.0.0.1"), instance("10.0.0.2")
    async with exporting(f"{consul.url}?export=shop", service("web", one, two)) as (feed, shown):
        await until(
            lambda: found(consul, "web-shop") == dict.fromkeys(("10.0.0.1:8080", "10.0.0.2:8080"), "passing")
        )
        await until(lambda: (shown.services, shown.instances, shown.reason) == (1, 2, ""))
        row = consul.call("GET", "/v1/health/service/web-shop")[0]
        assert row["Node"]["Node"] == NODE
        meta = row["Service"]["Meta"]
        assert meta["artemon-owner"] == "default"
        assert (meta["namespace"], meta["service-account"], meta["version"]) == ("shop", "web", "v1")
        assert (meta["port"], meta["protocol"], meta["ports"]) == ("80", "http", "admin/grpc:9001")
        assert set(row["Service"]["Tags"]) == {"app.io/x=y", "security.istio.io/tlsMode=istio"}
        sick = replace(two, health=Health.UNHEALTHY)
        feed.offer(lambda: [service("web", one, sick)])
        await until(lambda: found(consul, "web-shop")["10.0.0.2:8080"] == "critical")
        feed.offer(lambda: [service("web", sick), service("db")])
        await until(lambda: found(consul, "web-shop") == {"10.0.0.2:8080": "critical"})
        feed.offer(list)
        await until(lambda: "web-shop" not in consul.call("GET", "/v1/catalog/services"))


async def test_many_are_written_in_parts_and_what_others_do_to_ours_is_mended(consul: Consul) -> None:
    many = [instance(f"10.0.1.{n}") for n in range(1, 201)]
    async with exporting(f"{consul.url}?export=*&proof=0.5", service("web", *many)):
        await until(lambda: len(found(consul, "web-shop")) == 200)
        stray = {"Node": NODE, "ServiceID": "default:web.shop.svc.cluster.local:10.0.1.7:8080"}
        consul.call("PUT", "/v1/catalog/deregister", stray)
        left = {"ID": "x", "Service": "left", "Meta": {"artemon-owner": "default"}}
        consul.call(
            "PUT",
            "/v1/catalog/register",
            {"Node": NODE, "Address": "127.0.0.1", "SkipNodeUpdate": True, "Service": left},
        )
        await until(lambda: len(found(consul, "web-shop")) == 200 and not found(consul, "left"))


async def test_what_others_registered_is_neither_touched_nor_joined(consul: Consul) -> None:
    consul.register("web-1", "web-shop", 8001)
    before = consul.call("GET", "/v1/health/service/web-shop")
    shops = service("web", instance("10.0.0.1")), service("db", instance("10.0.0.2"))
    async with exporting(f"{consul.url}?export=*&proof=0.5", *shops) as (_, shown):
        await until(lambda: found(consul, "db-shop") == {"10.0.0.2:8080": "passing"})
        await until(lambda: "web-shop" in shown.reason)
        assert consul.call("GET", "/v1/health/service/web-shop") == before
        consul.register("db-1", "db-shop", 5432)
        await until(lambda: set(found(consul, "db-shop")) == {"127.0.0.1:5432"})
        consul.deregister("web-1")
        await until(lambda: found(consul, "web-shop") == {"10.0.0.1:8080": "passing"})
    consul.call("PUT", "/v1/catalog/register", {"Node": "theirs", "Address": "10.9.9.9"})
    async with exporting(f"{consul.url}?export=*&export_node=theirs", *shops) as (_, shown):
        await until(lambda: "not of the mesh default" in shown.reason)
        assert consul.call("GET", "/v1/catalog/node/theirs")["Services"] == {}


async def test_what_was_exported_is_not_imported_again(consul: Consul) -> None:
    consul.register("plain-1", "plain", 8001)
    url = f"{consul.url}?export=*"
    async with exporting(url, service("web", instance("10.0.0.1"))), watching(url) as seen:
        await until(lambda: found(consul, "web-shop") == {"10.0.0.1:8080": "passing"})
        consul.register("later-1", "later", 8002)
        await until(lambda: "registry/consul/default/later" in seen.sources)
        assert set(seen.sources) == {"registry/consul/default/plain", "registry/consul/default/later"}


async def test_a_leader_that_was_replaced_writes_nothing(consul: Consul) -> None:
    settings = ConsulSettings(name="consul", export="*")
    async with Client(consul.url, settings) as client:
        old, new = Claim(client, NODE, "default"), Claim(client, NODE, "default")
        await old.take(1)
        await new.take(2)
        entry = next(iter(_entries(settings).values()))
        with pytest.raises(Conflict):
            await old.write([entry], [])
        assert await new.read() == {}
        await new.write([entry], [])
        with pytest.raises(Conflict):
            await old.write([], [entry])
        assert await new.read() == {entry.id: entry}


def _entries(settings: ConsulSettings) -> dict[str, Any]:
    return entries([service("web", instance("10.0.0.1"))], settings, "default")[0]


SERVICES = 'service_prefix "" { policy = "write" }'
OUR_NODE = 'node "artemon-default" { policy = "write" }'
RULES = f'{SERVICES} node_prefix "" {{ policy = "read" }} {OUR_NODE}'
LESS = {
    "service": RULES.replace(SERVICES, SERVICES.replace("write", "read")),
    "node": RULES.replace(OUR_NODE, ""),
}


async def test_the_documented_rights_are_enough_and_less_is_named(tmp_path: Path) -> None:
    acl = {
        "enabled": True,
        "default_policy": "deny",
        "tokens": {"initial_management": "boss", "agent": "boss"},
    }
    consul = Consul(tmp_path / "consul", token="boss", settings={"acl": acl}).start()
    try:
        for name, rules in {"all": RULES, **LESS}.items():
            consul.call("PUT", "/v1/acl/policy", {"Name": name, "Rules": rules})
            made = consul.call("PUT", "/v1/acl/token", {"Policies": [{"Name": name}]})
            (tmp_path / name).write_text(made["SecretID"])
        shop = service("web", instance("10.0.0.1"))
        for name in LESS:
            async with exporting(f"{consul.url}?export=*&token_file={tmp_path / name}", shop) as (_, shown):
                await until(lambda: f"{name}:write" in shown.reason)  # noqa: B023
                assert found(consul, "web-shop") == {}
        async with exporting(f"{consul.url}?export=*&token_file={tmp_path / 'all'}", shop) as (_, shown):
            await until(lambda: found(consul, "web-shop") == {"10.0.0.1:8080": "passing"})
    finally:
        consul.kill()


async def test_an_outage_is_waited_for(consul: Consul) -> None:
    one, two = instance("10.0.0.1"), instance("10.0.0.2")
    async with exporting(f"{consul.url}?export=*&proof=1", service("web", one)) as (feed, shown):
        await until(lambda: "10.0.0.1:8080" in found(consul, "web-shop"))
        consul.kill()
        feed.offer(lambda: [service("web", one, two)])
        await until(lambda: "does not answer" in shown.reason)
        consul.start()
        await until(lambda: len(found(consul, "web-shop")) == 2, 60)
        await until(lambda: shown.reason == "")


async def test_wrong_settings_of_an_export_are_told() -> None:
    with pytest.raises(Refused, match="must have"):
        open_registry("consul://127.0.0.1:1?export=*&export_name=x")
    assert open_registry("consul://127.0.0.1:1").exporter("default") is None
    with pytest.raises(Refused, match="export_name"):
        open_registry("consul://127.0.0.1:1?export_name={who}")
