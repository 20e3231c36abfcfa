"""What `meshctl explain` says of the calls of the scenarios is what Envoy does with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from scenario_table import Call, Scenario, scenarios
from scenario_world import PROXIES, objects_of, views_of

from artemon.simulate import Configuration, Outcome, read_call, simulate
from meshctl.commands.explain import configuration

ANY = ("", "all", "special")
"""Subsets that name no version."""
SPOKEN = {
    "http": {"protocol": "http"},
    "https": {"protocol": "http", "tls": "tls"},
    "websocket": {"protocol": "http"},
    "grpc": {"protocol": "http2", "method": "POST"},
    "grpc-web": {"protocol": "http", "method": "POST"},
    "tcp": {"protocol": "tcp"},
    "tls": {"protocol": "tcp", "tls": "tls"},
}


@pytest.fixture(scope="module")
def configurations() -> Mapping[str, Configuration]:
    return {name: configuration(view) for name, view in views_of(objects_of(scenarios())).items()}


@pytest.mark.parametrize("scenario", [pytest.param(one, id=one.id) for one in scenarios()])
def test_explain_says_what_envoy_does(
    configurations: Mapping[str, Configuration], scenario: Scenario
) -> None:
    for number, call in enumerate(scenario.calls):
        if call.explain:
            _compare(call, simulate(configurations[call.proxy], read_call(described(call))), f"call {number}")


def described(call: Call) -> dict[str, Any]:
    """The call as `--call` has it."""
    out: dict[str, Any] = {"port": call.port, **SPOKEN[call.speaks]}
    out |= {"mode": "gateway"} if PROXIES[call.proxy].get("type") == "router" else {"address": call.address}
    out |= {"sni": call.sni or call.host} if "tls" in out else {}
    out |= {"alpn": call.alpn} if call.alpn else {}
    out |= {"sourceIP": call.source} if out["protocol"] == "tcp" and "mode" not in out else {}
    if out["protocol"] == "tcp":
        return out
    return {"path": call.path, "method": call.method, **out, "host": call.host, "headers": dict(call.headers)}


def _compare(call: Call, found: Outcome, number: str) -> None:
    expect, reached = call.expect, _subsets(found)
    if expect.to:
        assert found.error is None, (number, found)
        assert reached <= {expect.to, *ANY}, (number, found)
    if expect.share and not isinstance(found.cluster, str):
        assert isinstance(found.cluster, Mapping), (number, found)
        total = sum(found.cluster.values())
        shares = {name.split("|")[2]: 100 * weight / total for name, weight in found.cluster.items()}
        assert {name: round(part) for name, part in shares.items()} == {
            name: round(part) for name, part in expect.share.items()
        }, number
    if expect.route:
        assert found.route == expect.route, number
    _compare_answer(call, found, number)


def _compare_answer(call: Call, found: Outcome, number: str) -> None:
    """Where no server is asked, Envoy's own answer; where one is, none."""
    expect = call.expect
    if expect.attempts == 0 or expect.closed or expect.status in (301, 302, 303, 307, 308, 404):
        answer = found.response or {}
        if call.speaks in ("http", "https"):
            wanted = {"status": expect.status}
            wanted |= {"location": expect.headers["location"]} if "location" in expect.headers else {}
            if not (found.error and not answer and expect.status == 404) and not call.do:
                assert {name: answer.get(name) for name in wanted} == wanted, (number, found)
    elif expect.attempts is None and not expect.statuses and not expect.grpc and not call.do:
        assert found.response is None, (number, found)
        assert found.cluster is not None, (number, found)


def _subsets(found: Outcome) -> set[str]:
    names = [found.cluster] if isinstance(found.cluster, str) else list(found.cluster or ())
    return {name.split("|")[2] if "|" in name else "" for name in names}
