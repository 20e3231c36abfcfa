"""Rules, handlers, instances and manifests checked against one another."""

from __future__ import annotations

from typing import Any

import pytest
from mixer_objects import ROOT, book, entry, handler, instance, lines, obj, problems, rule

from artemon.adapters import Variety
from artemon.errors import Refused
from artemon.model.decode import decode
from artemon.validate import problems as alone

OUT, LINE = lines(), entry(path="request.path")
RULE = rule(("out", "line"))
MANIFEST = obj("attributemanifest", "ours", {"attributes": {"shop.team": {"valueType": "STRING"}}})


def test_what_fits_is_ready() -> None:
    found = book(RULE, OUT, LINE)
    assert found.problems == {}
    (ready,) = found.of("shop", ROOT, Variety.REPORT)
    (action,) = ready.actions[Variety.REPORT]
    assert (action.handler, [shape.name for shape in action.shapes]) == ("shop/out", ["shop/line"])
    assert found.of("other", ROOT, Variety.REPORT) == ()
    assert found.of("shop", ROOT, Variety.CHECK) == ()


@pytest.mark.parametrize(
    ("objects", "problem"),
    [
        pytest.param(
            [rule(("out", "line"), match="request.pth == `/`"), OUT, LINE],
            "rule/shop/all: spec.match: unknown attribute request.pth",
            id="unknown-attribute",
        ),
        pytest.param(
            [rule(("out", "line"), match="request.size"), OUT, LINE],
            "rule/shop/all: spec.match: is INT64, must be BOOL",
            id="match-is-no-condition",
        ),
        pytest.param(
            [RULE, OUT, entry(path='request.size + "x"')],
            'instance/shop/line: spec.params.variables[path]: ADD($request.size, "x") arg 2 ("x") '
            "typeError got STRING, expected INT64",
            id="wrong-type",
        ),
        pytest.param(
            [RULE, LINE],
            "rule/shop/all: spec.actions[0].handler: there is no handler out in shop",
            id="no-handler",
        ),
        pytest.param(
            [RULE, OUT],
            "rule/shop/all: spec.actions[0].instances[0]: there is no instance line in shop",
            id="no-instance",
        ),
        pytest.param(
            [RULE, handler("out", "carrier-pigeon"), LINE],
            'handler/shop/out: spec.compiledAdapter: "carrier-pigeon": unknown adapter; use one of ',
            id="unknown-adapter",
        ),
        pytest.param(
            [RULE, OUT, instance("line", "poem")],
            'instance/shop/line: spec.compiledTemplate: "poem" is no template here; use one of metric, ',
            id="unknown-template",
        ),
        pytest.param(
            [RULE, handler("out", "prometheus"), LINE],
            "rule/shop/all: spec.actions[0].instances[0]: is of template logentry; adapter prometheus takes",
            id="template-that-the-adapter-does-not-take",
        ),
        pytest.param(
            [RULE, handler("out", "stdio", log_stream="FILE", output_path="/etc/passwd"), LINE],
            "handler/shop/out: spec.params.output_path: must be a path below",
            id="path-outside",
        ),
        pytest.param(
            [RULE, handler("out", "stdio", colour="red"), LINE],
            "handler/shop/out: spec.params.colour: unknown field",
            id="unknown-parameter",
        ),
        pytest.param(
            [RULE, OUT, instance("line", "logentry", severity="1")],
            "instance/shop/line: spec.params.severity: is INT64, must be STRING",
            id="field-of-another-type",
        ),
        pytest.param(
            [RULE, OUT, instance("line", "logentry", variables={"a": 7})],
            "instance/shop/line: spec.params.variables[a]: must be an expression in quotes, not a whole",
            id="no-expression",
        ),
        pytest.param(
            [RULE, OUT, instance("line", "logentry", colour='"red"')],
            "instance/shop/line: spec.params.colour: is no field of the template (there are",
            id="unknown-field",
        ),
        pytest.param(
            [rule(("out.other", "line")), handler("out", "stdio", "other"), LINE],
            "rule/shop/all: spec.actions[0].handler: handler out.other is of namespace other: only",
            id="handler-of-another-namespace",
        ),
        pytest.param(
            [RULE, OUT, entry(team="shop.team")],
            "instance/shop/line: spec.params.variables[team]: unknown attribute shop.team",
            id="undeclared",
        ),
    ],
)
def test_what_does_not_fit(objects: list[dict[str, Any]], problem: str) -> None:
    assert any(one.startswith(problem) for one in problems(*objects)), problems(*objects)
    assert book(*objects).rules == (), "nothing is done in part"


