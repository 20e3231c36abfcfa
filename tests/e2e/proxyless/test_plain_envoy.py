"""A stock Envoy follows pilotd with a bootstrap written by hand, whichever variant of xDS it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from plain_envoy import Page, PlainEnvoy
from proxyless_world import PATIENCE, Pilot

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]
VARIANTS = [
    pytest.param(("GRPC", False), id="state-of-the-world"),
    pytest.param(("DELTA_GRPC", False), id="delta"),
    pytest.param(("DELTA_GRPC", True), id="delta-over-mutual-tls"),
]


@pytest.fixture(scope="module")
def pages() -> Iterator[tuple[Page, Page]]:
    both = Page("v1"), Page("v2")
    yield both
    for one in both:
        one.stop()


@pytest.fixture(params=VARIANTS)
def proxy(request: pytest.FixtureRequest, pilot: Pilot, tmp_path: Path) -> Iterator[PlainEnvoy]:
    variant, secure = request.param
    identity = pilot.realm.identity("books", "reviews") if secure else None
    name = request.node.callspec.id.replace("_", "-")
    one = PlainEnvoy(tmp_path, name, pilot.port if secure else pilot.plaintext, variant, identity)
    yield one
    one.stop()


async def answering(proxy: PlainEnvoy, service: str, *wanted: str) -> None:
    """Wait until exactly these answer ten requests in a row."""
    found: set[str] = set()
    try:
        async with asyncio.timeout(PATIENCE):
            while found != set(wanted):
                found = {await asyncio.to_thread(proxy.get, service) for _ in range(10)}
    except TimeoutError:
        raise AssertionError(f"{service}: {found}; Envoy: {proxy.log.read_text()[-2000:]}") from None


async def test_instances_and_rules_take_effect(
    pilot: Pilot, pages: tuple[Page, Page], proxy: PlainEnvoy
) -> None:
    """Nobody gives this Envoy a certificate of its own, so what it calls takes plaintext."""
    name = f"by-{proxy.name}"
    subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]
    policy = {"tls": {"mode": "DISABLE"}}
    await pilot.apply("DestinationRule", name, {"host": name, "trafficPolicy": policy, "subsets": subsets})
    service = await pilot.serve(name, pages[0], protocol="http")
    await answering(proxy, service, "v1")
    await pilot.serve(name, *pages, protocol="http")
    await answering(proxy, service, "v1", "v2")
    route = [{"destination": {"host": name, "subset": "v2"}}]
    await pilot.apply("VirtualService", name, {"hosts": [name], "http": [{"route": route}]})
    await answering(proxy, service, "v2")
    await pilot.apply("VirtualService", name, None)
    await answering(proxy, service, "v1", "v2")
