"""What every registry must do, on real servers: Consul's catalog, records in etcd, a Kubernetes cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import require_consul, require_etcd
from consul_servers import Consul
from kube_server import KubeApi, Refusal, find_kube_apiserver
from servers import Etcd, encoded, free_ports
from test_consul_catalog import until, watching

from artemon.errors import Refused
from artemon.model.service import Health
from artemon.registry.open import open_registry
from artemon.snapshot.services import REGISTERED

HEALTH = {True: Health.HEALTHY, False: Health.UNHEALTHY}


class Site:
    """A registry at `url` with its server, whose service web has this host and id."""

    host: str
    id: str
    server: Any
    url: str

    def stop(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def close(self) -> None:
        self.server.kill()


class ConsulSite(Site):
    """Instances are services of the agent."""

    host, id = "web.service.consul", "registry/one/default/web"

    def __init__(self, folder: Path) -> None:
        require_consul()
        self.server = Consul(folder / "consul").start()
        self.url = f"{self.server.url}?name=one&proof=1"

    def add(self, number: int, service: str = "web") -> None:
        self.server.register(f"{service}-{number}", service, 8000 + number, Address=f"10.0.0.{number}")

    def sick(self, number: int) -> None:
        self.server.check(f"web-{number}", "fail")

    def remove(self, number: int) -> None:
        self.server.deregister(f"web-{number}")


class EtcdSite(Site):
    """Instances are records, without a lease."""

    host, id = "web.shop.svc.cluster.local", "registry/one/shop/web"

    def __init__(self, folder: Path) -> None:
        require_etcd()
        self.server = Etcd(folder / "etcd").start()
        self.url = f"{self.server.url}?name=one&bookmark=1&timeout=1"

    def add(self, number: int, service: str = "web", **more: Any) -> None:
        record = {"address": f"10.0.0.{number}", "port": 8000 + number, **more}
        self._call("kv/put", f"{service}-{number}", service, value=encoded(json.dumps(record)))

    def sick(self, number: int) -> None:
        self.add(number, health="UNHEALTHY")

    def remove(self, number: int) -> None:
        self._call("kv/deleterange", f"web-{number}", "web")

    def _call(self, path: str, name: str, service: str, **more: str) -> None:
        self.server.gateway(path, {"key": encoded(f"services/shop/{service}/{name}"), **more})


class KubeSite(Site):
    """Instances are endpoints of one slice."""

    host, id = "web.shop.svc.cluster.local", "registry/one/Service/shop/web"
    slices = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"

    def __init__(self, folder: Path) -> None:
        if not find_kube_apiserver():
            pytest.skip("no kube-apiserver: .ci/servers kube-apiserver builds it")
        require_etcd()
        self.server = KubeApi(folder).start()
        self.server.create("/api/v1/namespaces", {"metadata": {"name": "shop"}})
        self.url = f"kubernetes://{self.server.kubeconfig()}?name=one&proof=0.5"
        self._ready: dict[str, dict[int, bool]] = {}

    def add(self, number: int, service: str = "web") -> None:
        self._ready.setdefault(service, {})[number] = True
        self._write(service)

    def sick(self, number: int) -> None:
        self._ready["web"][number] = False
        self._write("web")

    def remove(self, number: int) -> None:
        del self._ready["web"][number]
        self._write("web")

    def _write(self, service: str) -> None:
        ports = [{"name": "http", "port": 80}]
        self._put("/api/v1/namespaces/shop/services", service, {"spec": {"ports": ports}})
        label = {"kubernetes.io/service-name": service}
        endpoints = [
            {"addresses": [f"10.0.0.{number}"], "conditions": {"ready": ready}}
            for number, ready in self._ready[service].items()
        ]
        body = {"addressType": "IPv4", "ports": ports, "endpoints": endpoints}
        self._put(self.slices, service, body, labels=label)

    def _put(self, path: str, name: str, body: dict[str, Any], **metadata: Any) -> None:
        whole = {**body, "metadata": {"name": name, **metadata}}
        try:
            self.server.create(path, whole)
        except Refusal as refusal:
            if refusal.code != 409:
                raise
            if "services" not in path:
                self.server.call("PUT", f"{path}/{name}", whole)

    def start(self) -> None:
        self.server.run()

    def close(self) -> None:
        self.server.close()


@pytest.fixture(
    params=[
        pytest.param(ConsulSite, marks=pytest.mark.consul, id="consul"),
        pytest.param(EtcdSite, marks=pytest.mark.etcd, id="etcd"),
        pytest.param(KubeSite, marks=pytest.mark.kube, id="kubernetes"),
    ],
    scope="module",
)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made: Site = request.param(tmp_path_factory.mktemp("site"))
    for number in (1, 2, 3):
        made.add(number)
    made.add(9, "other")
    yield made
    made.close()


def addresses(seen: Any, site: Site) -> dict[str, Health]:
    return {one.address: one.health for one in seen.endpoints(site.id)}


async def test_a_life_of_a_service(site: Site, tmp_path: Path) -> None:
    """Instances come, fall ill and go; an outage takes and hides nothing; what was saved is shown
    by one who starts meanwhile."""
    async with watching(site.url, tmp_path) as seen:
        await until(lambda: len(addresses(seen, site)) == 3, 90)
        source = seen.sources[site.id]
        assert [one.host for one in source.services] == [site.host]
        assert source.rank == REGISTERED
        assert source.services[0].created > "9999"
        assert all(identity.startswith("registry/one/") for identity in seen.sources)
        seen.steps.clear()
        site.add(4)
        await until(lambda: addresses(seen, site).get("10.0.0.4") is Health.HEALTHY)
        site.sick(4)
        await until(lambda: addresses(seen, site).get("10.0.0.4") is Health.UNHEALTHY)
        site.remove(4)
        await until(lambda: len(addresses(seen, site)) == 3)
        assert {change.key for step in seen.steps for change in step} == {site.id}, "others are left alone"
        await until((tmp_path / "registry-one.snapshot").exists)
        before = dict(seen.sources)
        site.stop()
        await until(lambda: seen.keep.status()["reason"] != "", 60)
        assert seen.sources == before
        async with watching(site.url, tmp_path) as late:
            await until(lambda: late.keep.readable)
            assert late.sources == before
            assert late.keep.status()["state"] == "stale"
        site.start()
        site.remove(1)
        await until(lambda: set(addresses(seen, site)) == {"10.0.0.2", "10.0.0.3"}, 90)
        await until(lambda: seen.keep.status()["state"] == "ok", 60)
        site.add(1)
        await until(lambda: len(addresses(seen, site)) == 3)


async def test_one_that_reads_the_same_again_changes_nothing(site: Site) -> None:
    async with watching(site.url) as first:
        await until(lambda: len(addresses(first, site)) == 3, 90)
        await until(lambda: first.keep.status()["state"] == "ok", 60)
    async with watching(site.url) as second:
        await until(lambda: len(addresses(second, site)) == 3, 90)
        assert second.sources[site.id] == first.sources[site.id]
        assert len(second.steps) <= 2, "everything at once, not one by one"


async def test_a_stranger_at_the_address_is_named_and_nothing_is_shown(site: Site, tmp_path: Path) -> None:
    port = free_ports(1)[0]
    url = site.url.replace(str(site.server.port), str(port))
    if isinstance(site, KubeSite):
        config = Path(str(site.server.kubeconfig()).replace("kubeconfig", "elsewhere"))
        config.write_text(site.server.kubeconfig().read_text().replace(str(site.server.port), str(port)))
        url = f"kubernetes://{config}?name=one"
    async with watching(url) as seen:
        await until(lambda: seen.keep.status()["reason"] not in ("", "it has not been read yet"), 60)
        await asyncio.sleep(0)
        assert (seen.sources, seen.keep.readable) == ({}, False)
        assert seen.keep.status()["state"] == "unread"


async def test_settings_that_are_none_are_refused_by_name(site: Site) -> None:
    join = "&" if "?" in site.url else "?"
    with pytest.raises(Refused, match="colour: is not a setting of this registry"):
        open_registry(f"{site.url}{join}colour=red")
    with pytest.raises(Refused, match="precedence"):
        open_registry(f"{site.url}{join}precedence=100")
