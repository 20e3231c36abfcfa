"""Rules of mixerd as Envoy's filters: only where requests could be about them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from envoy.extensions.common.matching.v3.extension_matcher_pb2 import ExtensionWithMatcher
from envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import ExtAuthz
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC
from translate_mesh import service_entry, view_of

from artemon.translate.checks import check_filters

MIXERD = service_entry("mixerd.artemon-system.svc.cluster.local", [(15004, "GRPC")], "artemon-system")
REVIEWS = {"name": "reviews-1", "namespace": "default", "labels": {"app": "reviews", "version": "v2"}}


def obj(kind: str, name: str, spec: dict[str, Any], namespace: str) -> str:
    meta = {"name": name, "namespace": namespace}
    return json.dumps(
        {"apiVersion": "config.istio.io/v1alpha2", "kind": kind, "metadata": meta, "spec": spec}
    )


def rule(
    template: str = "checknothing", match: str = "", namespace: str = "default", name: str = "x", **more: Any
) -> str:
    actions = [{"handler": "h", "instances": [name]}]
    objects = [
        obj("rule", name, {"match": match, "actions": actions, **more}, namespace),
        obj("instance", name, {"compiledTemplate": template}, namespace),
    ]
    return "\n---\n".join(objects)


def filters(*objects: str, proxy: dict[str, Any] | None = None) -> list[Any]:
    found = []
    for one in check_filters(view_of("\n---\n".join(objects), proxy or REVIEWS)):
        message = ExtAuthz() if "ext_authz" in one.name else RBAC()
        narrow = ExtensionWithMatcher()
        body = narrow.extension_config.typed_config if one.typed_config.Unpack(narrow) else one.typed_config
        assert body.Unpack(message)
        found.append(message)
    return found


def test_one_question_for_all_rules() -> None:
    (found,) = filters(MIXERD, rule(), rule(name="y", namespace="istio-system"))
    assert found.grpc_service.envoy_grpc.cluster_name == (
        "outbound|15004||mixerd.artemon-system.svc.cluster.local"
    )
    assert not found.failure_mode_allow
    told = {one.key: one.value for one in found.grpc_service.initial_metadata}
    assert told == {"artemon-service": "reviews", "artemon-version": "v2"}


@pytest.mark.parametrize(
    ("one", "asked"),
    [
        (rule("logentry"), False),
        (rule(namespace="other"), False),
        (rule(match='destination.service.name == "reviews"'), True),
        (rule(match='destination.service.name == "ratings"'), False),
        (rule(match='destination.labels["version"] == "v1" && request.method == "GET"'), False),
        (rule(match='destination.labels["tier"] == "gold"'), False),
        (rule(match='destination.service.host == "reviews.default.svc.cluster.local"'), True),
        (rule(match='context.reporter.kind == "outbound"'), False),
        (rule(match='request.headers["x"] == "y"'), True),
        (rule(match='ours.own == "x"'), True),
        (rule(match='source.namespace != "default"'), True),
    ],
)
def test_nobody_is_asked_for_nothing(one: str, asked: bool) -> None:
    assert bool(filters(MIXERD, one)) is asked


@pytest.mark.parametrize(
    ("objects", "open_"),
    [
        ((rule(),), False),
        ((rule("quota"),), True),
        ((rule("quota", failOpen=False),), False),
        ((rule(failOpen=True), rule("quota", name="y")), True),
        ((rule("quota", match='request.path == "/a"'),), True),
        ((rule(match='request.path == "/a"'),), False),
        ((rule(), rule("quota", name="y")), False),
    ],
)
def test_open_or_closed(objects: tuple[str, ...], open_: bool) -> None:
    (found,) = filters(MIXERD, *objects)
    assert found.failure_mode_allow is open_
    nobody = filters(*objects)
    assert [one.rules.action for one in nobody] == ([] if open_ else [1]), "nobody is there to be asked"


def skipped(*objects: str) -> list[Any]:
    """For which requests each filter is skipped; None: for none."""
    found: list[Any] = []
    for one in check_filters(view_of("\n---\n".join(objects), REVIEWS)):
        narrow = ExtensionWithMatcher()
        wrapped = one.typed_config.Unpack(narrow)
        found.append(_shown(narrow.xds_matcher.matcher_list.matchers[0].predicate) if wrapped else None)
    return found


def _shown(condition: Any) -> Any:
    kind = condition.WhichOneof("match_type")
    if kind == "not_matcher":
        return f"not {_shown(condition.not_matcher)}"
    if kind == "single_predicate":
        test = condition.single_predicate.value_match
        way = test.WhichOneof("match_pattern")
        return f"{condition.single_predicate.input.name} {way} {getattr(test, way)}"
    joined = f" {kind.partition('_')[0]} ".join(map(_shown, getattr(condition, kind).predicate))
    return f"({joined})"


@pytest.mark.parametrize(
    ("match", "condition"),
    [
        ("", None),
        ('request.path == "/a"', "not :path exact /a"),
        ('"/a" == request.path', "not :path exact /a"),
        (
            'match(request.path, "/a*") && request.method == "GET"',
            "not (:path prefix /a and :method exact GET)",
        ),
        ('match(request.headers["x"], "*z")', "not x suffix z"),
        (
            'request.path.startsWith("/a") || request.path.endsWith(".b")',
            "not (:path prefix /a or :path suffix .b)",
        ),
        ('destination.service.name == "reviews" && match(request.path, "/a*")', "not :path prefix /a"),
        ('source.namespace == "shop" || request.path == "/a"', None),
        ('request.path != "/a"', None),
        ('(request.headers["x"] | "y") == "y"', None),
        ('request.headers["X"] == "y"', None),
        ('request.headers[":path"] == "y"', None),
        ('request.path.startsWith("/a!")', None),
        ('match(request.path, "*")', None),
        ('"/a.*".matches(request.path)', None),
        ('request.url_path == "/a"', None),
    ],
)
def test_only_requests_that_a_rule_could_be_about_wait(match: str, condition: str | None) -> None:
    assert skipped(MIXERD, rule(match=match)) == [condition]
    assert skipped(rule(match=match)) == [condition], "nor are others refused while there is no mixerd"
    assert skipped(MIXERD, rule("quota", match=match)) == [condition]


def test_a_check_closes_what_it_could_be_about_and_nothing_else() -> None:
    check = rule(match='match(request.path, "/a*")')
    quota = rule("quota", match='match(request.path, "/b*")', name="y")
    assert skipped(MIXERD, check, quota) == [
        "not :path prefix /a",
        "(:path prefix /a or not :path prefix /b)",
    ]
    assert [one.failure_mode_allow for one in filters(MIXERD, check, quota)] == [False, True]
    assert skipped(MIXERD, check, rule("quota", name="y")) == ["not :path prefix /a", ":path prefix /a"]
    assert skipped(MIXERD, rule(), quota) == [None], "one question is enough"
    assert skipped(check, quota) == ["not :path prefix /a"], "nobody is there: the quota lets go on"


def test_what_is_shown_to_gateways_is_no_identity_of_the_mesh() -> None:
    gateway = {
        "type": "router",
        "name": "edge",
        "namespace": "default",
        "labels": {"istio": "ingressgateway"},
    }
    (found,) = filters(MIXERD, rule(), proxy=gateway)
    assert not found.include_peer_certificate
    (sidecar,) = filters(MIXERD, rule())
    assert sidecar.include_peer_certificate
