"""CUSTOM with real authorizers, over HTTP and gRPC, that are slow, away, or fail: `timeout`, `failOpen` and
`statusOnError` decide; what is sent to them, and what of their answer goes on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from policy_authorizers import over_grpc, provider, service
from policy_http2 import EMPTY_MESSAGE, GrpcApp
from policy_rig import Answer, App, Caller, Rig, running

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of

pytestmark = pytest.mark.envoy
HTTP, TCP, GRPC = 18080, 18081, 18082
GRPC_SERVER, HTTP_SERVER, NOBODY = 9000, 9001, 9002
"""Ports of the authorizers' service."""
SLOW = "127.0.0.8"
"""Connections from there are never judged."""
OPTIONS: dict[str, dict[str, Any]] = {
    "closed": {},
    "told": {"statusOnError": "503"},
    "open": {"failOpen": True, "statusOnError": "503"},
}
OUTCOMES = {"closed": 403, "told": 503, "open": 200}
GRPC_OUTCOMES = {"closed": "PERMISSION_DENIED", "told": "UNAVAILABLE", "open": "OK"}
HEADERS = {
    "pathPrefix": "/check",
    "includeRequestHeadersInCheck": ["x-do", "x-in-*"],
    "includeAdditionalHeadersInCheck": {"x-added": "by-mesh", "x-in-1": "mesh"},
    "headersToUpstreamOnAllow": ["x-user", "x-role-*"],
    "headersToDownstreamOnDeny": ["x-why", "set-cookie"],
    "headersToDownstreamOnAllow": ["x-trace"],
}
ANSWERED = (
    b"x-user: alice\r\nx-role-a: b\r\nx-why: because\r\nx-trace: t1\r\nset-cookie: a=b\r\nx-secret: s\r\n"
)
BODIES = {
    "small": {"maxRequestBytes": 10},
    "partial": {"maxRequestBytes": 10, "allowPartialMessage": True},
    "bytes": {"maxRequestBytes": 10, "allowPartialMessage": True, "packAsBytes": True},
}


@dataclass
class Judge:
    """Both authorizers. `x-do` says what they do: `wait` for the end of the test, `late` for a while, `fail`,
    `no`. asked: what came."""

    ended: threading.Event = field(default_factory=threading.Event)
    asked: list[Any] = field(default_factory=list)

    def wait(self, what: str | None, is_wanted: Callable[[], bool] = lambda: True) -> None:
        if what == "late":
            self.ended.wait(1)
        while what == "wait" and is_wanted() and not self.ended.wait(0.02):
            pass

    def check(self, request: CheckRequest, context: Any) -> CheckResponse:
        """Over gRPC."""
        self.asked.append(request)
        what = request.attributes.request.http.headers.get("x-do")
        if request.attributes.source.address.socket_address.address == SLOW:
            what = "wait"
        self.wait(what, context.is_active)
        if what == "fail":
            context.abort(grpc.StatusCode.INTERNAL, "as told")
        out = CheckResponse()
        out.status.code = 7 if what == "no" else 0
        return out


