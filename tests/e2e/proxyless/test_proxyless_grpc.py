"""gRPC without a proxy: channels to `xds:///` targets follow the mesh's configuration."""

from __future__ import annotations

from typing import Any

import pytest
from proxyless_world import PATIENCE, Application, Echo, Pilot, only

pytestmark = pytest.mark.e2e
Pair = tuple[Echo, Echo]
SUBSETS = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]


def to(name: str, subset: str = "", weight: int = 0) -> dict[str, Any]:
    destination = {"host": name, "subset": subset} if subset else {"host": name}
    return {"destination": destination, "weight": weight} if weight else {"destination": destination}


async def routed(
    pilot: Pilot, name: str, echoes: tuple[Echo, ...], *rules: dict[str, Any], **policy: Any
) -> str:
    """A service of both servers with subsets and rules; its target."""
    rule = {"host": name, "subsets": SUBSETS, **({"trafficPolicy": policy} if policy else {})}
    await pilot.apply("DestinationRule", name, rule)
    await pilot.apply("VirtualService", name, {"hosts": [name], "http": list(rules)})
    return await pilot.serve(name, *echoes)


async def test_calls_take_turns(pilot: Pilot, echoes: Pair, application: Application) -> None:
    target = await pilot.serve("turns", *echoes)
    await application.until(only("v1", "v2"), target, count=20)
    answers = await application.call(target, count=100)
    assert abs(answers["v1"] - answers["v2"]) <= 2


@pytest.mark.parametrize("name", ["names", "names.books", "names.books.svc"])
async def test_short_names(pilot: Pilot, echoes: Pair, application: Application, name: str) -> None:
    await pilot.serve("names", *echoes)
    assert set(await application.call(f"{name}:7070", count=10)) == {"v1", "v2"}


async def test_weights(pilot: Pilot, echoes: Pair, application: Application) -> None:
    rule = {"route": [to("weights", "v1", 90), to("weights", "v2", 10)]}
    target = await routed(pilot, "weights", echoes, rule)
    await application.until(only("v1", "v2"), target, count=50)
    answers = await application.call(target, count=500)
    assert 15 <= answers["v2"] <= 110, answers


async def test_weights_change(pilot: Pilot, echoes: Pair, application: Application) -> None:
    target = await routed(pilot, "shift", echoes, {"route": [to("shift", "v1")]})
    await application.until(only("v1"), target, count=10)
    await pilot.apply(
        "VirtualService", "shift", {"hosts": ["shift"], "http": [{"route": [to("shift", "v2")]}]}
    )
    await application.until(only("v2"), target, count=10)
    await pilot.apply("VirtualService", "shift", None)
    await application.until(only("v1", "v2"), target, count=10)


MATCHES = [
    pytest.param({"headers": {"end-user": {"exact": "jason"}}}, {"end-user": "jason"}, "v2", id="exact"),
    pytest.param({"headers": {"end-user": {"exact": "jason"}}}, {"end-user": "ann"}, "v1", id="other-value"),
    pytest.param({"headers": {"end-user": {"prefix": "ja"}}}, {"end-user": "jason"}, "v2", id="prefix"),
    pytest.param({"headers": {"end-user": {"regex": "j.*n"}}}, {"end-user": "jason"}, "v2", id="regex"),
    pytest.param({"headers": {"end-user": {}}}, {"end-user": "x"}, "v2", id="present"),
    pytest.param({"headers": {"end-user": {}}}, {}, "v1", id="absent"),
    pytest.param({"withoutHeaders": {"end-user": {"exact": "x"}}}, {}, "v2", id="without-absent"),
    pytest.param(
        {"withoutHeaders": {"end-user": {"exact": "x"}}}, {"end-user": "y"}, "v2", id="without-other"
    ),
    pytest.param(
        {"withoutHeaders": {"end-user": {"exact": "x"}}}, {"end-user": "x"}, "v1", id="without-equal"
    ),
    pytest.param({"uri": {"exact": "/demo.Echo/Who"}}, {}, "v2", id="method"),
    pytest.param({"uri": {"prefix": "/demo.Echo/"}}, {}, "v2", id="service"),
    pytest.param({"uri": {"prefix": "/other.Echo/"}}, {}, "v1", id="other-service"),
    pytest.param({"queryParams": {"a": {"exact": "b"}}}, {}, "v1", id="no-call-has-a-query"),
    pytest.param({"sourceLabels": {"app": "nobody"}}, {}, "v1", id="of-another-client"),
]


@pytest.mark.parametrize(("match", "metadata", "version"), MATCHES)
async def test_matches(
    pilot: Pilot,
    echoes: Pair,
    application: Application,
    match: dict[str, Any],
    metadata: dict[str, str],
    version: str,
    request: pytest.FixtureRequest,
) -> None:
    name = f"match-{request.node.callspec.id}"
    rules = [{"match": [match], "route": [to(name, "v2")]}, {"route": [to(name, "v1")]}]
    target = await routed(pilot, name, echoes, *rules)
    await application.until(only(version), target, metadata=metadata, count=5)


