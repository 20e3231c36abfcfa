"""Calls with known outcomes from Istio's own tests, through `meshctl explain` and `meshctl translate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from corpus import CORPUS

from meshctl.__main__ import meshctl

KNOWN = (("known", "default"), ("alt-known", "default"), ("not-default", "not-default"))
"""The services that the route cases are about."""


def cases(name: str) -> list[Any]:
    path = CORPUS / name
    if not path.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{path} is not there"))]
    return [pytest.param(case, id=case["id"]) for case in json.loads(path.read_text())]


def full_name(cluster: Any) -> Any:
    """Istio's tests have no DNS domain, so that `reviews` is `reviews.default` there; a mesh has one."""
    host = cluster.rsplit("|", 1)[-1] if isinstance(cluster, str) else ""
    return f"{cluster}.svc.cluster.local" if host.count(".") == 1 and host.endswith(".default") else cluster


def run(command: str, folder: Path, config: str, **files: Any) -> dict[str, Any]:
    """The JSON that a command prints for a mesh and the files that its options name."""
    mesh = folder / "mesh.yaml"
    mesh.write_text(config)
    arguments = [command, "-f", str(mesh)]
    for option, content in files.items():
        path = folder / f"{option}.json"
        path.write_text(json.dumps(content))
        arguments += [f"--{option.replace('_', '-')}", str(path)]
    result = CliRunner().invoke(meshctl, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("case", cases("simulation.json"))
def test_calls_reach_what_they_should(case: dict[str, Any], tmp_path: Path) -> None:
    config = f"{case['config']}\n---\n{case.get('kubeConfig') or ''}"
    files = {"mesh_config": case["meshConfig"]} if case.get("meshConfig") else {}
    for one in case["calls"]:
        found = run("explain", tmp_path, config, proxy=case["proxy"], call=one["call"], **files)
        expected = {key: full_name(value) for key, value in one["expect"].items() if key != "strict"}
        assert {key: found.get(key) for key in expected} == expected, (one["name"], found)
        assert found.get("error") == expected.get("error"), one["name"]


def known_services() -> str:
    found = []
    for number, (name, namespace) in enumerate(KNOWN):
        ports = [{"name": f"http-{port}", "port": port} for port in (80, 8080)]
        meta = {"name": name, "namespace": namespace}
        spec = {"clusterIP": f"2.0.0.{number}", "ports": ports}
        found.append({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    return "\n---\n".join(map(json.dumps, found))


@pytest.mark.parametrize("case", cases("simulation-routes.json"))
def test_hosts_go_to_the_clusters_they_should(case: dict[str, Any], tmp_path: Path) -> None:
    config = f"{case['config']}\n---\n{known_services()}"
    tables = run("translate", tmp_path, config, proxy=case["proxy"])["routes"]
    hosts = [h for t in tables if t["name"] == case["routeName"] for h in t.get("virtualHosts", ())]
    by_domain = {domain: host for host in hosts for domain in host["domains"]}
    for domain, clusters in (case["expected"] or {}).items():
        found = by_domain.get(domain)
        assert (found and [one["route"].get("cluster") for one in found["routes"]]) == clusters, domain
