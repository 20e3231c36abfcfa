"""Calls with known outcomes from Istio's own tests reach what they reach there, by walking our messages."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy_walk import Call, target, walk
from translate_mesh import view_of

from artemon.translate.listeners import listeners
from artemon.translate.routes import routes

CORPUS = Path(os.environ.get("ARTEMON_CORPUS") or Path(__file__).parents[4] / "shared" / "corpus")
OUT_OF_SCOPE = {
    "sidecar/TestPassthroughTraffic/ALLOW_ANY_DYNAMIC_DNS/novip": "ALLOW_ANY_DYNAMIC_DNS is not translated",
}


def cases(name: str) -> list[Any]:
    path = CORPUS / name
    if not path.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{path} is not there"))]
    found = [case for case in json.loads(path.read_text()) if not case.get("kubeConfig")]
    return [
        pytest.param(
            case,
            id=case["id"],
            marks=[pytest.mark.skip(reason=OUT_OF_SCOPE[case["id"]])] if case["id"] in OUT_OF_SCOPE else [],
        )
        for case in found
    ]


def full_name(cluster: Any) -> Any:
    """Istio's tests have no DNS domain, so that `reviews` is `reviews.default` there; a mesh has one."""
    host = cluster.rsplit("|", 1)[-1] if isinstance(cluster, str) else ""
    return f"{cluster}.svc.cluster.local" if host.count(".") == 1 and host.endswith(".default") else cluster


@pytest.mark.parametrize("case", cases("simulation.json"))
def test_calls_reach_what_they_should(case: dict[str, Any]) -> None:
    view = view_of(case["config"], case["proxy"], case.get("meshConfig"))
    found, tables = listeners(view), routes(view)
    for one in case["calls"]:
        call = Call(**one["call"])
        expected = {k: full_name(v) for k, v in one["expect"].items() if k != "strict"}
        reached = walk(found, tables, call)
        assert {key: reached.get(key) for key in expected} == expected, (one["name"], reached)


def known_services() -> str:
    """The services that the route cases are about."""
    found = []
    for number, (name, namespace) in enumerate(
        (("known", "default"), ("alt-known", "default"), ("not-default", "not-default"))
    ):
        ports = [{"name": f"http-{port}", "port": port} for port in (80, 8080)]
        found.append({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": f"2.0.0.{number}", "ports": ports},
        })  # fmt: skip
    return "\n---\n".join(map(json.dumps, found))


@pytest.mark.parametrize("case", cases("simulation-routes.json"))
def test_hosts_go_to_the_clusters_they_should(case: dict[str, Any]) -> None:
    view = view_of(f"{case['config']}\n---\n{known_services()}", case["proxy"])
    table = routes(view).get(case["routeName"], RouteConfiguration())
    by_domain = {domain: host for host in table.virtual_hosts for domain in host.domains}
    for domain, clusters in (case["expected"] or {}).items():
        found = by_domain.get(domain)
        assert (found and [target(route) for route in found.routes]) == clusters, domain