def test_declared_attributes() -> None:
    assert problems(RULE, OUT, entry(team="shop.team"), MANIFEST) == []
    elsewhere = obj("attributemanifest", "ours", MANIFEST["spec"], "other")
    assert problems(RULE, OUT, entry(team="shop.team"), elsewhere), "of another namespace"
    shared = obj("attributemanifest", "ours", MANIFEST["spec"], ROOT)
    assert problems(RULE, OUT, entry(team="shop.team"), shared) == []


@pytest.mark.parametrize("name", ["out", "out.handler", "out.handler.shop", "shop/out", "out.shop"])
def test_names_as_mixer_reads_them(name: str) -> None:
    assert problems(rule((name, "line")), OUT, LINE) == []


def test_all_may_use_what_is_in_the_root_namespace() -> None:
    shared = handler("out", "stdio", ROOT)
    assert problems(rule((f"out.{ROOT}", "line")), shared, LINE) == []


def test_a_rule_of_the_root_namespace_is_for_all() -> None:
    everything = [
        rule(("out", "line"), namespace=ROOT),
        handler("out", "stdio", ROOT),
        instance("line", "logentry", ROOT, variables={"path": "request.path"}),
    ]
    assert len(book(*everything).of("anywhere", ROOT, Variety.REPORT)) == 1


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        (
            {"label_names": ["nobody"]},
            "spec.params.metrics[0].label_names[0]: shop/hits has no dimension nobody",
        ),
        ({"name": "a-b"}, 'spec.params.metrics[0].name: "istio_a-b" is no name of a metric'),
        (
            {"instance_name": "other"},
            "spec.params.metrics: none has instance_name shop/hits, which a rule sends",
        ),
        ({"kind": "SOUND"}, "spec.params.metrics[0].kind: must be one of COUNTER, GAUGE or DISTRIBUTION"),
        (
            {"buckets": {"explicit_buckets": {"bounds": [2.0, 1.0]}}},
            "spec.params.metrics[0].buckets: bounds must",
        ),
    ],
)
def test_metrics_of_prometheus(metric: dict[str, Any], problem: str) -> None:
    usual = {"name": "hits", "instance_name": "hits", "kind": "COUNTER", "label_names": ["code"]}
    hits = instance("hits", "metric", value="1", dimensions={"code": "response.code | 0"})
    assert problems(rule(("prom", "hits")), handler("prom", "prometheus", metrics=[usual]), hits) == []
    found = problems(
        rule(("prom", "hits")), handler("prom", "prometheus", metrics=[{**usual, **metric}]), hits
    )
    assert any(one.startswith(f"handler/shop/prom: {problem}") for one in found), found


@pytest.mark.parametrize(
    ("one", "path"),
    [
        (rule(match="a =="), "spec.match"),
        (rule(), "spec.actions"),
        (rule(("", "line")), "spec.actions[0].handler"),
        (handler("x", "nothing"), "spec.compiledAdapter"),
        (instance("x", "nothing"), "spec.compiledTemplate"),
        (
            obj("attributemanifest", "x", {"attributes": {"a b": {"valueType": "STRING"}}}),
            'spec.attributes["a b"]',
        ),
        (
            obj("attributemanifest", "x", {"attributes": {"request.size": {"valueType": "STRING"}}}),
            'spec.attributes["request.size"].valueType',
        ),
    ],
)
def test_one_object_alone(one: dict[str, Any], path: str) -> None:
    assert path in [problem.path for problem in alone(decode(one))]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"attributes": {"x": {"valueType": "TEXT"}}}, "spec.attributes.x.valueType"),
        ({"attributes": {"x": {}}}, "spec.attributes.x.valueType"),
    ],
)
def test_types_that_there_are_not(spec: dict[str, Any], path: str) -> None:
    with pytest.raises(Refused) as refusal:
        decode(obj("attributemanifest", "x", spec))
    assert [problem.path for problem in refusal.value.problems] == [path]


def test_an_adapter_that_fails_to_judge_is_a_problem() -> None:
    lists = handler("out", "listchecker", provider_url="http://[")
    assert any("spec.params: the adapter cannot judge them" in one for one in problems(lists))
    assert [one.path for one in alone(decode(lists))] == ["spec.params"]