async def test_instances_come_and_go(pilot: Pilot, echoes: Pair, application: Application) -> None:
    target = await pilot.serve("moves", echoes[0])
    await application.until(only("v1"), target, count=10)
    await pilot.serve("moves", *echoes)
    await application.until(only("v1", "v2"), target, count=10)
    await pilot.serve("moves", echoes[1])
    await application.until(only("v2"), target, count=10)


async def test_hashing_sticks(pilot: Pilot, echoes: Pair, application: Application) -> None:
    hashing = {"consistentHash": {"httpHeaderName": "x-user"}}
    rule = {"route": [to("sticky")]}
    target = await routed(pilot, "sticky", echoes, rule, loadBalancer=hashing)
    users = [f"user-{number}" for number in range(12)]
    found = [await application.call(target, metadata={"x-user": user}, count=5) for user in users]
    assert all(len(answers) == 1 for answers in found)
    assert {name for answers in found for name in answers} == {"v1", "v2"}


async def test_retries(pilot: Pilot, echoes: Pair, application: Application) -> None:
    rule = {"route": [to("again", "v1")], "retries": {"attempts": 3, "retryOn": "unavailable"}}
    target = await routed(pilot, "again", echoes, rule)
    await application.until(only("v1"), target)
    echoes[0].failures, before = 2, echoes[0].calls
    assert await application.call(target, method="/demo.Echo/Fail") == {"v1": 1}
    assert echoes[0].calls - before == 3


async def test_without_retries_the_error_comes_through(
    pilot: Pilot, echoes: Pair, application: Application
) -> None:
    target = await routed(pilot, "once", echoes, {"route": [to("once", "v1")], "retries": {"attempts": 0}})
    await application.until(only("v1"), target)
    echoes[0].failures = 1
    assert await application.call(target, method="/demo.Echo/Fail") == {"UNAVAILABLE: as told": 1}


async def test_faults(pilot: Pilot, echoes: Pair, application: Application) -> None:
    abort = {"abort": {"grpcStatus": "DATA_LOSS", "percentage": {"value": 100}}}
    target = await routed(pilot, "broken", echoes, {"route": [to("broken")], "fault": abort})
    answers = await application.until(lambda found: not {"v1", "v2"} & set(found), target)
    assert next(iter(answers)).startswith("DATA_LOSS")


async def test_timeouts(pilot: Pilot, echoes: Pair, application: Application) -> None:
    """The C core of gRPC counts from one to two seconds before a call began, so less than that is none."""
    target = await routed(pilot, "slow", echoes, {"route": [to("slow")], "timeout": "2.5s"})
    await application.until(only("v1", "v2"), target, count=10)
    answers = await application.call(target, method="/demo.Echo/Slow", timeout=PATIENCE)
    assert next(iter(answers)).startswith("DEADLINE_EXCEEDED")


async def test_delays(pilot: Pilot, echoes: Pair, application: Application) -> None:
    """A call that is held up for longer than it may last ends when it must."""
    slow = {"delay": {"fixedDelay": "20s", "percentage": {"value": 100}}}
    target = await routed(pilot, "held", echoes, {"route": [to("held")], "fault": slow})
    answers = await application.until(lambda found: not {"v1", "v2"} & set(found), target, timeout=0.3)
    assert next(iter(answers)).startswith("DEADLINE_EXCEEDED")


async def test_what_grpc_cannot_do_fails_the_call(
    pilot: Pilot, echoes: Pair, application: Application
) -> None:
    target = await routed(pilot, "answer", echoes, {"directResponse": {"status": 200}})
    answers = await application.until(lambda found: not {"v1", "v2"} & set(found), target)
    assert next(iter(answers)).startswith("UNAVAILABLE")


async def test_tls_that_grpc_cannot_follow_is_never_plaintext(
    pilot: Pilot, echoes: Pair, application: Application
) -> None:
    target = await routed(pilot, "secret", echoes, {"route": [to("secret")]}, tls={"mode": "SIMPLE"})
    answers = await application.call(target, timeout=3)
    assert not {"v1", "v2"} & set(answers)


async def test_mutual_tls_with_the_certificates_of_the_bootstrap(
    pilot: Pilot, application: Application
) -> None:
    server = Echo("closed", pilot.realm.identity("books", "closed"))
    try:
        target = await routed(
            pilot, "closed", (server,), {"route": [to("closed")]}, tls={"mode": "ISTIO_MUTUAL"}
        )
        assert await application.call(target, credentials="xds") == {"closed": 1}
        assert "closed" not in await application.call(target)
    finally:
        server.stop()


async def test_fewer_requests_at_once_than_the_limit(
    pilot: Pilot, echoes: Pair, application: Application
) -> None:
    """A default of gRPC (1024 requests at once) does not stand for a limit that nobody wrote."""
    limit = {"http": {"http2MaxRequests": 1}}
    target = await routed(pilot, "few", echoes, {"route": [to("few")]}, connectionPool=limit)
    assert set(await application.call(target, count=20)) == {"v1", "v2"}


async def test_pilotd_away_and_back(pilot: Pilot, echoes: Pair, application: Application) -> None:
    target = await pilot.serve("stays", echoes[0])
    await application.until(only("v1"), target, count=5)
    pilot.stop()
    assert await application.call(target, count=20) == {"v1": 20}
    pilot.start()
    await pilot.serve("stays", echoes[1])
    await application.until(only("v2"), target, count=5)
