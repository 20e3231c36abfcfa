"""References to what is not there are warned of, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from artemon.model.decode import decode
from artemon.model.mesh_config import MeshConfig
from artemon.validate.references import dangling

HTTP = {"route": [{"destination": {"host": "web", "subset": "v1"}}]}


class All:
    """A mesh with one gateway, one host outside and the subsets of one service."""

    whole = True

    def gateways(self) -> set[str]:
        return {"shop/edge", "shop/closed"}

    def hosts(self) -> set[str]:
        return {"api.example.com", "*.wild.com"}

    def subsets(self) -> dict[str, set[str]]:
        return {"web.shop.svc.cluster.local": {"v1", "v2"}, "*.wild.com": {"any"}}

    def tcp_ports(self) -> tuple[()]:
        return ()

    def secrets(self) -> set[tuple[str, str]]:
        return {("edge", "shop-tls")}

    def way_out(self, gateway: str) -> str:
        return f"{gateway} has no door" if gateway == "shop/closed" else ""

    def mesh(self) -> MeshConfig:
        return MeshConfig()


class Nothing:
    """Nobody knows anything."""

    whole = False

    def gateways(self) -> None:
        return None

    def secrets(self) -> None:
        return None

    def way_out(self, gateway: str) -> str:
        return ""

    def hosts(self) -> None:
        return None

    def subsets(self) -> None:
        return None

    def tcp_ports(self) -> None:
        return None

    def mesh(self) -> None:
        return None


def obj(kind: str, spec: dict[str, Any], **annotations: str) -> Any:
    meta = {"name": "x", "namespace": "shop", "annotations": annotations}
    return decode({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec})


def service(**spec: Any) -> Any:
    return obj("VirtualService", {"hosts": ["a.com"], "http": [HTTP], **spec})


def to(host: str, **more: str) -> dict[str, Any]:
    return {"route": [{"destination": {"host": host, **more}}]}


def secured(**tls: Any) -> Any:
    port = {"number": 443, "name": "https", "protocol": "HTTPS"}
    server = {"port": port, "hosts": ["a.com"], "tls": {"mode": "SIMPLE", **tls}}
    return obj("Gateway", {"selector": {"a": "b"}, "servers": [server]})


ABSENT = 'no namespace has a Secret "none"; connections to this server are refused until it is there'
WAY = {"artemon.io/egress-gateway": "shop/edge"}
NO_WAY = {"artemon.io/egress-gateway": "shop/none"}
SPEC = {
    "hosts": ["b.com"],
    "resolution": "DNS",
    "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
}
SUBSET = '"v9" is not a subset of web.shop.svc.cluster.local (known: v1, v2); calls get 503'


@pytest.mark.parametrize(
    ("one", "found"),
    [
        pytest.param(service(), [], id="fine"),
        pytest.param(service(gateways=["mesh", "edge", "shop/edge"]), [], id="gateways-that-are-there"),
        pytest.param(
            service(gateways=["edge", "none"]),
            [("spec.gateways[1]", "there is no Gateway shop/none; nothing is routed from there")],
            id="gateway",
        ),
        pytest.param(
            service(http=[to("web", subset="v9")]),
            [("spec.http[0].route[0].destination.subset", SUBSET)],
            id="subset",
        ),
        pytest.param(
            service(http=[{**to("web"), "mirror": {"host": "web", "subset": "v9"}}]),
            [("spec.http[0].mirror.subset", SUBSET)],
            id="subset-of-a-mirror",
        ),
        pytest.param(
            service(http=[to("new", subset="v1")]),
            [
                (
                    "spec.http[0].route[0].destination.subset",
                    '"v1" is not a subset of new.shop.svc.cluster.local (known: none); calls get 503',
                )
            ],
            id="subset-without-any-rule",
        ),
        pytest.param(service(http=[to("x.wild.com", subset="any")]), [], id="subset-of-a-wildcard"),
        pytest.param(service(http=[to("api.example.com")]), [], id="host-outside"),
        pytest.param(
            service(http=[to("other.example.com")]),
            [
                (
                    "spec.http[0].route[0].destination.host",
                    'no ServiceEntry has the host "other.example.com"; calls get 503',
                )
            ],
            id="unknown-host-outside",
        ),
        pytest.param(service(http=[to("joins.later.svc.cluster.local")]), [], id="host-that-may-join"),
        pytest.param(
            obj("DestinationRule", {"host": "nobody.com", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}}),
            [("spec.host", 'no ServiceEntry has the host "nobody.com"; the rule has no effect')],
            id="rule-for-nobody",
        ),
        pytest.param(obj("ServiceEntry", SPEC, **WAY), [], id="way-out"),
        pytest.param(
            obj("ServiceEntry", SPEC, **{"artemon.io/egress-gateway": "shop/closed"}),
            [("metadata.annotations[artemon.io/egress-gateway]", "shop/closed has no door; nobody gets out")],
            id="closed-way-out",
        ),
        pytest.param(secured(credentialName="shop-tls"), [], id="credential"),
        pytest.param(
            secured(credentialName="kubernetes-gateway://edge/shop-tls"), [], id="credential-by-url"
        ),
        pytest.param(secured(credentialName="configmap://x/y"), [], id="credential-of-another-kind"),
        pytest.param(
            secured(credentialNames=["shop-tls", "none"]),
            [("spec.servers[0].tls.credentialNames[1]", ABSENT)],
            id="credential-without-secret",
        ),
        pytest.param(
            obj("ServiceEntry", SPEC, **NO_WAY),
            [
                (
                    "metadata.annotations[artemon.io/egress-gateway]",
                    "there is no Gateway shop/none; nobody gets out",
                )
            ],
            id="no-way-out",
        ),
    ],
)
def test_references(one: Any, found: list[tuple[str, str]]) -> None:
    problems = list(dangling(one, All()))
    assert [(problem.path, problem.message) for problem in problems] == found
    assert {problem.level for problem in problems} <= {"warning"}
    assert list(dangling(one, Nothing())) == []
