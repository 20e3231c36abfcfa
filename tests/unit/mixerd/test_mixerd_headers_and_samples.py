"""Rules that change headers of requests, and rules that look at some reports only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mixer_objects import book, entry, handler, instance, lines, problems, rule
from test_mixerd_checks import court, obj

from artemon.model.decode import decode
from artemon.model.tolerant import decode_tolerantly
from artemon.validate import problems as alone
from mixerd.sampling import Sampler


def changes(request: list[dict[str, Any]], response: list[dict[str, Any]] | None = None, **more: Any) -> Any:
    spec = {"requestHeaderOperations": request, "responseHeaderOperations": response or [], **more}
    return obj("rule", "headers", spec)


def told(options: Any) -> list[tuple[str, str]]:
    return [(one.header.key, one.header.value) for one in options]


async def test_headers_of_requests_and_responses(tmp_path: Path) -> None:
    operations = [
        {"name": "X-Who", "values": ["request.auth.claims[`sub`]"]},
        {"name": "x-hops", "values": ['"here"', "request.method"], "operation": "APPEND"},
        {"name": "x-first", "values": ['"1"'], "operation": "APPEND"},
        {"name": "x-secret", "operation": "REMOVE"},
        {"name": "x-absent", "values": ["request.referer"]},
    ]
    response = [{"name": "x-served-by", "values": ["destination.workload.name", '"mesh"']}]
    async with court(tmp_path) as found:
        await found.become(changes(operations, response, match='request.path != "/other"'))
        ok = (await found.ask(x_hops="before", x_secret="s", x_who="forged")).ok_response
        assert told(ok.headers) == [("x-who", "ann"), ("x-hops", "before,here,GET"), ("x-first", "1")]
        assert list(ok.headers_to_remove) == ["x-secret"]
        sent = [(one.header.value, one.append_action) for one in ok.response_headers_to_add]
        assert sent == [("reviews-v2", 2), ("mesh", 0)], "in place of the server's own, then one more"
        assert not (await found.ask(path="/other")).ok_response.headers, "the rule does not hold"


async def test_the_last_change_of_a_header_counts(tmp_path: Path) -> None:
    operations = [
        {"name": "x-a", "values": ['"1"']},
        {"name": "x-a", "operation": "REMOVE"},
        {"name": "x-b", "operation": "REMOVE"},
        {"name": "x-b", "values": ['"2"'], "operation": "APPEND"},
    ]
    async with court(tmp_path) as found:
        await found.become(changes(operations))
        ok = (await found.ask(x_a="client", x_b="client")).ok_response
        assert (told(ok.headers), list(ok.headers_to_remove)) == ([("x-b", "2")], ["x-a"])


async def test_a_value_that_would_break_the_request_changes_nothing(tmp_path: Path) -> None:
    async with court(tmp_path) as found:
        await found.become(changes([{"name": "x-who", "values": ['request.path + "\\n"']}]))
        assert not (await found.ask()).ok_response.headers
        assert await found.status() == 200


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        ({"name": ":path", "values": ['"/"']}, 'name: header ":path" must not begin with ":"'),
        ({"name": "Host", "values": ['"x"']}, 'name: header "Host" cannot be changed here'),
        ({"name": "x y", "values": ['"x"']}, 'name: "x y" is not a header name'),
        ({"name": "X-Envoy-Retry-On", "values": ['"x"']}, "name: x-envoy-retry-on is the proxies' own"),
        ({"name": "x", "operation": "REMOVE", "values": ['"x"']}, "values: must be empty with REMOVE"),
        ({"name": "x"}, "values: must not be empty"),
        ({"name": "x", "values": ["a.output.value"]}, "values[0]: actions have no outputs"),
    ],
)
def test_headers_that_cannot_be_changed(operation: dict[str, Any], problem: str) -> None:
    found = [str(one) for one in alone(decode(changes([operation])))]
    assert any(one.startswith(f"spec.requestHeaderOperations[0].{problem}") for one in found), found


def test_what_else_is_refused() -> None:
    removal = changes([], [{"name": "x", "operation": "REMOVE"}])
    assert [one.path for one in alone(decode(removal))] == ["spec.responseHeaderOperations[0].operation"]
    typed = changes([{"name": "x", "values": ["request.size"]}])
    assert problems(typed) == [
        "rule/shop/headers: spec.requestHeaderOperations[0].values[0]: is INT64, must be STRING"
    ]
    bound = obj(
        "instance", "i", {"compiledTemplate": "logentry", "attributeBindings": {"source.ip": "$out.ip"}}
    )
    assert [one.path for one in alone(decode(bound))] == ["spec.attributeBindings"]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("tracespan", "see spec.tracing of Telemetry"),
        ("edge", "see meshctl graph"),
        ("apikey", "as listentry with the value request.api_key"),
        ("poem", "use one of metric, logentry"),
    ],
)
def test_templates_that_there_are_not_say_what_does_their_work(template: str, reason: str) -> None:
    (one,) = alone(decode(instance("i", template)))
    assert reason in one.message


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("metric", "write an instance whose compiledTemplate is metric"),
        ("redisquota", "write a handler whose compiledAdapter is redisquota"),
        ("QuotaSpec", "write a rule that sends a quota instead"),
    ],
)
def test_kinds_of_mixer_that_there_are_not(kind: str, reason: str) -> None:
    (one,) = decode_tolerantly(obj(kind, "x", {})).wrong
    assert (one.path, reason in one.message) == ("kind", True), one


def sampled(sampling: dict[str, Any], **options: Any) -> Sampler:
    whole = rule(("out", "line"), sampling=sampling), lines(), entry(path="request.path")
    (ready,) = book(*whole).rules
    assert ready.sampling is not None
    return Sampler(ready.sampling, **{"now": lambda: 0.0, **options})


def test_the_same_requests_are_looked_at_everywhere() -> None:
    terms = {"random": {"percentSampled": {"numerator": 20}}}
    one, other = sampled(terms), sampled(terms)
    ids = [{"request.id": f"request-{number}"} for number in range(5000)]
    taken = [one.takes(bag) for bag in ids]
    assert taken == [other.takes(bag) for bag in ids]
    assert 900 <= sum(taken) <= 1100, "a fifth"


@pytest.mark.parametrize(
    ("random", "chance", "taken"),
    [
        ({"percentSampled": {"numerator": 50}}, 0.49, True),
        ({"percentSampled": {"numerator": 50}}, 0.5, False),
        ({"percentSampled": {"numerator": 50, "denominator": "TEN_THOUSAND"}}, 0.0049, True),
        ({"percentSampled": {"numerator": 50, "denominator": "TEN_THOUSAND"}}, 0.005, False),
        ({"percentSampled": {"numerator": 0}}, 0.0, False),
        ({"percentSampled": {"numerator": 100}}, 0.999999, True),
        ({"attributeExpression": "response.code"}, 0.99, True),
        ({"attributeExpression": "response.size", "percentSampled": {"numerator": 100}}, 0.0, False),
    ],
)
def test_a_share(random: dict[str, Any], chance: float, taken: bool) -> None:
    sampler = sampled({"random": {**random, "useIndependentRandomness": True}}, chance=lambda: chance)
    assert sampler.takes({"request.id": "x", "response.code": 100}) is taken


def test_a_rate() -> None:
    time = [0.0]
    terms = {"samplingDuration": "10s", "maxUnsampledEntries": 3, "samplingRate": 4}
    sampler = sampled({"rateLimit": terms}, now=lambda: time[0])
    assert [sampler.takes({}) for _ in range(12)] == [True] * 3 + [False] * 3 + [True] + [False] * 3 + [
        True,
        False,
    ]
    time[0] = 10.0
    assert sampler.takes({})


@pytest.mark.parametrize(
    ("sampling", "path"),
    [
        ({"random": {}}, "spec.sampling.random.percentSampled"),
        ({"random": {"percentSampled": {"numerator": 101}}}, "spec.sampling.random.percentSampled.numerator"),
        (
            {"rateLimit": {"samplingDuration": "1s", "samplingRate": -1}},
            "spec.sampling.rateLimit.samplingRate",
        ),
        ({"rateLimit": {"samplingDuration": "0s"}}, "spec.sampling.rateLimit.samplingDuration"),
    ],
)
def test_samples_that_cannot_be(sampling: dict[str, Any], path: str) -> None:
    assert path in [one.path for one in alone(decode(rule(("a", "b"), sampling=sampling)))]


def test_checks_are_not_sampled() -> None:
    half = {"random": {"percentSampled": {"numerator": 50}}}
    check = instance("line", "checknothing")
    found = problems(rule(("no", "line"), sampling=half), handler("no", "denier"), check)
    assert found == [
        "rule/shop/all: spec.sampling: is for reports: checks, quotas and changes of headers are made for "
        "all requests or none"
    ]
    typed = rule(("out", "line"), sampling={"random": {"attributeExpression": "request.path"}})
    assert problems(typed, lines(), entry(path="request.path")) == [
        "rule/shop/all: spec.sampling.random.attributeExpression: is STRING, must be INT64 or DOUBLE"
    ]
