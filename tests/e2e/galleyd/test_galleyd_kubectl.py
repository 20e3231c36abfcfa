"""kubectl, unchanged, against galleyd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_certificates import Certificates
from kubectl_build import kubectl
from served import Galleyd

pytestmark = [pytest.mark.go, pytest.mark.timeout(600)]


def virtual_service(name: str = "reviews", *, weight: Any = 90) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "hosts": ["reviews"],
            "http": [
                {
                    "route": [
                        {"destination": {"host": "reviews", "subset": "v1"}, "weight": weight},
                        {"destination": {"host": "reviews", "subset": "v2"}, "weight": 10},
                    ]
                }
            ],
        },
    }


class Kubectl:
    """Runs kubectl with a kubeconfig of its own."""

    def __init__(self, binary: Path, folder: Path, server: Galleyd) -> None:
        self._binary, self._folder = str(binary), folder
        cluster = {"server": server.url, "certificate-authority": str(server.ca)}
        context = {"cluster": "mesh", "user": "admin", "namespace": "shop"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "mesh", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": server.token}}],
            "contexts": [{"name": "mesh", "context": context}],
            "current-context": "mesh",
        }
        (folder / "kubeconfig").write_text(yaml.safe_dump(config))
        self._environ = os.environ | {"KUBECONFIG": str(folder / "kubeconfig"), "HOME": str(folder)}

    def run(self, *words: str, ok: bool = True, stdin: Any = None, **environ: str) -> str:
        """What it prints, errors included; fails the test when it fails (or does not, with ok=False)."""
        run = subprocess.run(
            [self._binary, *words],
            input=json.dumps(stdin) if stdin is not None else None,
            env={**self._environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert (run.returncode == 0) is ok, run.stdout
        return run.stdout

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begins a command that goes on."""
        return subprocess.Popen(
            [self._binary, *words],
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read(self, *words: str) -> Any:
        """The JSON that it prints."""
        return json.loads(self.run(*words, "-o", "json"))


@pytest.fixture(scope="module")
def tool(galleyd: Galleyd, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(kubectl(), tmp_path_factory.mktemp("kubectl"), galleyd)


@pytest.fixture
def k(tool: Kubectl) -> Iterator[Kubectl]:
    yield tool
    tool.run("delete", "vs", "--all", "-n", "shop")


def test_apply_makes_changes_and_leaves_alone(k: Kubectl) -> None:
    assert "created" in k.run("apply", "-f", "-", stdin=virtual_service())
    assert "unchanged" in k.run("apply", "-f", "-", stdin=virtual_service())
    assert "configured" in k.run("apply", "-f", "-", stdin=virtual_service(weight=50))
    assert k.read("get", "vs", "reviews")["metadata"]["generation"] == 2
    assert "-        weight: 50" in k.run(
        "diff", "-f", "-", stdin=virtual_service(weight=60), ok=False
    ).replace("-      weight", "-        weight")


def test_get_prints_istios_columns(k: Kubectl) -> None:
    k.run("create", "-f", "-", stdin=virtual_service())
    header, row = k.run("get", "virtualservices", "-A").splitlines()
    assert header.split() == ["NAMESPACE", "NAME", "GATEWAYS", "HOSTS", "AGE"]
    assert row.split()[:3] == ["shop", "reviews", '["reviews"]']
    assert "virtualservice.networking.istio.io/reviews" in k.run("get", "istio-io", "-A")
    assert yaml.safe_load(k.run("get", "vs", "reviews", "-o", "yaml"))["spec"] == virtual_service()["spec"]
    assert "Subset:  v1" in k.run("describe", "vs", "reviews")


def test_what_is_wrong_is_told_with_its_path(k: Kubectl) -> None:
    told = k.run("apply", "-f", "-", stdin=virtual_service(weight=-1), ok=False)
    assert "spec.http[0].route[0].weight" in told
    unknown = virtual_service()
    unknown["spec"]["hostz"] = ["a"]
    assert 'unknown field "spec.hostz"' in k.run("create", "-f", "-", stdin=unknown, ok=False)
    assert "No resources found" in k.run("get", "vs")


def test_patches_labels_and_annotations(k: Kubectl) -> None:
    k.run("create", "-f", "-", stdin=virtual_service())
    k.run("label", "vs", "reviews", "tier=front")
    k.run("annotate", "vs", "reviews", "note=hello")
    k.run("patch", "vs", "reviews", "--type", "merge", "-p", '{"spec":{"hosts":["a"]}}')
    k.run(
        "patch", "vs", "reviews", "--type", "json", "-p", '[{"op":"add","path":"/spec/hosts/-","value":"b"}]'
    )
    found = k.read("get", "vs", "-l", "tier=front")["items"][0]
    assert (found["metadata"]["annotations"]["note"], found["spec"]["hosts"]) == ("hello", ["a", "b"])
    assert "is not supported" in k.run("patch", "vs", "reviews", "-p", '{"spec":{}}', ok=False)


def test_edit_and_replace(k: Kubectl, tmp_path: Path) -> None:
    k.run("create", "-f", "-", stdin=virtual_service())
    editor = f"{sys.executable} {Path(__file__).parent / 'editor.py'} 90 70"
    assert "edited" in k.run("edit", "vs", "reviews", KUBE_EDITOR=editor)
    assert k.read("get", "vs", "reviews")["spec"]["http"][0]["route"][0]["weight"] == 70
    assert "replaced" in k.run("replace", "-f", "-", stdin=virtual_service(weight=20))
    assert k.read("get", "vs", "reviews")["spec"]["http"][0]["route"][0]["weight"] == 20


def test_explain_knows_every_field(k: Kubectl) -> None:
    told = k.run("explain", "vs.spec.http.route.weight")
    assert "FIELD: weight <integer>" in told
    assert "connectTimeout" in k.run("explain", "destinationrule.spec.trafficPolicy.connectionPool.tcp")


def test_dry_run_writes_nothing(k: Kubectl) -> None:
    assert "created (server dry run)" in k.run(
        "apply", "--dry-run=server", "-f", "-", stdin=virtual_service()
    )
    assert "No resources found" in k.run("get", "vs")


def test_who_am_i_and_what_may_i(k: Kubectl) -> None:
    assert "admin" in k.run("auth", "whoami")
    assert k.run("auth", "can-i", "create", "virtualservices").strip() == "yes"


def test_namespaces_can_be_made(k: Kubectl) -> None:
    k.run("create", "namespace", "made")
    assert {"default", "made"} <= {item["metadata"]["name"] for item in k.read("get", "ns")["items"]}
    k.run("delete", "namespace", "made")


def test_watching_prints_each_change(k: Kubectl) -> None:
    k.run("create", "-f", "-", stdin=virtual_service())
    watching = k.start("get", "vs", "-w", "-o", "name")
    assert watching.stdout is not None
    assert watching.stdout.readline().strip() == "virtualservice.networking.istio.io/reviews"
    k.run("apply", "-f", "-", stdin=virtual_service("second"))
    assert watching.stdout.readline().strip() == "virtualservice.networking.istio.io/second"
    watching.terminate()
    watching.wait(10)


def test_wait_sees_a_deletion(k: Kubectl) -> None:
    k.run("create", "-f", "-", stdin=virtual_service())
    waiting = k.start("wait", "--for=delete", "vs/reviews", "--timeout=30s")
    time.sleep(0.3)
    k.run("delete", "vs", "reviews")
    assert waiting.wait(30) == 0


def test_secrets_are_made_renewed_and_never_shown(tool: Kubectl, tmp_path: Path) -> None:
    site = Certificates()
    (chain, key), (other, other_key) = (
        site.issue("a.example.com").save(tmp_path / name) for name in ("a", "b")
    )
    pair = ["--cert", str(chain), "--key", str(key)]
    assert "created" in tool.run("create", "secret", "tls", "web", *pair)
    wrong = tool.run(
        "create", "secret", "tls", "bad", "--cert", str(chain), "--key", str(other_key), ok=False
    )
    assert "private key" in wrong
    renewed = tool.run(
        "create", "secret", "tls", "web", "--cert", str(other), "--key", str(other_key),
        "--dry-run=client", "-o", "json",
    )  # fmt: skip
    assert "configured" in tool.run("apply", "-f", "-", stdin=json.loads(renewed))
    assert "labeled" in tool.run("label", "secret", "web", "a=b")
    shown = tool.read("get", "secret", "web")
    assert (shown["metadata"]["generation"], shown["metadata"]["labels"]) == (2, {"a": "b"})
    assert "data" not in shown
    assert "kubectl.kubernetes.io/last-applied-configuration" not in shown["metadata"]["annotations"]
    assert "web" in tool.run("get", "secrets")
    assert "deleted" in tool.run("delete", "secret", "web")
