"""Which Secrets of a cluster are read: those that configuration names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from artemon.model.kinds import ALL_KINDS
from artemon.store.api import Entry
from galleyd.clusters.named_secrets import NAMING, Names
from galleyd.keys import Keys

KEYS = Keys()


def server(mode: str = "SIMPLE", **tls: Any) -> dict[str, Any]:
    return {
        "port": {"number": 443, "name": "s", "protocol": "HTTPS"},
        "hosts": ["*"],
        "tls": {"mode": mode, **tls},
    }


def entry(kind: str, spec: Any, *, version: int = 1, namespace: str = "shop") -> Entry:
    group, _, name = kind.rpartition("/")
    found = next(one for one in ALL_KINDS if one.name == name and one.group.startswith(group))
    meta = {"name": "x", "namespace": namespace}
    value = {"apiVersion": found.api_version, "kind": name, "metadata": meta, "spec": spec}
    return Entry(KEYS.layout.config(found.collection, namespace, "x"), json.dumps(value).encode(), version)


def looked(*entries: Entry) -> Names:
    names = Names([KEYS.collection(kind) for kind in NAMING])
    names.look(entries)
    return names


ISTIO, API = "networking.istio.io/Gateway", "gateway.networking.k8s.io/Gateway"
RULE = {"host": "web", "trafficPolicy": {"tls": {"mode": "MUTUAL", "credentialName": "client"}}}


@pytest.mark.parametrize(
    ("kind", "spec", "named", "not_named"),
    [
        pytest.param(
            ISTIO,
            {"servers": [server(credentialName="web")]},
            {("any", "web")},
            {("any", "web-cacert"), ("any", "other")},
            id="gateway",
        ),
        pytest.param(
            ISTIO,
            {"servers": [server("MUTUAL", credentialName="web")]},
            {("any", "web"), ("any", "web-cacert")},
            set(),
            id="mutual",
        ),
        pytest.param(
            ISTIO,
            {"servers": [server(credentialNames=["a", "kubernetes-gateway://lent/b"])]},
            {("any", "a"), ("lent", "b")},
            {("any", "b")},
            id="several",
        ),
        pytest.param(
            "DestinationRule",
            RULE,
            {("shop", "client"), ("shop", "client-cacert")},
            {("any", "client")},
            id="client",
        ),
        pytest.param(
            "Ingress", {"tls": [{"secretName": "web"}]}, {("any", "web")}, {("any", "x")}, id="ingress"
        ),
        pytest.param(
            API,
            {
                "gatewayClassName": "istio",
                "listeners": [
                    {
                        "name": "l",
                        "port": 443,
                        "protocol": "HTTPS",
                        "tls": {"certificateRefs": [{"name": "a"}, {"name": "b", "namespace": "lent"}]},
                    }
                ],
            },
            {("shop", "a"), ("lent", "b")},
            {("any", "a"), ("shop", "b")},
            id="gateway-api",
        ),
        pytest.param(ISTIO, {"servers": 7}, set(), {("any", "web")}, id="not-readable"),
        pytest.param("VirtualService", {"hosts": ["web"]}, set(), {("any", "web")}, id="another-kind"),
    ],
)
def test_what_is_named(kind: str, spec: Any, named: set[Any], not_named: set[Any]) -> None:
    names = looked(entry(kind, spec))
    assert [key for key in named if not names.has(*key)] == []
    assert [key for key in not_named if names.has(*key)] == []


def test_what_is_named_no_longer_is_forgotten() -> None:
    names = looked(entry(ISTIO, {"servers": [server(credentialName="old")]}))
    names.look([entry(ISTIO, {"servers": [server(credentialName="new")]}, version=2)])
    assert (names.has("any", "old"), names.has("any", "new")) == (False, True)
    names.look([])
    assert not names.has("any", "new")