class OverHttp(App):
    """The same over HTTP."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        super().__init__()

    def answer(self, told: dict[str, Any]) -> bytes:
        self._judge.asked.append(told)
        what = dict(told["headers"]).get("x-do", "")
        self._judge.wait(what)
        status = {"fail": b"500 Oh", "no": b"401 No"}.get(what, b"200 OK")
        return b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n" + ANSWERED + b"\r\nno"


@dataclass
class World:
    """Workloads by the name of their provider, behind one Envoy."""

    rig: Rig
    judge: Judge
    addresses: dict[str, str]

    def ask(self, name: str, what: str = "", *more: str, path: str = "/ask", body: bytes = b"") -> Answer:
        lines = [f"POST {path} HTTP/1.1", "host: a", f"content-length: {len(body)}", *more]
        lines += [f"x-do: {what}"] if what else []
        request = "\r\n".join([*lines, "", ""]).encode() + body
        return self.rig.http(self.addresses[name], HTTP, request)


def providers() -> list[dict[str, Any]]:
    found = []
    for kind, port in (("Http", HTTP_SERVER), ("Grpc", GRPC_SERVER)):
        headers = {"includeRequestHeadersInCheck": ["x-do"]} if kind == "Http" else {}
        for option, more in OPTIONS.items():
            found += [
                provider(f"{kind}-{option}", port, kind, **{**headers, **more, "timeout": "0.3s"}),
                provider(f"{kind}-{option}-away", NOBODY, kind, **{**headers, **more}),
            ]
        for name, body in BODIES.items():
            found.append(
                provider(f"{kind}-body-{name}", port, kind, includeRequestBodyInCheck=body, **headers)
            )
        patient = provider(f"{kind}-patient", port, kind, **headers)
        del patient[f"envoyExtAuthz{kind}"]["timeout"]
        found.append(patient)
    return [*found, provider("headers", HTTP_SERVER, "Http", **HEADERS)]


def policy(name: str, to: str, number: int = 0) -> dict[str, Any]:
    spec = {
        "action": "CUSTOM",
        "provider": {"name": name},
        "selector": {"matchLabels": {"asks": to}},
        "rules": [{"to": [{"operation": {"notPaths": ["/free"]}}]}],
    }
    return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": {"name": f"{to.lower()}-{number}", "namespace": "default"}, "spec": spec}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    judge, app, behind = Judge(), App(), GrpcApp()
    with ExitStack() as stack:
        stack.callback(behind.close)
        http = OverHttp(judge)
        stack.callback(http.close)
        stack.callback(judge.ended.set)
        port = stack.enter_context(over_grpc(judge.check))
        known = providers()
        names = [one["name"] for one in known]
        objects = [service({GRPC_SERVER: port, HTTP_SERVER: http.port, NOBODY: 1})]
        objects += [policy(name, name) for name in names]
        objects += [policy(name, "two", number) for number, name in enumerate(("Http-open", "Grpc-open"))]
        mesh = MeshConfig.model_validate({"extensionProviders": known})
        snapshot = snapshot_of(load_yaml("\n---\n".join(map(json.dumps, objects))), mesh)
        ports = [
            {"number": number, "name": f"{kind.lower()}-{number}", "protocol": kind, "listenPort": number,
             "appPort": behind.port if kind == "GRPC" else app.port}
            for number, kind in ((HTTP, "HTTP"), (TCP, "TCP"), (GRPC, "GRPC"))
        ]  # fmt: skip
        addresses = {name: f"127.10.0.{number}" for number, name in enumerate([*names, "two"], 1)}
        metadata = {"INTERCEPTION_MODE": "NONE", "ARTEMON_PORTS": ports}
        views = [
            snapshot.view(read_proxy({"namespace": "default", "ipAddresses": [address],
                                      "labels": {"asks": name}, "metadata": metadata}))
            for name, address in addresses.items()
        ]  # fmt: skip
        folder = tmp_path_factory.mktemp("envoy")
        with running(views, folder, (addresses["two"], GRPC), app=app) as rig:
            yield World(rig, judge, addresses)


def settle(found: Callable[[], Any], wanted: Any) -> None:
    """What a good answer does, at last: on a busy machine it may miss the timeout, too."""
    deadline = time.monotonic() + 60
    while (last := found()) != wanted:
        assert time.monotonic() < deadline, f"{last}, not {wanted}"


@pytest.mark.parametrize("kind", ["Http", "Grpc"])
@pytest.mark.parametrize("option", OPTIONS)
def test_who_does_not_answer_in_time_lets_nobody_in(world: World, kind: str, option: str) -> None:
    assert world.ask(f"{kind}-{option}", "wait").status == OUTCOMES[option]
    settle(lambda: world.ask(f"{kind}-{option}").status, 200)
    settle(lambda: world.ask(f"{kind}-{option}", "no").status, 401 if kind == "Http" else 403)


@pytest.mark.parametrize("kind", ["Http", "Grpc"])
@pytest.mark.parametrize("option", OPTIONS)
def test_who_fails_lets_nobody_in(world: World, kind: str, option: str) -> None:
    assert world.ask(f"{kind}-{option}", "fail").status == OUTCOMES[option]


@pytest.mark.parametrize("kind", ["Http", "Grpc"])
@pytest.mark.parametrize("option", OPTIONS)
def test_who_is_away_lets_nobody_in(world: World, kind: str, option: str) -> None:
    assert world.ask(f"{kind}-{option}-away").status == OUTCOMES[option]
    assert world.ask(f"{kind}-{option}-away", path="/free").status == 200


@pytest.mark.parametrize("kind", ["Http", "Grpc"])
@pytest.mark.parametrize("option", OPTIONS)
def test_calls_of_grpc_get_a_status_of_grpc(world: World, kind: str, option: str) -> None:
    headers = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/a.B/C"),
               (b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"x-do", b"wait")]  # fmt: skip
    place = (world.addresses[f"{kind}-{option}"], GRPC)
    assert world.rig.http2(*place, headers, Caller(), EMPTY_MESSAGE).grpc == GRPC_OUTCOMES[option]
    settle(lambda: world.rig.http2(*place, headers[:-1], Caller(), EMPTY_MESSAGE).grpc, "OK")


@pytest.mark.parametrize("option", OPTIONS)
def test_connections_wait_for_nobody_either(world: World, option: str) -> None:
    open_ = option == "open"
    assert world.rig.tcp(world.addresses[f"Grpc-{option}"], TCP, Caller(None, SLOW)) is open_
    settle(lambda: world.rig.tcp(world.addresses[f"Grpc-{option}"], TCP), True)
    assert world.rig.tcp(world.addresses[f"Grpc-{option}-away"], TCP) is open_
    assert not world.rig.tcp(world.addresses[f"Http-{option}"], TCP), "nobody can be asked"


@pytest.mark.parametrize("kind", ["Http", "Grpc"])
def test_without_a_timeout_the_answer_is_awaited(world: World, kind: str) -> None:
    assert world.ask(f"{kind}-patient", "late").status == 200


def test_two_providers_for_one_workload_let_nobody_in(world: World) -> None:
    """Istio: one provider for each workload. Not even those that fail open are asked."""
    before = len(world.judge.asked)
    assert world.ask("two").status == 403
    assert not world.rig.tcp(world.addresses["two"], TCP)
    assert world.ask("two", path="/free").status == 200
    assert len(world.judge.asked) == before


def test_headers_that_are_sent_and_kept(world: World) -> None:
    sent = ("x-in-1: client", "x-in-2: two", "x-out: three", "authorization: Bearer x", "cookie: c=d",
            "x-user: forged", "x-role-z: forged")  # fmt: skip
    answer = world.ask("headers", "", *sent)
    asked, served = world.judge.asked[-1], dict(answer.told["headers"])
    seen = [name for name, _ in asked["headers"]]
    assert asked["line"] == "POST /check/ask HTTP/1.1"
    assert dict(asked["headers"])["x-added"] == "by-mesh"
    assert {"x-in-2", "authorization"} <= set(seen), "authorization always is (Envoy)"
    assert [value for name, value in asked["headers"] if name == "x-in-1"] == ["mesh"], (
        "the mesh's word counts"
    )
    assert not {"x-out", "cookie", "x-user"} & set(seen)
    assert served["x-user"] == "alice", "what the authorizer says replaces what the client said"
    assert [value for name, value in answer.told["headers"] if name == "x-user"] == ["alice"]
    assert served["x-role-a"] == "b"
    assert not {"x-secret", "x-why", "x-added"} & set(served)
    assert answer.headers["x-trace"] == "t1"
    assert not {"x-why", "x-user", "x-secret", "set-cookie"} & set(answer.headers)
    refused = world.ask("headers", "no")
    assert (refused.status, refused.headers["x-why"], refused.headers["set-cookie"]) == (
        401,
        "because",
        "a=b",
    )
    assert not {"x-trace", "x-secret", "x-user"} & set(refused.headers)


@pytest.mark.parametrize("kind", ["Http", "Grpc"])
def test_bodies_that_are_sent(world: World, kind: str) -> None:
    def seen() -> str | bytes:
        last = world.judge.asked[-1]
        if isinstance(last, CheckRequest):
            http = last.attributes.request.http
            return http.raw_body or http.body
        return str(last["body"])

    assert world.ask(f"{kind}-body-small", body=b"small").told["body"] == "small"
    assert seen() == "small"
    assert world.ask(f"{kind}-body-small", body=b"x" * 20).status == 413
    assert world.ask(f"{kind}-body-partial", body=b"0123456789abc").told["body"] == "0123456789abc"
    assert seen() == "0123456789"
    assert world.ask(f"{kind}-body-bytes", body=b"ab\xff").status == 200
    assert seen() == (b"ab\xff" if kind == "Grpc" else "ab\xff")
    assert world.ask(f"{kind}-patient", body=b"unseen").status == 200
    assert not seen()
