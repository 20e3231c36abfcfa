"""Which proxies a policy is for, and that its change is a matter of their listeners alone."""

from __future__ import annotations

from typing import Any

import pytest
from world_in_yaml import entry, proxy, snapshot, yaml

from artemon.model.proxy import ProxyType
from artemon.snapshot import impact
from artemon.snapshot.view import NO_POLICIES


def policy(namespace: str, **spec: Any) -> list[Any]:
    fields = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "spec": spec}
    return yaml(str({**fields, "metadata": {"name": "p", "namespace": namespace}}))


GATEWAY = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
EDGE = {"type": ProxyType.ROUTER, "labels": {"gateway.networking.k8s.io/gateway-name": "edge"}}


@pytest.mark.parametrize(
    ("namespace", "spec", "who", "chosen"),
    [
        ("istio-system", {}, {}, True),
        ("ns", {}, {}, True),
        ("other", {}, {}, False),
        ("ns", {"selector": {"matchLabels": {"app": "client"}}}, {}, True),
        ("ns", {"selector": {"matchLabels": {"app": "else"}}}, {}, False),
        ("ns", {"targetRefs": [GATEWAY]}, EDGE, True),
        ("ns", {"targetRefs": [GATEWAY]}, {}, False),
    ],
)
def test_who_is_chosen(namespace: str, spec: dict[str, Any], who: dict[str, Any], chosen: bool) -> None:
    view = snapshot(*policy(namespace, **spec)).view(proxy(**who))
    assert (view.policies is not NO_POLICIES) == chosen


def test_a_change_touches_listeners_of_the_chosen_alone() -> None:
    before, after = snapshot(entry("a", "a.example")), snapshot(entry("a", "a.example"), *policy("ns"))
    near, far = proxy(), proxy(namespace="far")
    assert before.view(far).policies is after.view(far).policies
    assert after.view(near).policies.authorization[0].meta.name == "p"
    assert impact.types(impact.ChangeSet(kinds=frozenset({"AuthorizationPolicy"}), endpoints_only=False)) == {
        "LDS"
    }
