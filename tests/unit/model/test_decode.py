"""Objects in, resources or every reason out."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from istio_objects import JSON, objects

from artemon.errors import Refused
from artemon.model import kinds
from artemon.model.decode import decode, encode, load_json


def virtual_service(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "bookinfo"},
        "spec": {"hosts": ["reviews"], **spec},
    }


def refusal(obj: Any) -> dict[str, str]:
    with pytest.raises(Refused) as refused:
        decode(obj)
    return {problem.path: problem.message for problem in refused.value.problems}


@pytest.mark.parametrize(
    ("spec", "path", "reason"),
    [
        pytest.param({"htttp": []}, "spec.htttp", 'unknown field (did you mean "http"?)', id="unknown-field"),
        pytest.param({"export_to": ["*"]}, "spec.export_to", "unknown field", id="snake-case"),
        pytest.param(
            {"hosts": "reviews"}, "spec.hosts", 'must be a list, not text ("reviews")', id="no-list"
        ),
        pytest.param({"hosts": [1]}, "spec.hosts[0]", "not a whole number (1)", id="number-for-text"),
        pytest.param({"hosts": [None]}, "spec.hosts[0]", "not null", id="null-in-list"),
        pytest.param({"http": None}, "spec.http", "must not be null; leave the field out", id="null-field"),
        pytest.param({"http": [{"timeout": "5"}]}, "spec.http[0].timeout", "is not a duration", id="no-unit"),
        pytest.param({"http": [{"timeout": 5}]}, "spec.http[0].timeout", "in quotes", id="duration-number"),
        pytest.param(
            {"http": [{"retries": {"attempts": 2**31}}]},
            "spec.http[0].retries.attempts",
            "must be 2147483647 or less",
            id="int32",
        ),
        pytest.param(
            {"http": [{"retries": {"attempts": True}}]},
            "spec.http[0].retries.attempts",
            "must be a whole number, not a boolean (true)",
            id="boolean-for-number",
        ),
        pytest.param(
            {"http": [{"route": [{"weight": 1}]}]},
            "spec.http[0].route[0].destination",
            "is required",
            id="required",
        ),
        pytest.param(
            {"http": [{"match": [{"headers": {"x.y": None}}]}]},
            'spec.http[0].match[0].headers["x.y"]',
            "must be a mapping, not null",
            id="null-in-map",
        ),
        pytest.param(
            {"http": [{"match": [{"uri": {"exact": "/", "prefix": "/"}}]}]},
            "spec.http[0].match[0].uri",
            "only one of exact, prefix may be set",
            id="oneof",
        ),
        pytest.param(
            {"http": [{"corsPolicy": {"unmatchedPreflights": "NEVER"}}]},
            "spec.http[0].corsPolicy.unmatchedPreflights",
            "must be one of UNSPECIFIED, FORWARD or IGNORE",
            id="enum",
        ),
    ],
)
def test_spec_is_refused(spec: dict[str, Any], path: str, reason: str) -> None:
    assert reason in refusal(virtual_service(**spec))[path]


def test_every_problem_is_told_at_once() -> None:
    obj = virtual_service(hosts=[1], http=[{"timeout": "x", "nam": "y", "route": [{}]}])
    obj["metadata"] |= {"name": "Reviews", "lables": {}}
    obj["sepc"] = {}
    assert set(refusal(obj)) == {
        "sepc",
        "metadata.lables",
        "metadata.name",
        "spec.hosts[0]",
        "spec.http[0].timeout",
        "spec.http[0].nam",
        "spec.http[0].route[0].destination",
    }


@pytest.mark.parametrize(
    ("change", "path"),
    [
        pytest.param({"apiVersion": "networking.istio.io/v2"}, "apiVersion", id="version"),
        pytest.param({"apiVersion": "security.istio.io/v1"}, "apiVersion", id="group"),
        pytest.param({"apiVersion": None}, "apiVersion", id="no-version"),
        pytest.param({"kind": "VirtualServce"}, "kind", id="kind"),
        pytest.param({"kind": "Policy"}, "kind", id="retired-kind"),
        pytest.param({"metadata": None}, "metadata", id="no-metadata"),
        pytest.param({"metadata": {}}, "metadata.name", id="no-name"),
        pytest.param({"metadata": {"name": "a/b"}}, "metadata.name", id="slash-in-name"),
        pytest.param({"metadata": {"name": "a" * 254}}, "metadata.name", id="long-name"),
        pytest.param({"metadata": {"name": "a", "namespace": "a.b"}}, "metadata.namespace", id="namespace"),
        pytest.param({"metadata": {"name": "a", "labels": {"b": 1}}}, "metadata.labels.b", id="label-number"),
        pytest.param(
            {"metadata": {"name": "a", "labels": {"b": "-"}}}, "metadata.labels.b", id="label-value"
        ),
        pytest.param(
            {"metadata": {"name": "a", "annotations": {"/": "x"}}}, 'metadata.annotations["/"]', id="key"
        ),
        pytest.param({"metadata": {"name": "a", "generation": "1"}}, "metadata.generation", id="generation"),
        pytest.param({"status": []}, "status", id="status"),
        pytest.param({"spec": None}, "spec", id="null-spec"),
    ],
)
def test_envelope_is_refused(change: dict[str, Any], path: str) -> None:
    assert path in refusal({**virtual_service(), **change})


def test_missing_spec_is_refused_only_where_fields_are_required() -> None:
    meta = {"metadata": {"name": "a"}}
    assert decode({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", **meta}).spec
    assert "spec" in refusal({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry", **meta})


def test_a_wrapper_may_be_null_as_in_istio_schema() -> None:
    tls = {"tls": {"mode": "SIMPLE", "insecureSkipVerify": None}}
    rule = {"host": "a", "trafficPolicy": tls}
    obj = {**virtual_service(), "kind": "DestinationRule", "spec": rule}
    assert encode(decode(obj))["spec"] == rule


@pytest.mark.parametrize("kind", kinds.KINDS, ids=lambda kind: kind.name)
def test_every_version_of_a_kind_is_accepted_and_shown_in_the_preferred_one(kind: kinds.Kind) -> None:
    for version in kind.versions:
        spec = {name: _sample(kind, name) for name in kind.spec.required}
        obj = {
            "apiVersion": f"{kind.group}/{version}",
            "kind": kind.name,
            "metadata": {"name": "a"},
            "spec": spec,
        }
        assert encode(decode(obj, namespace="x"))["apiVersion"] == kind.api_version


def _sample(kind: kinds.Kind, name: str) -> Any:
    samples = {"hosts": ["a.b"], "template": {}}
    return samples.get(name, "a")


def test_metadata_survives() -> None:
    meta = {
        "name": "reviews",
        "namespace": "bookinfo",
        "labels": {"app.kubernetes.io/name": "reviews"},
        "annotations": {"note": "x" * 300},
        "uid": "u",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 3,
        "resourceVersion": "7",
        "finalizers": ["x"],
        "managedFields": [{"manager": "kubectl"}],
    }
    assert encode(decode({**virtual_service(), "metadata": meta}))["metadata"] == meta


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param('{"a": 1, "a": 2}', 'key "a" is given twice', id="duplicate-key"),
        pytest.param('{"a": {"b": 1, "b": 2}}', 'key "b" is given twice', id="inner-duplicate"),
        pytest.param('{"a": NaN}', "NaN is not a number", id="nan"),
        pytest.param("{", "is not JSON", id="syntax"),
        pytest.param("[" * 100_000, "is not JSON", id="deep"),
        pytest.param("[" * 70 + "]" * 70, "more than 64 levels", id="too-deep"),
        pytest.param(json.dumps({"a": "x" * 300_000}), "256 KiB", id="too-large"),
    ],
)
def test_json_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        load_json(text)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(objects())
def test_what_was_written_comes_back(obj: dict[str, Any]) -> None:
    resource = decode(obj)
    shown = encode(resource)
    assert shown["spec"] == obj["spec"]
    assert decode(shown) == resource


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(JSON)
def test_arbitrary_json_is_refused_and_nothing_else(value: Any) -> None:
    with pytest.raises(Refused):
        decode(value)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(objects(), st.data())
def test_a_damaged_object_is_refused_or_decoded(obj: dict[str, Any], data: st.DataObject) -> None:
    place: Any = obj
    while isinstance(place, (dict, list)) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if data.draw(st.booleans()):
            place[key] = data.draw(JSON)
            break
        place = place[key]
    with suppress(Refused):
        assert decode(obj).kind in kinds.KINDS
