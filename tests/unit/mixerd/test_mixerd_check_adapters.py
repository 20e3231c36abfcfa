"""Adapters of checks and quotas, against real servers where they ask others."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from adapter_ends import opened as opened_with
from adapter_ends import place
from aiohttp import web
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from servers import ServerProcess, free_ports, wait_listening

from artemon.adapters import Handler, QuotaAnswer, Row
from artemon.adapters.catalog import named, read_params
from artemon.daemon.http import serve_http
from artemon.errors import ArtemonError
from artemon.expr.values import parse_address
from mixerd.limits import Limits


def opened(adapter: str, params: dict[str, Any], folder: Path, **more: Any) -> Handler:
    return opened_with(adapter, params, place(folder, **more))


def entry(value: Any) -> Row:
    return Row("shop/entry", "listentry", {"value": value})


async def code(handler: Handler, value: Any) -> int:
    return (await handler.check(entry(value))).code


async def test_denier(tmp_path: Path) -> None:
    params = {"status": {"code": 16, "message": "no"}, "valid_duration": "2s", "valid_use_count": 9}
    handler = opened("denier", params, tmp_path)
    answer = await handler.check(Row("shop/x", "checknothing", {}))
    assert (answer.code, answer.message, answer.seconds, answer.uses) == (16, "no", 2.0, 9)
    assert (await handler.quota(Row("shop/x", "quota", {}), 1)).granted == 0


@pytest.mark.parametrize(
    ("kind", "entries", "yes", "no"),
    [
        ("STRINGS", ["v1", "v2"], "v1", "V1"),
        ("CASE_INSENSITIVE_STRINGS", ["v1", "Straße"], "STRASSE", "v3"),
        ("REGEX", ["^v[12]$"], "v2", "xv2"),
        ("IP_ADDRESSES", ["10.0.0.0/8", "fd00::/8"], "10.9.8.7", "11.0.0.1"),
        (
            "IP_ADDRESSES",
            ["10.0.0.0/8", "fd00::/8"],
            parse_address("fd00::7"),
            parse_address("::ffff:11.0.0.1"),
        ),
        ("IP_ADDRESSES", ["10.0.0.7"], "::ffff:10.0.0.7", "10.0.0.8"),
    ],
)
async def test_lists(kind: str, entries: list[str], yes: Any, no: Any, tmp_path: Path) -> None:
    params = {"overrides": entries, "entry_type": kind}
    allowed = opened("listchecker", params, tmp_path)
    assert [await code(allowed, yes), await code(allowed, no)] == [0, 5]
    refused = opened("listchecker", {**params, "blacklist": True}, tmp_path)
    assert [await code(refused, yes), await code(refused, no)] == [7, 0]


async def test_what_is_no_address_is_told(tmp_path: Path) -> None:
    handler = opened("listchecker", {"overrides": ["10.0.0.0/8"], "entry_type": "IP_ADDRESSES"}, tmp_path)
    assert await code(handler, "ten") == 3


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"overrides": ["10.0.0.0/99"], "entry_type": "IP_ADDRESSES"}, "spec.params.overrides[0]"),
        ({"overrides": ["("], "entry_type": "REGEX"}, "spec.params.overrides[0]"),
        ({}, "spec.params"),
        ({"provider_url": "gopher://x"}, "spec.params.provider_url"),
        ({"provider_url": "http://"}, "spec.params.provider_url"),
        ({"overrides": ["a"], "ttl": "1s"}, "spec.params.ttl"),
    ],
)
def test_lists_that_are_refused(params: dict[str, Any], path: str) -> None:
    adapter = named("listchecker")
    read, problems = read_params(adapter, params)
    assert problems == []
    assert path in [one.path for one in adapter.problems(read, ())]


class Clock:
    now = 0.0


async def test_a_list_of_a_file(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "a list"
    params = {"provider_url": file.as_uri(), "refresh_interval": "10s", "ttl": "60s"}
    where = replace(place(tmp_path), now=lambda: clock.now)
    handler = opened_with("listchecker", params, where)
    with pytest.raises(ArtemonError, match="could not be read"):
        await code(handler, "v1")
    file.write_text("# known versions\nv1\n\nv2 # the new one\n")
    clock.now = 10.0
    assert [await code(handler, value) for value in ("v1", "v2", "v3", "")] == [0, 0, 5, 5]
    file.write_text("v3\n")
    assert await code(handler, "v3") == 5, "not read again yet"
    clock.now = 20.0
    assert [await code(handler, "v3"), await code(handler, "v1")] == [0, 5]
    file.unlink()
    clock.now = 79.0
    assert await code(handler, "v3") == 0, "what was read last still counts"
    clock.now = 81.0
    with pytest.raises(ArtemonError, match="could not be read"):
        await code(handler, "v3")


async def test_a_list_of_a_url(tmp_path: Path) -> None:
    async def served(_: web.Request) -> web.Response:
        return web.Response(text="v1\nv2\n")

    async with serve_http("127.0.0.1:0", [web.get("/list", served)]) as address:
        handler = opened("listchecker", {"provider_url": f"http://{address}/list"}, tmp_path)
        assert [await code(handler, "v2"), await code(handler, "v9")] == [0, 5]
        missing = opened("listchecker", {"provider_url": f"http://{address}/nothing"}, tmp_path)
        with pytest.raises(ArtemonError):
            await code(missing, "v2")


def authorization(user: str, path: str, **properties: Any) -> Row:
    subject = {"user": user, "properties": properties}
    return Row("shop/a", "authorization", {"subject": subject, "action": {"path": path}})


async def test_expressions_decide(tmp_path: Path) -> None:
    policies = [
        {"when": 'subject.user == "ann"'},
        {"when": 'match(action.path, "/public*") && subject.properties["age"] == "7"'},
        {"when": 'subject.groups == "admins"'},
    ]
    handler = opened("rbac", {"policies": policies, "caching_interval": "3s"}, tmp_path)
    wanted = {("ann", "/x"): 0, ("bob", "/x"): 7, ("bob", "/public/1"): 0}
    found = {who: (await handler.check(authorization(*who, age=7))).code for who in wanted}
    assert found == wanted
    assert (await handler.check(authorization("bob", "/public/1"))).code == 7, "without what it speaks of"


@pytest.mark.parametrize("when", ["subject.name == `x`", "subject.user", "a =="])
def test_expressions_that_are_refused(when: str) -> None:
    adapter = named("rbac")
    read, _ = read_params(adapter, {"policies": [{"when": when}]})
    assert [one.path for one in adapter.problems(read, ())] == ["spec.params.policies[0].when"]


@pytest.mark.parametrize(
    ("result", "wanted", "status"),
    [
        ({"result": True}, 0, 0),
        ({"result": False}, 7, 0),
        ({}, 7, 0),
        ({"result": {"allow": True, "headers": {"x-a": "b"}}}, 0, 0),
        ({"result": {"allow": False, "reason": "late", "status": 451}}, 7, 451),
        ({"result": {"allow": "yes"}}, 7, 0),
        ({"result": 1}, 7, 0),
    ],
)
async def test_opa(result: Any, wanted: int, status: int, tmp_path: Path) -> None:
    inputs: list[Any] = []

    async def decide(request: web.Request) -> web.Response:
        inputs.append(await request.json())
        return web.json_response(result)

    async with serve_http("127.0.0.1:0", [web.post("/v1/data/a/allow", decide)]) as address:
        handler = opened("opa", {"url": f"http://{address}/v1/data/a/allow"}, tmp_path)
        answer = await handler.check(authorization("ann", "/x"))
        await handler.close()
    assert (answer.code, answer.status) == (wanted, status)
    (asked,) = inputs
    assert asked["input"]["subject"]["user"] == "ann"
    assert asked["input"]["instance"] == "shop/a"


@pytest.mark.parametrize("path", ["/error", "/text"])
async def test_opa_that_does_not_answer(path: str, tmp_path: Path) -> None:
    async def text(_: web.Request) -> web.Response:
        return web.Response(text="no json")

    async with serve_http("127.0.0.1:0", [web.post("/text", text)]) as address:
        handler = opened("opa", {"url": f"http://{address}{path}"}, tmp_path)
        with pytest.raises(ArtemonError):
            await handler.check(authorization("ann", "/x"))
        await handler.close()
    (port,) = free_ports(1)
    handler = opened("opa", {"url": f"http://127.0.0.1:{port}/x"}, tmp_path)
    with pytest.raises(ArtemonError):
        await handler.check(authorization("ann", "/x"))
    await handler.close()


@asynccontextmanager
async def authorizer() -> AsyncIterator[str]:
    """Lets through whoever brings a ticket."""

    async def check(request: CheckRequest, _: Any) -> CheckResponse:
        out = CheckResponse()
        if "ticket" in request.attributes.request.http.headers:
            out.ok_response.headers.add().header.key = "x-ticket"
            return out
        out.status.code = 7
        out.denied_response.status.code = 402
        out.denied_response.body = "buy one"
        return out

    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(
        check, CheckRequest.FromString, lambda one: one.SerializeToString()
    )
    service = "envoy.service.auth.v3.Authorization"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Check": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def test_questions_are_passed_on(tmp_path: Path) -> None:
    question = CheckRequest()
    without = question.SerializeToString()
    question.attributes.request.http.headers["ticket"] = "1"
    row = Row("shop/x", "checknothing", {}, question.SerializeToString())
    async with authorizer() as address:
        handler = opened("extauthz", {"address": address}, tmp_path)
        good, bad = await handler.check(row), await handler.check(replace(row, request=without))
        await handler.close()
    assert (good.code, dict(good.headers)) == (0, {"x-ticket": ""})
    assert (bad.code, bad.status, bad.message) == (7, 402, "buy one")
    with pytest.raises(ArtemonError):
        await handler.check(row)
    await handler.close()


def used(user: str, name: str = "calls") -> Row:
    return Row(f"shop/{name}", "quota", {"dimensions": {"user": user}})


QUOTA = {
    "name": "calls",
    "max_amount": 2,
    "valid_duration": "60s",
    "overrides": [
        {"dimensions": {"user": "gold"}, "max_amount": 4},
        {"dimensions": {"user": "x"}, "max_amount": 0},
    ],
}


async def granted(handler: Handler, user: str, times: int) -> int:
    answers: list[QuotaAnswer] = [await handler.quota(used(user), 1) for _ in range(times)]
    return sum(one.granted for one in answers)


async def counted(handler: Handler) -> None:
    """What every quota does."""
    assert await granted(handler, "ann", 5) == 2
    assert await granted(handler, "bob", 5) == 2
    assert await granted(handler, "gold", 9) == 4
    assert await granted(handler, "x", 2) == 0
    assert 0 < (await handler.quota(used("ann"), 1)).seconds <= 60
    with pytest.raises(ArtemonError, match="no quota for shop/other"):
        await handler.quota(used("ann", "other"), 1)


async def test_quotas_in_memory(tmp_path: Path) -> None:
    limits = Limits()

    async def count(terms: Any, values: tuple[str, ...], hits: int) -> tuple[bool, float]:
        verdict = limits.hit(terms, values, hits, 1_000_000.0)
        return verdict.allowed, verdict.reset

    await counted(opened("memquota", {"quotas": [QUOTA]}, tmp_path, count=count))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"valid_duration": "1500ms"}, "spec.params.quotas[0].valid_duration"),
        (
            {"overrides": [{"dimensions": {}, "max_amount": 1}]},
            "spec.params.quotas[0].overrides[0].dimensions",
        ),
    ],
)
@pytest.mark.parametrize("adapter", ["memquota", "redisquota"])
def test_quotas_that_are_refused(adapter: str, change: dict[str, Any], path: str) -> None:
    server = {"redis_server_url": "127.0.0.1:6379"} if adapter == "redisquota" else {}
    read, problems = read_params(named(adapter), {"quotas": [{**QUOTA, **change}], **server})
    assert problems == []
    assert [one.path for one in named(adapter).problems(read, ())] == [path]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed")
    (port,) = free_ports(1)
    server = ServerProcess(tmp_path_factory.mktemp("redis"))
    server.launch(
        binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(server.folder)
    )
    wait_listening(port)
    yield f"127.0.0.1:{port}"
    server.kill()


@pytest.mark.parametrize("algorithm", ["FIXED_WINDOW", "ROLLING_WINDOW"])
async def test_quotas_in_redis(redis: str, algorithm: str, tmp_path: Path) -> None:
    quota = {**QUOTA, "rate_limit_algorithm": algorithm, "valid_duration": "3600s"}
    params = {"redis_server_url": redis, "quotas": [quota]}
    handlers = [
        opened_with("redisquota", params, replace(place(tmp_path), name=f"shop/{algorithm}")) for _ in "ab"
    ]
    assert await granted(handlers[0], "ann", 1) == 1
    assert await granted(handlers[1], "ann", 5) == 1, "another mixerd counts on"
    assert await granted(handlers[0], "gold", 9) == 4
    many = await asyncio.gather(*(handlers[index % 2].quota(used("carl"), 1) for index in range(10)))
    assert sum(one.granted for one in many) == 2
    assert 0 < many[-1].seconds <= 3600
    for handler in handlers:
        await handler.close()


@pytest.mark.slow
async def test_a_rolling_window_gives_back(redis: str, tmp_path: Path) -> None:
    quota = {
        **QUOTA,
        "rate_limit_algorithm": "ROLLING_WINDOW",
        "valid_duration": "1s",
        "bucket_duration": "100ms",
    }
    handler = opened("redisquota", {"redis_server_url": redis, "quotas": [quota]}, tmp_path)
    assert await granted(handler, "ann", 3) == 2
    async with asyncio.timeout(30):
        while not await granted(handler, "ann", 1):
            await asyncio.sleep(0.05)
    await handler.close()


async def test_redis_that_is_away(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    handler = opened("redisquota", {"redis_server_url": f"127.0.0.1:{port}", "quotas": [QUOTA]}, tmp_path)
    with pytest.raises(ArtemonError, match="Redis"):
        await handler.quota(used("ann"), 1)
    await handler.close()
