"""Policies that mean something else on TCP ports, and authorizers that nobody has, are told."""

from __future__ import annotations

from typing import Any

import pytest

from artemon.model.decode import decode
from artemon.model.mesh_config import MeshConfig
from artemon.model.proxy import WorkloadPort
from artemon.model.service import Protocol
from artemon.model.workload import Workload
from artemon.validate.exposure import TcpPort, tcp_ports
from artemon.validate.policy_reach import unmet

DB = TcpPort("shop", {"app": "db"}, 3306, "db.shop", "db-entry")
CACHE = TcpPort("shop", {"app": "cache"}, 6379, "cache.shop")
FAR = TcpPort("far", {"app": "db"}, 5432, "pg.far")
AUTHORIZER = {"service": "authz.shop.svc.cluster.local", "port": 9000}
MESH = MeshConfig.model_validate(
    {
        "extensionProviders": [
            {"name": "http", "envoyExtAuthzHttp": AUTHORIZER},
            {"name": "grpc", "envoyExtAuthzGrpc": AUTHORIZER},
            {"name": "traces", "zipkin": {"service": "zipkin", "port": 9411}},
        ]
    }
)


def told(
    *rules: dict[str, Any], action: str = "ALLOW", namespace: str = "shop", **spec: Any
) -> dict[str, str]:
    policy: Any = decode(
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": "p", "namespace": namespace},
            "spec": {"action": action, "rules": list(rules), **spec},
        }
    )
    return dict(unmet(policy, (DB, CACHE, FAR), MESH))


def to(**operation: Any) -> dict[str, Any]:
    return {"to": [{"operation": operation}]}


BOTH = "port 6379 of cache.shop, port 3306 of db.shop"
REST = "every connection that the rest of it matches on"


@pytest.mark.parametrize(
    ("rule", "action", "text"),
    [
        pytest.param(
            to(methods=["GET"]),
            "ALLOW",
            f"(methods), which TCP does not show: the rule allows nothing on {BOTH}",
            id="allow",
        ),
        pytest.param(to(notPaths=["/a"]), "DENY", f"the rule denies {REST} {BOTH}", id="deny"),
        pytest.param(to(hosts=["a"]), "AUDIT", f"the rule logs {REST} {BOTH}", id="audit"),
        pytest.param(
            to(methods=["GET"], ports=["3306"]), "ALLOW", "nothing on port 3306 of db.shop", id="port"
        ),
        pytest.param(to(methods=["GET"], notPorts=["3306"]), "DENY", f"{REST} port 6379 of", id="not-port"),
        pytest.param(
            {
                "when": [
                    {"key": "request.headers[x-a]", "values": ["b"]},
                    {"key": "destination.port", "values": ["6379"]},
                ]
            },
            "DENY",
            f"(request.headers[x-a]), which TCP does not show: the rule denies {REST} port 6379 of cache",
            id="when",
        ),
        pytest.param(
            {"from": [{"source": {"notRequestPrincipals": ["*"]}}]},
            "ALLOW",
            "(notRequestPrincipals), which",
            id="source",
        ),
        pytest.param(
            {
                "to": [
                    {"operation": {"methods": ["GET"], "ports": ["80"]}},
                    {"operation": {"ports": ["3306"]}},
                ]
            },
            "ALLOW",
            "allows nothing on port 3306",
            id="one-operation-makes-the-whole-rule-void",
        ),
    ],
)
def test_what_tcp_does_not_show(rule: dict[str, Any], action: str, text: str) -> None:
    (found,) = told(rule, action=action).values()
    assert text in found


