"""Questions about requests: checks, quotas, answers that are used again, and when nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from adapter_ends import NOW
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from prometheus_client import CollectorRegistry
from translated_proxy import Authority

from artemon.adapters import Adapter, Answer, Handler, Params, Place, QuotaAnswer, Row
from artemon.adapters.catalog import named
from artemon.adapters.rulebook import rulebook
from artemon.errors import ArtemonError
from artemon.expr.values import json_value
from artemon.log import Log
from artemon.model.decode import decode
from mixerd.asking import READERS, Question
from mixerd.checking import Checking
from mixerd.handling import Handlers
from mixerd.records import Reporter

REVIEWS = Reporter("shop", "reviews", "reviews-v2", "v2")


OK = Answer()


@dataclass
class Judge(Handler):
    """Answers as it is told, and counts."""

    answer: Answer = OK
    granted: int = 1
    fail: Exception | None = None
    asked: list[Row] = field(default_factory=list)

    async def check(self, row: Row) -> Answer:
        self.asked.append(row)
        if self.fail:
            raise self.fail
        return self.answer

    async def quota(self, row: Row, amount: int) -> QuotaAnswer:
        self.asked.append(row)
        if self.fail:
            raise self.fail
        return QuotaAnswer(min(amount, self.granted), 7.4)


class Court:
    """Rules in force, over judges."""

    def __init__(self, folder: Path, tasks: asyncio.TaskGroup) -> None:
        self.time, self.ready, self._tasks = 0.0, True, tasks
        metrics, log = CollectorRegistry(), Log("mixerd")
        self.handlers = Handlers(folder=folder, metrics=metrics, log=log, now=lambda: NOW, most_bytes=1000)
        self.checking = Checking(
            self.handlers, metrics, log, root="istio-system", now=lambda: self.time, ready=lambda: self.ready
        )
        self.judges: dict[str, Judge] = {}

    def _open(self, _: Params, place: Place) -> Judge:
        self.judges[place.name] = Judge()
        return self.judges[place.name]

    def _named(self, name: str) -> Adapter:
        takes = frozenset({"checknothing", "listentry", "authorization", "quota"})
        return Adapter(Params, takes, self._open) if name == "judge" else named(name)

    async def become(self, *objects: dict[str, Any]) -> None:
        book = rulebook([decode(one) for one in objects], root="istio-system", adapter=self._named)
        await self.handlers.become(book.handlers, self._tasks)
        self.checking.become(book)

    async def ask(self, reporter: Reporter = REVIEWS, **fields: Any) -> CheckResponse:
        request = asked(**fields)
        return await self.checking.answer(request, request.SerializeToString(), reporter)

    async def status(self, **fields: Any) -> int:
        """Of HTTP: 200 where the request goes on."""
        answer = await self.ask(**fields)
        return answer.denied_response.status.code if answer.HasField("denied_response") else 200


@asynccontextmanager
async def court(folder: Path) -> AsyncIterator[Court]:
    async with asyncio.TaskGroup() as tasks:
        made = Court(folder, tasks)
        yield made
        await made.handlers.close()


def asked(path: str = "/reviews/1?x=y", certificate: bytes = b"", **headers: str) -> CheckRequest:
    request = CheckRequest()
    attributes = request.attributes
    attributes.source.address.socket_address.address = "::ffff:10.0.0.7"
    attributes.source.principal = "spiffe://cluster.local/ns/shop/sa/page"
    attributes.source.certificate = quote(certificate.decode())
    attributes.destination.address.socket_address.port_value = 9080
    http = attributes.request.http
    http.path, http.method, http.host = path, "GET", "reviews:9080"
    for name, value in headers.items():
        http.headers[name.replace("_", "-")] = value
    claims = attributes.metadata_context.filter_metadata["envoy.filters.http.jwt_authn"]
    claims.update({"payload": {"iss": "https://issuer", "sub": "ann", "groups": ["a", "b"], "exp": 12.0}})
    return request


def obj(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop"}
    return {"apiVersion": "config.istio.io/v1alpha2", "kind": kind, "metadata": meta, "spec": spec}


def rule(
    template: str = "checknothing", name: str = "x", match: str = "", **more: Any
) -> list[dict[str, Any]]:
    params = more.pop("params", {})
    spec = {"match": match, "actions": [{"handler": name, "instances": [name]}], **more}
    return [
        obj("rule", name, spec),
        obj("handler", name, {"compiledAdapter": "judge"}),
        obj("instance", name, {"compiledTemplate": template, "params": params}),
    ]


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("source.principal", "cluster.local/ns/default/sa/page"),
        ("source.workload.name", "page-v1"),
        ("source.labels", {"app": "page", "version": "v1"}),
        ("source.ip", {"$ip": "10.0.0.7"}),
        ("destination.service.host", "reviews.shop.svc.cluster.local"),
        ("destination.port", 9080),
        ("request.url_path", "/reviews/1"),
        ("request.query_params", {"x": "y"}),
        ("request.headers", {"x-shop": "mine"}),
        ("request.auth.principal", "https://issuer/ann"),
        ("request.auth.claims", {"iss": "https://issuer", "sub": "ann", "groups": "a,b", "exp": "12"}),
        ("request.referer", None),
        ("context.protocol", "http"),
        ("response.code", None),
    ],
)
def test_attributes_of_a_question(attribute: str, value: Any, tmp_path: Path) -> None:
    certificates = Authority().issue(tmp_path / "page", "page", "page-v1/page/v1/page/v1/east")
    certificate = (certificates / "cert-chain.pem").read_bytes()
    found = Question(asked(certificate=certificate, x_shop="mine").attributes, REVIEWS).get(attribute)
    assert (None if found is None else json_value(found)) == value


def test_without_a_certificate_nobody_is_known() -> None:
    question = Question(asked().attributes, REVIEWS)
    names = ("source.workload.name", "source.labels", "source.principal")
    assert [question.get(name) for name in names] == [None, None, None], "what Envoy only says is not enough"
    assert question.get("connection.mtls") is False
    broken = Question(asked(certificate=b"nonsense").attributes, REVIEWS)
    assert broken.get("source.namespace") is None
    assert set(question) <= READERS.keys()


async def test_a_refusal_is_told_in_the_answers_terms(tmp_path: Path) -> None:
    async with court(tmp_path) as found:
        await found.become(*rule(match='request.method == "GET"'))
        assert await found.status() == 200
        found.judges["shop/x"].answer = Answer(16, "who are you", headers={"www-authenticate": "Bearer"})
        answer = await found.ask()
        assert (answer.status.code, answer.denied_response.status.code) == (16, 401)
        assert answer.denied_response.body == "who are you"
        (header,) = answer.denied_response.headers
        assert (header.header.key, header.header.value) == ("www-authenticate", "Bearer")
        assert await found.status(reporter=Reporter("other", "a", "a")) == 200


async def test_a_rule_that_does_not_hold_asks_nobody(tmp_path: Path) -> None:
    async with court(tmp_path) as found:
        await found.become(*rule(match='request.headers["x-shop"] == "mine"'))
        found.judges["shop/x"].answer = Answer(7)
        assert await found.status() == 200
        assert found.judges["shop/x"].asked == []
        assert await found.status(x_shop="mine") == 403


async def test_answers_are_used_again_on_their_terms(tmp_path: Path) -> None:
    async with court(tmp_path) as found:
        await found.become(*rule("listentry", params={"value": "request.path"}))
        judge = found.judges["shop/x"]
        judge.answer = Answer(7, seconds=10, uses=3)
        for _ in range(4):
            assert await found.status() == 403
        assert len(judge.asked) == 2, "three times, then anew"
        assert await found.status(path="/other") == 403
        assert len(judge.asked) == 3, "another value"
        found.time = 10.0
        await found.status(path="/other")
        assert len(judge.asked) == 4, "too old"
        judge.answer = Answer()
        await found.become(*rule("listentry", params={"value": "request.path"}))
        assert await found.status() == 200, "other rules, other answers"


@pytest.mark.parametrize(
    ("template", "fail_open", "status"),
    [
        ("checknothing", None, 503),
        ("checknothing", True, 200),
        ("quota", None, 200),
        ("quota", False, 503),
    ],
)
@pytest.mark.parametrize("error", [OSError("gone"), ArtemonError("gone"), ZeroDivisionError()])
async def test_open_or_closed(
    tmp_path: Path, template: str, fail_open: bool | None, status: int, error: Exception
) -> None:
    more = {} if fail_open is None else {"failOpen": fail_open}
    async with court(tmp_path) as found:
        await found.become(*rule(template, **more))
        found.judges["shop/x"].fail = error
        assert await found.status() == status


async def test_quotas(tmp_path: Path) -> None:
    async with court(tmp_path) as found:
        await found.become(*rule("quota", params={"dimensions": {"who": "request.auth.claims[`sub`]"}}))
        assert await found.status() == 200
        found.judges["shop/x"].granted = 0
        answer = await found.ask()
        assert answer.denied_response.status.code == 429
        assert answer.denied_response.headers[0].header.value == "7"
        assert found.judges["shop/x"].asked[0].values == {"dimensions": {"who": "ann"}}


async def test_an_instance_without_a_value_is_no_answer(tmp_path: Path) -> None:
    async with court(tmp_path) as found:
        await found.become(*rule("listentry", params={"value": "request.referer"}))
        assert await found.status() == 503
        assert await found.status(referer="http://x") == 200


async def test_a_check_that_cannot_be_used_closes(tmp_path: Path) -> None:
    async with court(tmp_path) as found:
        whole = rule()
        await found.become(*(one for one in whole if one["kind"] != "handler"))
        assert await found.status() == 503
        assert await found.status(reporter=Reporter("other", "a", "a")) == 200
        await found.become(*(one for one in rule(failOpen=True) if one["kind"] != "handler"))
        assert await found.status() == 200
        reports = rule("logentry")
        await found.become(*(one for one in reports if one["kind"] != "handler"))
        assert await found.status() == 200, "it would have checked nothing"


async def test_nothing_is_answered_before_rules_are_read(tmp_path: Path) -> None:
    async with court(tmp_path) as found:
        found.ready = False
        with pytest.raises(ArtemonError, match="not been read"):
            await found.ask()


async def test_headers_of_those_that_let_through(tmp_path: Path) -> None:
    async with court(tmp_path) as found:
        await found.become(*rule(name="x"), *rule(name="y"))
        found.judges["shop/x"].answer = Answer(headers={"x-who": "ann"})
        found.judges["shop/y"].answer = Answer(headers={"x-why": "list"})
        sent = (await found.ask()).ok_response.headers
        assert {one.header.key: one.header.value for one in sent} == {"x-who": "ann", "x-why": "list"}
