"""injectord asked by a real API server: pods, dry runs, refusals, outages, certificates."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from injection_site import HOOKS, PROXY_CONFIGS, WEBHOOK, Site, injected
from kube_server import KubeApi, Refusal, until

pytestmark = [pytest.mark.kube, pytest.mark.timeout(300)]
LEAF_SECONDS = 10
PROXY_CONFIG = {"apiVersion": "networking.istio.io/v1beta1", "kind": "ProxyConfig"}


@pytest.fixture(scope="module")
def site(kube: KubeApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"), kube, leaf_seconds=LEAF_SECONDS)
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture(scope="module")
def shop(site: Site) -> str:
    return site.namespace("shop", {"istio-injection": "enabled"})


def test_pods_of_an_enabled_namespace_get_a_proxy(site: Site, shop: str) -> None:
    made = site.pod(shop, "web", labels={"app": "web"})
    assert [one["name"] for one in made["spec"]["initContainers"]] == ["istio-init", "istio-proxy"]
    assert made["metadata"]["labels"]["service.istio.io/canonical-name"] == "web"
    stored = site.kube.call("GET", f"/api/v1/namespaces/{shop}/pods/web")
    assert stored["spec"]["initContainers"][1]["restartPolicy"] == "Always"


def test_a_dry_run_shows_the_proxy_and_stores_nothing(site: Site, shop: str) -> None:
    assert injected(site.pod(shop, "dry", dry_run=True))
    with pytest.raises(Refusal, match="404"):
        site.kube.call("GET", f"/api/v1/namespaces/{shop}/pods/dry")


@pytest.mark.parametrize(
    ("namespace", "labels", "pod", "expected"),
    [
        pytest.param("plain", {}, {}, False, id="plain"),
        pytest.param("asking", {}, {"sidecar.istio.io/inject": "true"}, True, id="pod-asks"),
        pytest.param(
            "off", {"istio-injection": "disabled"}, {"sidecar.istio.io/inject": "true"}, False, id="off"
        ),
        pytest.param("rev", {"istio.io/rev": "default"}, {}, True, id="revision"),
        pytest.param("other", {"istio.io/rev": "canary"}, {}, False, id="other-revision"),
        pytest.param(
            "no", {"istio-injection": "enabled"}, {"sidecar.istio.io/inject": "false"}, False, id="no"
        ),
    ],
)
def test_labels_decide(
    site: Site, namespace: str, labels: dict[str, str], pod: dict[str, str], expected: bool
) -> None:
    site.namespace(namespace, labels)
    assert injected(site.pod(namespace, "p", labels=pod)) is expected


def test_proxyconfig_objects_are_for_pods_from_then_on(site: Site, shop: str) -> None:
    place = PROXY_CONFIGS.format(shop)
    spec = {
        "selector": {"matchLabels": {"app": "busy"}},
        "concurrency": 3,
        "environmentVariables": {"A": "1"},
    }
    site.kube.create(place, {**PROXY_CONFIG, "metadata": {"name": "busy"}, "spec": spec})

    def environment(name: str) -> dict[str, str]:
        made = site.pod(shop, name, labels={"app": name}, dry_run=True)
        proxy = next(one for one in made["spec"]["initContainers"] if one["name"] == "istio-proxy")
        return {one["name"]: one.get("value", "") for one in proxy["env"]}

    until(lambda: environment("busy").get("A") == "1", "the object in force")
    assert json.loads(environment("busy")["PROXY_CONFIG"])["concurrency"] == 3
    assert "concurrency" not in environment("calm")["PROXY_CONFIG"]
    site.kube.call("DELETE", f"{place}/busy")
    until(lambda: "A" not in environment("busy"), "the object gone")


def test_a_wrong_annotation_refuses_the_pod_with_the_reason(site: Site, shop: str) -> None:
    wrong = {"sidecar.istio.io/proxyImage": "x\n  securityContext: {privileged: true}"}
    with pytest.raises(Refusal) as refusal:
        site.pod(shop, "wrong", annotations=wrong)
    assert 'annotations["sidecar.istio.io/proxyImage"]: must be an image reference' in refusal.value.message


def test_a_bundle_that_somebody_breaks_is_mended(site: Site, shop: str) -> None:
    broken = site.webhook()
    right = broken["webhooks"][0]["clientConfig"]["caBundle"]
    for hook in broken["webhooks"]:
        hook["clientConfig"].pop("caBundle")
    site.kube.call("PUT", f"{HOOKS}/{WEBHOOK}", broken)

    def mended() -> bool:
        found = [one["clientConfig"].get("caBundle") for one in site.webhook()["webhooks"]]
        return found == [right] * len(found)

    until(mended, "the bundle")
    assert b"BEGIN CERTIFICATE" in base64.b64decode(right)
    until(lambda: site.works(shop), "injection after the mending")


def test_certificates_are_renewed_while_pods_are_created(site: Site, shop: str) -> None:
    """Over more than one whole lifetime of a certificate, no pod fails and none goes without."""
    least, most, made = time.monotonic() + LEAF_SECONDS * 1.5, time.monotonic() + 120, 0

    def seen() -> bool:
        return made > 10 and "identity_renewed" in site.injectord.log.read_text()

    while time.monotonic() < least or (time.monotonic() < most and not seen()):
        assert injected(site.pod(shop, f"busy-{made}", dry_run=True))
        made += 1
    assert seen()


def test_without_injector_only_pods_that_asked_for_a_proxy_wait(site: Site, shop: str) -> None:
    site.pod(shop, "goes")
    site.injectord.kill()
    with pytest.raises(Refusal, match="failed calling webhook"):
        site.pod(shop, "waits")
    assert not injected(site.pod("kube-system", "system", labels={"sidecar.istio.io/inject": "true"}))
    site.namespace("calm", {})
    assert not injected(site.pod("calm", "free"))
    assert site.kube.call("DELETE", f"/api/v1/namespaces/{shop}/pods/goes?gracePeriodSeconds=0")
    site.injectord.start()
    assert injected(site.pod(shop, "waits"))


def test_the_api_server_comes_back(site: Site, shop: str) -> None:
    site.kube.kill()
    site.kube.run()
    until(lambda: site.works(shop), "injection after a restart of the API server")
    broken = site.webhook()
    broken["webhooks"][0]["clientConfig"]["caBundle"] = "aGVsbG8="
    broken["webhooks"][0]["clientConfig"].pop("caBundle")
    site.kube.call("PUT", f"{HOOKS}/{WEBHOOK}", broken)
    until(lambda: site.webhook()["webhooks"][0]["clientConfig"].get("caBundle"), "the bundle after a restart")


def test_galleyd_judges_what_the_cluster_takes(site: Site, shop: str) -> None:
    address = site.start_galleyd()
    command = [sys.executable, "-m", "meshctl", "install", "--kubeconfig", str(site.kube.kubeconfig())]
    command += ["--injector", f"https://127.0.0.1:{site.port}"]
    command += ["--validator", address, "--validator-ca", str(site.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    path = f"/apis/networking.istio.io/v1/namespaces/{shop}/virtualservices"
    until(lambda: site.kube.found(path), "the new kind")

    def made(name: str, timeout: str) -> str:
        route = {"timeout": timeout, "route": [{"destination": {"host": "web"}}]}
        spec = {"hosts": ["web"], "http": [route]}
        body = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "spec": spec}
        try:
            site.kube.create(f"{path}?dryRun=All", {**body, "metadata": {"name": name}})
        except Refusal as refusal:
            return refusal.message
        return ""

    until(lambda: "must be at least 1ms" in made("wrong", "0.1ms"), "the webhook in force")
    assert made("right", "5s") == ""
    assert site.works(shop)


def test_a_new_root_of_the_mesh_is_in_the_webhooks_before_it_is_needed(
    site: Site, shop: str, tmp_path: Path
) -> None:
    """No pod fails and none goes without while the mesh moves from one root to another."""
    if site.galleyd is None:
        site.start_galleyd()
    old = site.root.read_text().strip()
    (tmp_path / "ca.pem").write_text(old)
    environ = site.meshctl_environment(tmp_path / "ca.pem")

    def bundle() -> str:
        found = site.webhook()["webhooks"][0]["clientConfig"]["caBundle"]
        return base64.b64decode(found).decode().strip()

    command = [sys.executable, "-m", "meshctl", "ca", "rotate", "--timeout", "240"]
    before = bundle()
    assert old in before
    with subprocess.Popen(
        command, env={**os.environ, **environ}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as rotation:
        seen, made = {before}, 0
        while rotation.poll() is None:
            assert injected(site.pod(shop, f"moving-{made}", dry_run=True))
            seen.add(bundle())
            made += 1
        assert rotation.stderr is not None
        said = rotation.stderr.read().decode()
    assert rotation.returncode == 0, said
    assert made > 10
    until(lambda: old not in bundle(), "the old root gone from the webhook configuration")
    assert any(old in one and one != before for one in seen), "both roots were trusted for a while"
    assert injected(site.pod(shop, "moved", dry_run=True))
