"""Keys of token issuers: fetched from where they may be fetched, the last good ones kept, not for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from artemon.daemon.addresses import Forbidden
from artemon.errors import ArtemonError
from artemon.log import Log
from artemon.model.decode import decode
from artemon.snapshot.changes import Delete, Upsert
from pilotd.keysets.fetch import NotFetched, fetch_keys
from pilotd.keysets.keeper import KeyKeeper
from pilotd.keysets.saved import SavedKeys

KEY = {"kty": "EC", "crv": "P-256", "x": "a", "y": "b", "kid": "1"}
LOCAL = ("127.0.0.1", "localhost")


@asynccontextmanager
async def issuer(*answers: Any) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that gives one answer after the other, the last one again; and the paths it was asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        found = answers[min(len(asked), len(answers)) - 1]
        return found if isinstance(found, web.Response) else web.json_response(found)

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}", asked
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:2379/v3/kv/range", "http://127.1/", "http://2130706433/", "http://0177.0.0.1/",
        "http://localhost/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://0.0.0.0/", "http://[::]/",
        "http://169.254.169.254/latest/meta-data", "http://[fe80::1]/", "http://[fd00:ec2::254]/",
        "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://100.100.100.200/",
        "http://192.0.2.1:2379/", "http://192.0.2.1:8500/", "http://192.0.2.1:15012/", "http://224.0.0.1/",
        "http://１２７.0.0.1/", "http://127。0。0。1/", "http://①②⑦.⓪.⓪.①/", "http://ⓛocalhost/", "http://127.0.0.1./",
        "http://127.0.0.1%00.example/", "http://%31%32%37.0.0.1/", "http://1.1.1.1%40127.0.0.1/",
        "http://example.com\\@127.0.0.1/", "http://[::127.0.0.1]/", "http://[::ffff:0:127.0.0.1]/",
        "http://[64:ff9b:1::7f00:1]/", "http://[::1%25lo]/", "http://192.0.0.192/", "http://[:f]:237@/", "http://127.0.0.1:02379/",
        "http://user:pw@192.0.2.1/", "file:///etc/passwd", "ftp://192.0.2.1/", "http:///x", "gopher://x/",
    ],
)  # fmt: skip
async def test_t15_where_nobody_may_be_sent(url: str) -> None:
    with pytest.raises(Forbidden):
        await fetch_keys(url, timeout=2)


async def test_t15_odd_digits_do_not_reach_this_machine() -> None:
    """The client takes full-width digits for an address, and connects without asking a resolver."""
    async with issuer({"keys": [KEY]}) as (url, asked):
        for host in ("１２７.0.0.1", "127。0。0。1", "127.0.0.1.", "localhost.", "ⓛocalhost"):
            with pytest.raises(ArtemonError):
                await fetch_keys(url.replace("127.0.0.1", host), timeout=2)
    assert asked == []


async def test_a_name_is_judged_by_what_it_resolves_to() -> None:
    async with issuer({"keys": [KEY]}) as (url, asked):
        with pytest.raises(ArtemonError):
            await fetch_keys(url.replace("127.0.0.1", "localhost"), timeout=2)
        assert asked == []
        await fetch_keys(url, timeout=2, allowed=LOCAL)
    assert asked == ["/"]


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=302, headers={"location": "http://127.0.0.1:2379/"}), web.Response(status=500),
        web.Response(text="x" * (1 << 20) + "xx"), web.Response(text="[]"), web.Response(text="not json"),
        web.Response(text="[" * 100_000), {"keys": []}, {"keys": "x"},
        {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]},
        {"keys": [{**KEY, "d": "private"}]},
    ],
    ids=lambda one: str(one)[:40],
)  # fmt: skip
async def test_what_is_no_key_set(answer: Any) -> None:
    async with issuer(answer) as (url, asked):
        with pytest.raises(NotFetched):
            await fetch_keys(url, timeout=5, allowed=LOCAL)
    assert len(asked) == 1


async def test_an_openid_configuration_names_the_keys() -> None:
    async with issuer({"jwks_uri": "http://127.0.0.1:1/x"}) as (url, _):
        with pytest.raises(NotFetched):
            await fetch_keys(f"{url}/.well-known/openid-configuration", allowed=LOCAL)
    async with issuer({"jwks_uri": "http://169.254.169.254/"}) as (url, _):
        with pytest.raises(Forbidden):
            await fetch_keys(f"{url}/.well-known/openid-configuration", allowed=LOCAL)


class Clock:
    """Time of day that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def policy(uri: str) -> Any:
    return decode({
        "apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication", "metadata": {"name": "a"},
        "spec": {"jwtRules": [{"issuer": "me", "jwksUri": uri}]},
    })  # fmt: skip


async def test_keys_change_are_kept_and_forgotten(tmp_path: Path) -> None:
    clock, told, answers = Clock(), [], ["one", "two", None, None, None]

    async def fetch(_: str, __: float) -> str:
        found = answers.pop(0) if answers else None
        if found is None:
            raise NotFetched("away")
        return found

    def keeper() -> KeyKeeper:
        return KeyKeeper(fetch, told.extend, saved=SavedKeys(tmp_path / "k"), wall=clock,
                         log=Log("test"), refresh=300, keep=3600)  # fmt: skip

    async def until(wanted: Any) -> None:
        async with asyncio.timeout(20):
            while not wanted():
                one.want([policy("https://x.example/keys")])
                await asyncio.sleep(0.01)

    one = keeper()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(one.run())
        await until(lambda: [c.object.text for c in told] == ["one"])
        clock.now += 301
        await until(lambda: [c.object.text for c in told] == ["one", "two"])
        clock.now += 3000
        await until(lambda: len(answers) == 2)
        again = keeper()
        again.load()
        assert told.pop().object.text == "two"
        clock.now += 700
        await until(lambda: isinstance(told[-1], Delete))
        running.cancel()
    assert [type(change) for change in told] == [Upsert, Upsert, Delete]
    assert json.dumps(list(SavedKeys(tmp_path / "k").load())) == "[]"
