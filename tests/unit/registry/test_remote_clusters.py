"""Clusters that Secrets of another cluster tell of: what is read, what is refused, who comes and goes."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_certificates import Certificates
from prometheus_client import CollectorRegistry
from test_registries import Listed, source

from artemon.log import Log
from artemon.registry.aggregate import Registries
from artemon.registry.api import Registry, RegistrySettings
from artemon.registry.cluster.remotes import clusters_of
from artemon.registry.cluster.settings import ClusterSettings
from artemon.registry.open import Opened
from artemon.snapshot.changes import Change, Delete
from artemon.store import clock

HOME = ClusterSettings(name="home", remotes="istio-system")


def kubeconfig(user: Any = None, **cluster: Any) -> str:
    config = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1:6443", **cluster}}],
        "users": [{"name": "c", "user": user or {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    return json.dumps(config)


def secret(name: str, **clusters: str) -> dict[str, Any]:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in clusters.items()}
    return {"metadata": {"name": name, "namespace": "istio-system"}, "data": data}


@pytest.fixture
def ca() -> dict[str, str]:
    return {"certificate-authority-data": base64.b64encode(Certificates().roots).decode()}


def test_each_key_is_a_cluster_and_the_first_of_a_name_counts(ca: dict[str, str]) -> None:
    said: list[str] = []
    good = kubeconfig(**ca)
    secrets = [
        secret("a", east=good, home=good),
        secret("b", east=kubeconfig({"token": "x"}, **ca), west=good),
    ]
    found = clusters_of(secrets, HOME, said.append)
    assert [one.name for one in found] == ["east", "west"]
    assert not any(one.settings.required for one in found)
    assert said == ["Secret istio-system/b: east: Secret istio-system/a tells of it already"]
    changed = clusters_of([secret("a", east=kubeconfig({"token": "x"}, **ca))], HOME, said.append)
    assert changed[0].address != found[0].address


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("East", kubeconfig(), "the name of a cluster must be"),
        ("east", "x: [", "is not a kubeconfig"),
        ("east", "[]", "is not a kubeconfig"),
        (
            "east",
            kubeconfig(**{"certificate-authority": "/etc/shadow"}),
            "certificate-authority: is not taken",
        ),
        ("east", kubeconfig({"tokenFile": "/etc/shadow"}), "tokenFile: is not taken"),
        ("east", kubeconfig({"exec": {"command": "sh"}}), "from a program, which is not run"),
        ("east", kubeconfig(**{"insecure-skip-tls-verify": True}), "insecure-skip-tls-verify: is not taken"),
        ("east", kubeconfig(), "whom to trust is not known"),
    ],
)
def test_what_a_secret_may_not_say(name: str, text: str, reason: str) -> None:
    said: list[str] = []
    assert clusters_of([secret("a", **{name: text})], HOME, said.append) == ()
    assert len(said) == 1
    assert said[0].startswith(f"Secret istio-system/a: {name}: ")
    assert reason in said[0]


def opened(name: str, registry: Registry, address: str = "", **more: Any) -> Opened:
    return Opened(name, address or name, RegistrySettings(name=name, required=False), registry, **more)


class Silent:
    """A cluster that cannot be reached."""

    async def run(self, sink: Any) -> None:
        sink.trouble("no answer")
        await asyncio.Event().wait()


async def test_clusters_come_change_and_go() -> None:
    told = asyncio.Queue[tuple[Opened, ...]]()

    async def further() -> AsyncIterator[tuple[Opened, ...]]:
        while True:
            yield await told.get()

    seen: dict[str, Any] = {}

    def deliver(changes: list[Change]) -> None:
        for change in changes:
            if isinstance(change, Delete):
                del seen[change.key]
            else:
                seen[change.key] = change

    home = opened("home", Listed(source("home", "10.0.0.1")), remotes=lambda _: further())
    log, now = Log("test"), clock.now
    registries = Registries([home], deliver, log=log, registry=CollectorRegistry(), now=now, data_dir=None)

    async def until(expected: set[str]) -> None:
        async with asyncio.timeout(30):
            while {key.split("/")[1] for key in seen} != expected:
                await asyncio.sleep(0.01)

    running = asyncio.create_task(registries.run())
    try:
        await until({"home"})
        assert registries.waiting == ("what home tells of",)
        east = opened("east", Listed(source("east", "10.0.0.2")), "first")
        told.put_nowait((east, opened("home", Silent())))
        await until({"home", "east"})
        assert registries.waiting == ()
        told.put_nowait((opened("east", Silent(), "second"),))
        async with asyncio.timeout(30):
            while registries.status()[1]["reason"] != "no answer":
                await asyncio.sleep(0.01)
        await until({"home", "east"})  # what it told stays while its new words lead nowhere
        told.put_nowait(())
        await until({"home"})
        assert [one["name"] for one in registries.status()] == ["home"]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