@pytest.mark.parametrize(
    ("rule", "more"),
    [
        pytest.param(to(methods=["GET"], ports=["8080"]), {}, id="no-tcp-port"),
        pytest.param(to(ports=["3306"]), {}, id="tcp-alone"),
        pytest.param(
            {"from": [{"source": {"namespaces": ["shop"], "remoteIpBlocks": ["10.0.0.0/8"]}}]},
            {},
            id="callers-that-tcp-shows",
        ),
        pytest.param(
            to(methods=["GET"]), {"selector": {"matchLabels": {"app": "web"}}}, id="other-workloads"
        ),
        pytest.param(to(methods=["GET"]), {"namespace": "near"}, id="other-namespace"),
        pytest.param(
            {
                "to": [
                    {"operation": {"methods": ["GET"], "ports": ["80"]}},
                    {"operation": {"ports": ["3306"]}},
                ]
            },
            {"action": "DENY"},
            id="the-other-operation-names-the-port",
        ),
    ],
)
def test_what_is_as_it_reads(rule: dict[str, Any], more: dict[str, Any]) -> None:
    assert told(rule, **more) == {}


def test_where_a_policy_is_in_force() -> None:
    everywhere = told(to(methods=["GET"]), namespace="istio-system")["spec.rules[0]"]
    assert everywhere.endswith(f"{BOTH}, port 5432 of pg.far")
    entry = {"group": "networking.istio.io", "kind": "ServiceEntry", "name": "db-entry"}
    assert told(to(methods=["GET"]), targetRefs=[entry])["spec.rules[0]"].endswith("on port 3306 of db.shop")
    service = {"group": "", "kind": "Service", "name": "cache"}
    assert told(to(methods=["GET"]), targetRef=service)["spec.rules[0]"].endswith(
        "on port 6379 of cache.shop"
    )


@pytest.mark.parametrize(
    ("name", "path", "text"),
    [
        (
            "nobody",
            "spec.provider.name",
            'MeshConfig has no extensionProvider "nobody"; what the rules match is',
        ),
        ("traces", "spec.provider.name", 'extensionProvider "traces" is no authorizer'),
        (
            "http",
            "spec.rules[0]",
            f"the provider speaks HTTP: whatever the rule matches is refused on {BOTH}",
        ),
        ("grpc", "spec.rules[0]", f"the rule asks about {REST} {BOTH}"),
    ],
)
def test_authorizers(name: str, path: str, text: str) -> None:
    found = told(to(methods=["GET"]), action="CUSTOM", provider={"name": name})
    assert list(found) == [path]
    assert text in found[path]


def test_ports_of_workloads() -> None:
    def entry(**spec: Any) -> dict[str, Any]:
        ports = [
            {"number": 1, "name": "tcp", "protocol": "mysql"},
            {"number": 2, "name": "web", "protocol": "HTTP"},
        ]
        made = {"hosts": ["a"], "location": "MESH_INTERNAL", "ports": ports, **spec}
        return {"metadata": {"name": "e", "namespace": "shop"}, "spec": made}

    chosen = {"workloadSelector": {"labels": {"app": "a"}}}
    machine = {"metadata": {"namespace": "shop"}, "spec": {"labels": {"app": "a"}, "ports": {"tcp": 11}}}
    stranger = {"metadata": {"namespace": "far"}, "spec": {"labels": {"app": "a"}}}
    listed = entry(
        endpoints=[{"address": "1.1.1.1", "labels": {"app": "b"}}, "broken", {"ports": {"tcp": "x"}}]
    )
    entries = (
        entry(**chosen),
        listed,
        entry(location="MESH_EXTERNAL", **chosen),
        {"spec": None},
        {"spec": {"ports": 1}},
    )
    ports = (WorkloadPort(3, "db", Protocol.REDIS, 13, 23), WorkloadPort(4, "http", Protocol.HTTP, 4, 4))
    joined = Workload("n.shop", "shop", "db", "1.1.1.2", ports, labels={"app": "a"})
    found = tcp_ports(entries, (machine, stranger), (joined,))
    assert [(one.port, one.service, dict(one.labels)) for one in found] == [
        (13, "db.shop", {"app": "a"}),
        (11, "a", {"app": "a"}),
        (1, "a", {"app": "a"}),
        (1, "a", {"app": "b"}),
    ]
