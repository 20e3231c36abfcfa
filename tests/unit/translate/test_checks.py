"""Rules of mixerd as Envoy's filters: only where requests could be about them."""

from __future__ import annotations

import json
from typing import Any

import pytest
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
        message = ExtAuthz() if one.name.endswith("ext_authz") else RBAC()
        assert one.typed_config.Unpack(message)
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
        ((rule(), rule("quota", name="y")), False),
    ],
)
def test_open_or_closed(objects: tuple[str, ...], open_: bool) -> None:
    (found,) = filters(MIXERD, *objects)
    assert found.failure_mode_allow is open_
    nobody = filters(*objects)
    assert [one.rules.action for one in nobody] == ([] if open_ else [1]), "nobody is there to be asked"


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
