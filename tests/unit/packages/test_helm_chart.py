"""An installation in a cluster: its values, what the daemons are told, and the chart made of the same."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from artemon.daemon.settings import load
from artemon.errors import Refused
from artemon.inject import read_config
from meshctl.install.chart import chart
from meshctl.install.manifests import everything
from meshctl.install.values import Values
from proxyd.cni.install import install

CHART = Path(__file__).parents[3] / "deploy" / "kubernetes"
DAEMONS = {
    "citadeld": "CitadelSettings",
    "galleyd": "GalleySettings",
    "pilotd": "PilotdSettings",
    "injectord": "InjectorSettings",
    "mixerd": "MixerSettings",
}


def found(told: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    return next(
        one for one in everything(Values(told)) if (one["kind"], one["metadata"]["name"]) == (kind, name)
    )


def container(name: str, told: dict[str, Any] | None = None) -> dict[str, Any]:
    kind = "StatefulSet" if name in {"citadeld", "galleyd"} else "Deployment"
    one: dict[str, Any] = found(told or {}, kind, name)["spec"]["template"]["spec"]["containers"][0]
    return one


def settings_of(name: str) -> Any:
    module = importlib.import_module(f"{name}.settings")
    return getattr(module, DAEMONS[name])


def test_the_chart_in_the_tree_is_the_one_that_is_made() -> None:
    for name, text in chart().items():
        assert (CHART / name).read_text() == text, f"{name} is not of now: run `make chart`"


@pytest.mark.parametrize("name", DAEMONS)
def test_daemons_take_what_they_are_told(name: str, tmp_path: Path) -> None:
    data = found({}, "ConfigMap", "artemon-injection")["data"]
    for file, text in data.items():
        (tmp_path / file).write_text(text)
    arguments = [one.replace("/etc/artemon/config", str(tmp_path)) for one in container(name)["args"]]
    flags = dict(one.removeprefix("--").split("=", 1) for one in arguments)
    flags = {key.replace("-", "_"): value for key, value in flags.items()}
    made = load(settings_of(name), name=name, file=None, environ={}, flags=flags)
    host, _, port = made.http.rpartition(":")
    assert (host, int(port)) == ("0.0.0.0", container(name)["readinessProbe"]["httpGet"]["port"])


@pytest.mark.parametrize("name", DAEMONS)
def test_services_lead_to_ports_that_the_daemon_serves(name: str) -> None:
    service = found({}, "Service", name)
    here = {one["containerPort"] for one in container(name)["ports"]}
    assert {one["targetPort"] for one in service["spec"]["ports"]} <= here
    listens = {one.rpartition(":")[2] for one in container(name)["args"] if "listen=" in one}
    assert listens <= {str(port) for port in here}


@pytest.mark.parametrize("name", DAEMONS)
def test_what_is_mounted_is_there_and_read(name: str) -> None:
    kind = "StatefulSet" if name in {"citadeld", "galleyd"} else "Deployment"
    spec = found({}, kind, name)["spec"]
    volumes = {one["name"] for one in spec["template"]["spec"]["volumes"]}
    volumes |= {one["metadata"]["name"] for one in spec.get("volumeClaimTemplates", ())}
    mounts = spec["template"]["spec"]["containers"][0]["volumeMounts"]
    assert {one["name"] for one in mounts} == volumes
    places = [one["mountPath"] for one in mounts]
    told = (word.partition("=")[2] for word in container(name)["args"])
    read = [value for value in told if value.startswith("/")]
    assert read
    assert all(one.startswith(tuple(places)) for one in read)


def test_nothing_runs_as_root_or_writes_into_its_image() -> None:
    pods = [
        one["spec"]["template"]["spec"] for one in everything(Values()) if "template" in one.get("spec", {})
    ]
    assert len(pods) == 6
    for spec in pods:
        for one in spec["containers"]:
            assert one["securityContext"]["readOnlyRootFilesystem"]
            assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert sum("securityContext" in spec and spec["securityContext"]["runAsNonRoot"] for spec in pods) == 5


def test_the_plug_in_on_nodes_is_root_in_three_directories_alone() -> None:
    told = {"cni": {"enabled": True, "binDir": "/home/kubernetes/bin", "excludeNamespaces": "infra"}}
    spec = found(told, "DaemonSet", "cni")["spec"]["template"]["spec"]
    (one,) = spec["containers"]
    kept = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert one["securityContext"] == kept
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    places = {each["hostPath"]["path"] for each in spec["volumes"] if "hostPath" in each}
    assert places == {"/home/kubernetes/bin", "/etc/cni/net.d", "/var/lib/artemon-cni"}
    assert places | {"/tmp"} == {each["mountPath"] for each in one["volumeMounts"]}
    assert one["args"] == [
        "--bin-dir=/home/kubernetes/bin",
        "--conf-dir=/etc/cni/net.d",
        "--tree=/var/lib/artemon-cni",
        "--exclude=infra",
    ]
    options = {name for each in install.params for name in each.opts}
    assert {word.partition("=")[0] for word in (*one["args"], "--check")} <= options
    rules = found(told, "ClusterRole", "artemon-cni")["rules"]
    assert rules == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    data = found(told, "ConfigMap", "artemon-injection")["data"]["values.yaml"]
    assert read_config(yaml.safe_load(data)).cni.enabled
    assert not any(each["metadata"]["name"] == "cni" for each in everything(Values()))


def test_values_change_what_they_name() -> None:
    told = {"global": {"hub": "registry.example/mesh", "tag": "2"}, "pilotd": {"replicas": 5}}
    assert container("pilotd", told)["image"] == "registry.example/mesh/artemon:2"
    assert found(told, "Deployment", "pilotd")["spec"]["replicas"] == 5
    assert (
        "hub: registry.example/mesh\n" in found(told, "ConfigMap", "artemon-injection")["data"]["values.yaml"]
    )
    without = everything(Values({"gateway": {"enabled": False}, "mixerd": {"enabled": False}}))
    names = {one["metadata"]["name"] for one in without if one["kind"] == "Deployment"}
    assert names == {"pilotd", "injectord"}
    roles = {one["metadata"]["name"] for one in everything(Values({"citadeld": {"secrets": "*"}}))}
    assert "artemon-citadeld-secrets" in roles


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"pilot": {}}, "pilot: is not a value"),
        ({"pilotd": {"replica": 2}}, "pilotd.replica: is not a value"),
        ({"pilotd": {"replicas": "two"}}, "pilotd.replicas: must be like its default"),
        ({"registry": "etcd://x"}, "registry: must be like its default"),
    ],
)
def test_wrong_values_are_refused_with_their_path(told: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        Values(told)
