"""What single words of a pod, its annotations and the configuration do to the result."""

from __future__ import annotations

import json
from typing import Any

import pytest

from artemon.errors import Refused
from artemon.inject import Injection, Injector, read_config
from artemon.inject.words import named
from artemon.model.decode import decode_mesh_config


def pod(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "annotations": annotations or {}},
        "spec": {"containers": [{"name": "app", "image": "app:1"}], **spec},
    }


def injected(obj: dict[str, Any], mesh: dict[str, Any] | None = None, **config: Any) -> dict[str, Any]:
    done = Injector(read_config(config), decode_mesh_config(mesh)).inject(obj)
    assert done.skipped == ""
    return dict(done.result)


def proxy_of(obj: dict[str, Any]) -> dict[str, Any]:
    spec = obj["spec"]
    found = named(spec["containers"], "istio-proxy") or named(spec.get("initContainers"), "istio-proxy")
    assert found is not None
    return found


def environment(obj: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in proxy_of(obj)["env"]}


def init_arguments(obj: dict[str, Any]) -> str:
    found = named(obj["spec"]["initContainers"], "istio-init")
    assert found is not None
    return " ".join(found["args"])


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        pytest.param({"traffic.sidecar.istio.io/includeInboundPorts": ""}, "-b  -d", id="no-inbound"),
        pytest.param(
            {"traffic.sidecar.istio.io/excludeInboundPorts": "1,2"}, "15090,15021,1,2,15020", id="-d"
        ),
        pytest.param({"traffic.sidecar.istio.io/excludeOutboundPorts": "3"}, "-o 3", id="-o"),
        pytest.param({"traffic.sidecar.istio.io/includeOutboundPorts": "4,5"}, "-q 4,5", id="-q"),
        pytest.param({"traffic.sidecar.istio.io/excludeInterfaces": "eth1"}, "-c eth1", id="-c"),
        pytest.param({"sidecar.istio.io/interceptionMode": "TPROXY"}, "-m TPROXY", id="-m"),
        pytest.param(
            {"sidecar.istio.io/agentLogLevel": "ca:debug"}, "--log_output_level=ca:debug", id="level"
        ),
        pytest.param(
            {"traffic.sidecar.istio.io/includeOutboundIPRanges": "10.0.0.0/8,fd00::/8"},
            "-i 10.0.0.0/8,fd00::/8",
            id="-i",
        ),
    ],
)
def test_interception(annotations: dict[str, str], expected: str) -> None:
    assert expected in init_arguments(injected(pod(annotations)))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (
            "sidecar.istio.io/proxyImage",
            "x\n  securityContext: {privileged: true}",
            "must be an image reference",
        ),
        ("sidecar.istio.io/logLevel", "info --admin-address-path /x", "must be a log level of Envoy"),
        ("sidecar.istio.io/componentLogLevel", "misc", "must be levels by component"),
        ("sidecar.istio.io/proxyCPU", "much", "must be an amount"),
        ("sidecar.istio.io/proxyCPU", "-1", "must not be negative"),
        ("sidecar.istio.io/interceptionMode", "redirect", "must be one of REDIRECT, TPROXY, NONE"),
        ("sidecar.istio.io/nativeSidecar", "maybe", "must be one of true, false"),
        ("sidecar.istio.io/bootstrapOverride", "../x", "must be the name of a ConfigMap"),
        ("sidecar.istio.io/userVolume", '{"v": {"hostpath": {}}}', "has no field hostpath in Kubernetes"),
        ("sidecar.istio.io/userVolumeMount", "[", "must be a JSON object"),
        ("sidecar.istio.io/discoveryAddress", "x:1", "was retired by Istio"),
        ("status.sidecar.istio.io/port", "70000", "must be a port"),
        ("readiness.status.sidecar.istio.io/periodSeconds", "-5", "must be a whole number"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.1", "must be ranges"),
        ("traffic.sidecar.istio.io/excludeOutboundIPRanges", "*", "must be ranges"),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "*", "must be a port"),
        ("inject.istio.io/templates", "sidecar,absent", 'there is no template "absent"'),
        ("prometheus.istio.io/merge-metrics", "on", 'must be "true" or "false"'),
        ("proxy.istio.io/config", "drainDuration: soon", "is not a duration"),
        ("proxy.istio.io/config", "concurency: 2", 'did you mean "concurrency"'),
        ("proxy.istio.io/config", "[1]", "must be one mapping"),
    ],
)
def test_a_wrong_annotation_refuses_the_pod(name: str, value: str, reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        Injector().inject(pod({name: value}))
    assert reason in str(refusal.value)
    assert f'metadata.annotations["{name}"]' in str(refusal.value)


def test_all_wrong_annotations_are_told_at_once() -> None:
    with pytest.raises(Refused) as refusal:
        Injector().inject(pod({"status.sidecar.istio.io/port": "x", "sidecar.istio.io/logLevel": "y"}))
    assert len(refusal.value.problems) == 2


def test_an_unknown_annotation_is_a_warning() -> None:
    done = Injector().inject(pod({"sidecar.istio.io/proxyCpu": "1"}))
    assert 'annotations["sidecar.istio.io/proxyCpu"]' in done.warnings[0]


def test_annotations_of_amounts_stand_alone() -> None:
    made = injected(pod({"sidecar.istio.io/proxyCPU": "2000m"}))
    assert proxy_of(made)["resources"] == {"requests": {"cpu": "2"}}


def test_tproxy_needs_root_and_one_right() -> None:
    context = proxy_of(injected(pod({"sidecar.istio.io/interceptionMode": "TPROXY"})))["securityContext"]
    assert context["runAsUser"] == 0
    assert context["capabilities"] == {"add": ["NET_ADMIN"], "drop": ["ALL"]}


def test_without_interception_there_is_no_privileged_container() -> None:
    made = injected(pod({"sidecar.istio.io/interceptionMode": "NONE"}), nativeSidecars=False)
    assert "initContainers" not in made["spec"]
    assert environment(made)["ISTIO_META_INTERCEPTION_MODE"] == "NONE"


@pytest.mark.parametrize(("native", "place"), [(True, "initContainers"), (False, "containers")])
def test_native_sidecars(native: bool, place: str) -> None:
    made = injected(pod(), nativeSidecars=native)
    container = named(made["spec"][place], "istio-proxy")
    assert container is not None
    assert container.get("restartPolicy") == ("Always" if native else None)


@pytest.mark.parametrize(
    ("version", "native"), [("1.28", False), ("v1.32.9", False), ("1.33", True), ("1.40", True)]
)
def test_native_sidecars_by_the_version_of_the_cluster(version: str, native: bool) -> None:
    assert read_config({"kubernetesVersion": version}).native is native


def test_a_proxy_that_holds_the_application_back_is_first() -> None:
    made = injected(
        pod({"proxy.istio.io/config": "holdApplicationUntilProxyStarts: true"}), nativeSidecars=False
    )
    assert [one["name"] for one in made["spec"]["containers"]] == ["istio-proxy", "app"]
    hook = {"postStart": {"exec": {"command": ["pilot-agent", "wait"]}}}
    assert proxy_of(made)["lifecycle"] == hook


def test_settings_of_the_pod_come_on_top_of_the_meshs() -> None:
    mesh = {"defaultConfig": {"concurrency": 1, "proxyMetadata": {"A": "mesh", "B": "mesh"}}}
    text = "concurrency: 4\nproxyMetadata: {B: pod}"
    made = injected(pod({"proxy.istio.io/config": text}), mesh)
    assert json.loads(environment(made)["PROXY_CONFIG"]) == {
        "concurrency": 4,
        "proxyMetadata": {"A": "mesh", "B": "pod"},
    }
    assert (environment(made)["A"], environment(made)["B"]) == ("mesh", "pod")


def test_metrics_of_the_application_are_told_to_the_agent() -> None:
    made = injected(pod({"prometheus.io/port": "8080", "prometheus.io/scrape": "true"}))
    assert json.loads(environment(made)["ISTIO_PROMETHEUS_ANNOTATIONS"]) == {
        "scrape": "true",
        "path": "",
        "port": "8080",
    }
    assert made["metadata"]["annotations"]["prometheus.io/port"] == "15020"


def test_metrics_stay_when_they_are_not_to_be_merged() -> None:
    made = injected(pod({"prometheus.io/port": "8080", "prometheus.istio.io/merge-metrics": "false"}))
    assert made["metadata"]["annotations"]["prometheus.io/port"] == "8080"
    assert "ISTIO_PROMETHEUS_ANNOTATIONS" not in environment(made)


def test_probes_are_asked_through_the_agent() -> None:
    container = {
        "name": "app",
        "image": "app:1",
        "readinessProbe": {"httpGet": {"port": 8443, "scheme": "HTTPS", "path": "/r"}, "timeoutSeconds": 3},
        "livenessProbe": {"grpc": {"port": 9000}},
        "startupProbe": {"tcpSocket": {"port": "absent"}},
    }
    made = injected(pod(containers=[container]))
    found = made["spec"]["containers"][0]
    to_agent = {"port": 15020, "scheme": "HTTP", "path": "/app-health/app/readyz"}
    assert found["readinessProbe"] == {"httpGet": to_agent, "timeoutSeconds": 3}
    assert found["livenessProbe"] == {"httpGet": {"path": "/app-health/app/livez", "port": 15020}}
    assert found["startupProbe"] == container["startupProbe"]
    assert json.loads(environment(made)["ISTIO_KUBE_APP_PROBERS"]) == {
        "/app-health/app/livez": {"grpc": {"port": 9000, "service": None}},
        "/app-health/app/readyz": {
            "httpGet": {"path": "/r", "port": 8443, "scheme": "HTTPS"},
            "timeoutSeconds": 3,
        },
    }


def test_probes_stay_when_asked() -> None:
    probe = {"httpGet": {"port": 80}}
    container = {"name": "app", "image": "a", "readinessProbe": probe}
    made = injected(pod({"sidecar.istio.io/rewriteAppHTTPProbers": "false"}, containers=[container]))
    assert made["spec"]["containers"][0]["readinessProbe"] == probe


def test_the_pods_own_words_on_the_proxy_win() -> None:
    own = {"name": "istio-proxy", "image": "auto", "env": [{"name": "MINE", "value": "1"}], "tty": True}
    made = injected(pod(containers=[{"name": "app", "image": "app:1"}, own]))
    assert proxy_of(made)["tty"] is True
    assert proxy_of(made)["image"] == "registry.istio.io/testing/proxyv2:latest"
    assert environment(made)["MINE"] == "1"
    assert [one["name"] for one in made["spec"]["containers"]] == ["app"]


def test_templates_of_the_users_own() -> None:
    part = {"metadata": {"annotations": {"x": "y"}}, "spec": {"priorityClassName": "high"}}
    made = injected(
        pod({"inject.istio.io/templates": "both"}),
        values={
            "sidecarInjectorWebhook": {"templates": {"mine": part}, "aliases": {"both": ["sidecar", "mine"]}}
        },
    )
    assert made["metadata"]["annotations"]["x"] == "y"
    assert made["spec"]["priorityClassName"] == "high"
    assert proxy_of(made)["args"][1] == "sidecar"


def test_spire_beside_a_sidecar_mounts_into_the_proxy() -> None:
    made = injected(pod({"inject.istio.io/templates": "sidecar,spire"}))
    assert [one["name"] for one in made["spec"]["containers"]] == ["app"]
    mounts = {one["name"]: one for one in proxy_of(made)["volumeMounts"]}
    assert mounts["workload-socket"]["readOnly"] is True


def test_networks_and_clusters() -> None:
    injector = Injector(environment={"ISTIO_META_CLUSTER_ID": "east", "ISTIO_META_NETWORK": "n1"})
    made = dict(injector.inject(pod()).result)
    assert environment(made)["ISTIO_META_CLUSTER_ID"] == "east"
    assert made["metadata"]["labels"]["topology.istio.io/network"] == "n1"


def test_the_image_by_type() -> None:
    made = injected(
        pod({"sidecar.istio.io/proxyImageType": "distroless"}), {}, **{"global": {"tag": "1.2-debug"}}
    )
    assert proxy_of(made)["image"] == "registry.istio.io/testing/proxyv2:1.2-distroless"


def test_user_namespaces_and_the_cni_plugin() -> None:
    with pytest.raises(Refused, match=r"spec\.hostUsers: a pod with its own user namespace"):
        Injector(read_config({"components": {"cni": {"enabled": True}}})).inject(pod(hostUsers=False))
    assert Injector().inject(pod(hostUsers=False)).skipped == ""


def owned(kind: str, name: str, labels: dict[str, str]) -> Injection:
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": True}
    obj = pod()
    obj["metadata"] = {"generateName": f"{name}-", "labels": labels, "ownerReferences": [reference]}
    return Injector().inject(obj, namespace="shop")


@pytest.mark.parametrize(
    ("kind", "name", "labels", "expected"),
    [
        ("ReplicaSet", "web-5d4f", {"pod-template-hash": "5d4f"}, "apps/v1/namespaces/shop/deployments/web"),
        ("ReplicaSet", "web", {}, "apps/v1/namespaces/shop/replicasets/web"),
        ("Job", "night-29012345", {}, "batch/v1/namespaces/shop/cronjobs/night"),
        ("StatefulSet", "db", {}, "apps/v1/namespaces/shop/statefulsets/db"),
    ],
)
def test_the_owner_people_know(kind: str, name: str, labels: dict[str, str], expected: str) -> None:
    made = dict(owned(kind, name, labels).result)
    assert environment(made)["ISTIO_META_OWNER"] == f"kubernetes://apis/{expected}"


def test_a_list_is_injected_item_by_item() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {}}
    done = Injector().inject({"apiVersion": "v1", "kind": "List", "items": [service, pod()]})
    assert done.result["items"][0] == service
    assert named(done.result["items"][1]["spec"]["initContainers"], "istio-proxy")
    assert all(one["path"].startswith("/items/1/") for one in done.patch)


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        (pod(containers=[{"image": "x"}]), "spec.containers[0].name: is required"),
        (pod(containers={}), "spec.containers: must be a list"),
        (
            {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {}},
            "spec.template: must be a mapping, not null",
        ),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": 1}}}, "spec: is required"),
    ],
)
def test_what_is_no_pod(obj: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        Injector().inject(obj)
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"globl": {}}, "globl: unknown"),
        ({"global": {"proxy": {"statusPort": 70000}}}, "values.proxy.statusPort: must be 65535 or less"),
        ({"nativeSidecars": "sometimes"}, "must be true, false or auto"),
        ({"kubernetesVersion": "new"}, "must be a version"),
        ({"sidecarInjectorWebhook": {"templates": {"x": "a: {{ .B }}"}}}, "templates.x: has actions"),
        (
            {"sidecarInjectorWebhook": {"templates": {"x": {"spec": {"contaners": []}}}}},
            "contaners: is not a field",
        ),
    ],
)
def test_wrong_configuration(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        read_config(config)
    assert reason in str(refusal.value)
