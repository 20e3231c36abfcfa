"""The chart by a real Helm, and every object of an installation before a real API server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_server import KubeApi
from servers import find_helm

from meshctl.commands.install import PLACES
from meshctl.install.manifests import everything
from meshctl.install.values import Values

CHART = Path(__file__).parents[3] / "deploy" / "kubernetes"
OTHER = {
    "global": {"hub": "registry.example/mesh", "tag": "7"},
    "imagePullSecrets": [{"name": "pull"}],
    "citadeld": {"secrets": "shop", "authority": "files:/etc/cacerts", "replicas": 2},
    "galleyd": {"secrets": "*"},
    "pilotd": {"remotes": "istio-system"},
    "mixerd": {"enabled": False},
    "cni": {"enabled": True, "binDir": "/home/kubernetes/bin", "excludeNamespaces": "infra,build"},
    "gateway": {"namespace": "edge", "serviceType": "NodePort", "resources": {"limits": {"cpu": "2"}}},
    "meshConfig": {"accessLogFile": "/dev/stdout"},
}


def helm(*arguments: str) -> str:
    """What Helm prints; it must succeed. Skips without one."""
    program = find_helm()
    if program is None:
        pytest.skip("no helm: `.ci/servers helm` builds it from its Go module")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, ...], Any]:
    """Objects by what they are; YAML within them as what it says."""
    made = {}
    for one in objects:
        metadata = one["metadata"]
        if one["kind"] == "ConfigMap":
            one = {**one, "data": {name: yaml.safe_load(text) for name, text in one["data"].items()}}
        made[one["kind"], metadata.get("namespace", ""), metadata["name"]] = one
    assert len(made) == len(objects)
    return made


def rendered(*flags: str) -> list[dict[str, Any]]:
    text = helm("template", "artemon", str(CHART), "--kube-version", "1.34.1", *flags)
    return [one for one in yaml.load_all(text, yaml.CSafeLoader) if one]


def test_the_chart_is_clean() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_by_default_it_is_what_meshctl_prints() -> None:
    command = [sys.executable, "-m", "meshctl", "install", "--dry-run"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert by_name(rendered()) == by_name(list(yaml.load_all(printed, yaml.CSafeLoader)))


def test_values_mean_the_same_to_both(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(OTHER))
    assert by_name(rendered("--values", str(file))) == by_name(everything(Values(OTHER)))


def test_a_misspelt_value_is_refused() -> None:
    with pytest.raises(AssertionError, match="replica"):
        helm("template", "artemon", str(CHART), "--kube-version", "1.34.1", "--set", "pilotd.replica=3")


@pytest.mark.kube
@pytest.mark.timeout(300)
def test_the_api_server_takes_every_object(kube: KubeApi) -> None:
    """Field by field: an unknown one would be an error."""
    for name in ("artemon-system", "artemon-ingress", "istio-system"):
        kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
    told = {
        "citadeld": {"secrets": "*"},
        "galleyd": {"secrets": "*"},
        "pilotd": {"remotes": "istio-system"},
        "cni": {"enabled": True},
    }
    objects = everything(Values(told))
    for one in objects:
        if one["kind"] == "Namespace":
            continue
        place = PLACES[one["kind"]].format(namespace=one["metadata"].get("namespace", ""))
        made = kube.create(f"{place}?dryRun=All&fieldValidation=Strict", one)
        assert made["metadata"]["name"] == one["metadata"]["name"]
    assert {one["kind"] for one in objects} >= {
        "DaemonSet",
        "Role",
        "Deployment",
        "StatefulSet",
        "PodDisruptionBudget",
        "Service",
    }
