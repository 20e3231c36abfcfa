"""Pods of many shapes, beyond those of the corpus: what each comes to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from artemon.errors import Refused
from artemon.inject import Injector, read_config
from artemon.inject.workload import pod_in, pod_path

SIDECAR, TRAFFIC = "sidecar.istio.io/", "traffic.sidecar.istio.io/"
PROXY = {"name": "istio-proxy", "image": "auto"}
NATIVE = (["app"], ["istio-init", "istio-proxy"])


def app(**fields: Any) -> dict[str, Any]:
    return {"name": "app", "image": "app:1", "ports": [{"containerPort": 8080, "name": "http"}], **fields}


def pod(annotations: Any = None, labels: Any = None, **spec: Any) -> dict[str, Any]:
    meta = {"name": "p", "namespace": "shop", "annotations": annotations, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [app()], **spec}}


def workload(kind: str, version: str, **spec: Any) -> dict[str, Any]:
    template = {"template": {"spec": {"containers": [app()], **spec}}}
    whole = {"jobTemplate": {"spec": template}} if kind == "CronJob" else template
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "w", "namespace": "n"}, "spec": whole}


def listed(*items: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def probed(key: str, **handler: Any) -> dict[str, Any]:
    return pod(containers=[app(**{key: handler})])


def names(spec: Mapping[str, Any], kind: str) -> list[str]:
    return [one["name"] for one in spec.get(kind) or ()]


def outcome(obj: dict[str, Any], **config: Any) -> Any:
    """Names of containers and init containers, or in a word why there are none of ours."""
    try:
        done = Injector(read_config(config)).inject(obj)
    except Refused as refusal:
        return f"refused: {refusal.problems[0]}"
    if done.skipped:
        assert (done.result, done.patch) == (obj, ())
        return f"skipped: {done.skipped}"
    path = pod_path(done.result)
    assert path is not None
    spec = pod_in(done.result, path)["spec"]
    together = names(spec, "containers") + names(spec, "initContainers")
    assert len(set(together)) == len(together), "the API server takes no name twice"
    return names(spec, "containers"), names(spec, "initContainers")


def injected(obj: dict[str, Any], **config: Any) -> dict[str, Any]:
    done = Injector(read_config(config)).inject(obj)
    path = pod_path(done.result)
    assert not done.skipped
    assert path is not None
    found: dict[str, Any] = pod_in(done.result, path)
    return found


def proxy_of(found: dict[str, Any]) -> dict[str, Any]:
    containers = [*found["spec"]["containers"], *(found["spec"].get("initContainers") or ())]
    return next(one for one in containers if one["name"] == "istio-proxy")


def said(found: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value") for one in proxy_of(found)["env"]}


ASKED = [
    *((word, NATIVE) for word in ("true", "True", "TRUE", "yes", "Y", "on", "")),
    *((word, f'skipped: sidecar.istio.io/inject is "{word}"') for word in ("false", "no", "1", "t", "bogus")),
]


@pytest.mark.parametrize(("word", "expected"), ASKED)
def test_what_a_pod_says_of_injection(word: str, expected: Any) -> None:
    assert outcome(pod(labels={f"{SIDECAR}inject": word})) == expected
    assert outcome(pod({f"{SIDECAR}inject": word})) == expected


SHAPES = [
    pytest.param(pod({f"{SIDECAR}inject": "true"}, {f"{SIDECAR}inject": "false"}), "skipped: sidecar",
                 id="label-over-annotation"),
    pytest.param(pod(hostNetwork=True), "skipped: it is on the host", id="host-network"),
    pytest.param(pod(labels={f"{SIDECAR}inject": "true"}, hostNetwork=True), "skipped: it is on the host",
                 id="host-network-that-asks"),
    pytest.param(pod(hostUsers=False), NATIVE, id="user-namespace"),
    pytest.param(pod(containers=[]), ([], ["istio-init", "istio-proxy"]), id="no-container-yet"),
    pytest.param(pod(containers=None), ([], ["istio-init", "istio-proxy"]), id="null-containers"),
    pytest.param(pod(initContainers=None, volumes=None), NATIVE, id="null-lists"),
    pytest.param({**pod(), "spec": None}, "refused: spec: is required", id="no-spec"),
    pytest.param(pod(ephemeralContainers=[{"name": "dbg", "image": "sh"}]), NATIVE, id="ephemeral"),
    pytest.param(pod(shareProcessNamespace=True), NATIVE, id="shared-processes"),
    pytest.param(pod(automountServiceAccountToken=False), NATIVE, id="no-token"),
    pytest.param(pod({f"{SIDECAR}nativeSidecar": "false"}), (["app", "istio-proxy"], ["istio-init"]),
                 id="not-native"),
    pytest.param(pod({f"{SIDECAR}interceptionMode": "NONE"}), (["app"], ["istio-proxy"]), id="not-caught"),
    pytest.param(pod(initContainers=[{"name": "a", "image": "a"}, {"name": "b", "restartPolicy": "Always"}]),
                 (["app"], ["istio-init", "istio-proxy", "a", "b"]), id="init-containers"),
    pytest.param(pod({f"{SIDECAR}nativeSidecar": "false"}, initContainers=[{"name": "a", "image": "a"}]),
                 (["app", "istio-proxy"], ["a", "istio-init"]), id="interception-last"),
    pytest.param(pod({f"{SIDECAR}nativeSidecar": "false",
                      "proxy.istio.io/config": "holdApplicationUntilProxyStarts: true"}),
                 (["istio-proxy", "app"], ["istio-init"]), id="held"),
    pytest.param(pod(containers=[app(), PROXY]), NATIVE, id="own-words-on-the-proxy"),
    pytest.param(pod(containers=[PROXY, app()]), NATIVE, id="own-words-first"),
    pytest.param(pod(initContainers=[{**PROXY, "restartPolicy": "Always"}]), NATIVE, id="own-native-words"),
    pytest.param(pod({f"{SIDECAR}nativeSidecar": "false"}, initContainers=[PROXY]),
                 (["app", "istio-proxy"], ["istio-init"]), id="native-words-elsewhere"),
    pytest.param(pod(initContainers=[{"name": "istio-init", "image": "mine"}]), NATIVE, id="own-init"),
    pytest.param(pod({"inject.istio.io/templates": "gateway"}, containers=[PROXY]), (["istio-proxy"], []),
                 id="gateway"),
    pytest.param(pod({"inject.istio.io/templates": "gateway"}), (["app", "istio-proxy"], []),
                 id="gateway-beside-something"),
    pytest.param(pod({"inject.istio.io/templates": "sidecar,gateway"}, containers=[app(), PROXY]), NATIVE,
                 id="gateway-on-sidecar"),
    pytest.param(pod({"inject.istio.io/templates": "gateway,sidecar"}, containers=[app(), PROXY]), NATIVE,
                 id="sidecar-on-gateway"),
    pytest.param(pod({"inject.istio.io/templates": " sidecar "}), NATIVE, id="template-with-spaces"),
    pytest.param(pod({"inject.istio.io/templates": "sidecar,sidecar"}), NATIVE, id="template-twice"),
    pytest.param(pod({"inject.istio.io/templates": "nope"}), 'refused: metadata.annotations["inject.istio.io/'
                 'templates"]: there is no template "nope"', id="unknown-template"),
    pytest.param({**pod(), "metadata": {"name": "x", "namespace": "kube-system"}}, "skipped: kube-system",
                 id="system"),
    pytest.param(pod({"a": 1}), 'refused: metadata.annotations["a"]: must be text', id="number-for-text"),
    pytest.param(workload("Deployment", "extensions/v1beta1"), NATIVE, id="old-group"),
    pytest.param(workload("Job", "batch/v1", restartPolicy="Never"), NATIVE, id="job"),
    pytest.param(workload("CronJob", "batch/v1"), NATIVE, id="cron"),
    pytest.param(workload("CronJob", "batch/v1", containers=[app(), PROXY]), NATIVE, id="cron-own"),
    pytest.param(workload("ReplicationController", "v1"), NATIVE, id="replication-controller"),
    pytest.param(workload("Rollout", "argoproj.io/v1alpha1"), NATIVE, id="rollout"),
    pytest.param(workload("Service", "serving.knative.dev/v1"), "skipped: it makes no pods", id="knative"),
    pytest.param(workload("deployment", "apps/v1"), "skipped: it makes no pods", id="lower-case"),
    pytest.param({**workload("Deployment", "apps/v1"), "spec": {}}, "refused: spec.template: must be a",
                 id="no-template"),
    pytest.param(listed(), "skipped: nothing in it", id="empty-list"),
    pytest.param({**listed(), "items": None}, "skipped: nothing in it", id="null-list"),
    pytest.param({**listed(), "items": {}}, "refused: items: must be a list of objects", id="object-list"),
    pytest.param({**listed(), "items": "x"}, "refused: items: must be a list of objects", id="text-list"),
    pytest.param(listed(pod(hostNetwork=True), {"apiVersion": "v1", "kind": "Service"}), "skipped: nothing",
                 id="list-of-others"),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "expected"), SHAPES)
def test_shapes(obj: dict[str, Any], expected: Any) -> None:
    found = outcome(obj)
    assert found.startswith(expected) if isinstance(expected, str) else found == expected


def test_a_list_of_mixed_kinds_keeps_their_order_and_is_left_alone_the_second_time() -> None:
    others = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    obj = listed(pod(), others, workload("CronJob", "batch/v1"), listed(pod()))
    done = Injector().inject(obj)
    proxied = ["istio-proxy" in json.dumps(one) for one in done.result["items"]]
    assert proxied == [True, False, True, True]
    assert Injector().inject(done.result).patch == ()


HTTP = {"port": 8080, "path": "/r"}
PROBES = [
    pytest.param(
        "readinessProbe", {"httpGet": {"port": "http", "path": "/r"}}, {"httpGet": HTTP}, id="named"
    ),
    pytest.param(
        "livenessProbe",
        {"httpGet": {**HTTP, "scheme": "HTTPS"}, "timeoutSeconds": 5},
        {"httpGet": {**HTTP, "scheme": "HTTPS"}, "timeoutSeconds": 5},
        id="https",
    ),
    pytest.param("readinessProbe", {"httpGet": {"port": 80}}, {"httpGet": {"port": 80}}, id="no-path"),
    pytest.param(
        "startupProbe",
        {"httpGet": {**HTTP, "host": "1.2.3.4"}},
        {"httpGet": {**HTTP, "host": "1.2.3.4"}},
        id="host",
    ),
    pytest.param(
        "readinessProbe", {"grpc": {"port": 9000}}, {"grpc": {"port": 9000, "service": None}}, id="grpc"
    ),
    pytest.param(
        "startupProbe",
        {"grpc": {"port": 9000, "service": "x"}},
        {"grpc": {"port": 9000, "service": "x"}},
        id="grpc-service",
    ),
    pytest.param(
        "livenessProbe", {"tcpSocket": {"port": "http"}}, {"tcpSocket": {"port": 8080}}, id="tcp-named"
    ),
    pytest.param("livenessProbe", {"exec": {"command": ["true"]}}, None, id="exec"),
    pytest.param("readinessProbe", {"httpGet": {"port": "nobody"}}, None, id="unknown-name"),
    pytest.param("readinessProbe", {"httpGet": {"port": 15020}}, None, id="the-agents-own"),
]


@pytest.mark.parametrize(("key", "handler", "told"), PROBES)
def test_probes_go_through_the_agent(key: str, handler: dict[str, Any], told: Any) -> None:
    word = {"readinessProbe": "readyz", "livenessProbe": "livez", "startupProbe": "startupz"}[key]
    found = injected(probed(key, **handler, periodSeconds=7))
    probe = found["spec"]["containers"][0][key]
    if told is None:
        assert probe == {**handler, "periodSeconds": 7}
        assert "ISTIO_KUBE_APP_PROBERS" not in said(found)
        return
    path = f"/app-health/app/{word}"
    assert (probe["httpGet"]["path"], probe["httpGet"]["port"], probe["periodSeconds"]) == (path, 15020, 7)
    assert probe["httpGet"].get("scheme", "HTTP") == "HTTP"
    assert not {"grpc", "tcpSocket"} & probe.keys()
    assert json.loads(said(found)["ISTIO_KUBE_APP_PROBERS"]) == {path: told}


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_interception_leaves_alone_whoever_the_proxy_runs_as(kind: str) -> None:
    """In whichever list the pod says it."""
    own = {**PROXY, "securityContext": {"runAsUser": 2000}}
    extra = {"containers": [app(), own]} if kind == "containers" else {"initContainers": [own]}
    found = injected(pod(**extra))
    arguments = found["spec"]["initContainers"][0]["args"]
    assert arguments[arguments.index("-u") + 1] == "2000"
    assert proxy_of(found)["securityContext"]["runAsUser"] == 2000


def test_a_pod_of_a_deployment_without_name_and_namespace_belongs_to_it() -> None:
    owner = {"kind": "ReplicaSet", "name": "web-5d9f", "apiVersion": "apps/v1", "controller": True}
    meta = {"generateName": "web-5d9f-", "labels": {"pod-template-hash": "5d9f"}, "ownerReferences": [owner]}
    done = Injector().inject({**pod(), "metadata": meta}, namespace="lab")
    found = said(dict(done.result))
    assert found["ISTIO_META_WORKLOAD_NAME"] == "web"
    assert found["ISTIO_META_OWNER"] == "kubernetes://apis/apps/v1/namespaces/lab/deployments/web"


VALUES = [
    pytest.param(f"{TRAFFIC}includeInboundPorts", "8080,http", "must be a port", id="port-name"),
    pytest.param(f"{TRAFFIC}excludeInboundPorts", "99999", "must be a port", id="port-range"),
    pytest.param(f"{TRAFFIC}includeOutboundIPRanges", "10.0.0.1", "must be ranges", id="address"),
    pytest.param(f"{SIDECAR}interceptionMode", "redirect", "must be one of", id="mode-case"),
    pytest.param(f"{SIDECAR}proxyCPU", "-1", "must not be negative", id="negative"),
    pytest.param(f"{SIDECAR}proxyMemory", "", "must be an amount", id="no-amount"),
    pytest.param(f"{SIDECAR}userVolume", "x", "must be a JSON object", id="no-json"),
    pytest.param("status.sidecar.istio.io/port", "x", "must be a port", id="status-port"),
    pytest.param("proxy.istio.io/config", "concurrency: x", "must be a whole number", id="config-value"),
    pytest.param("proxy.istio.io/config", "[]", "must be one mapping", id="config-list"),
    pytest.param(f"{SIDECAR}discoveryAddress", "a:1", "was retired by Istio", id="retired"),
]


@pytest.mark.parametrize(("name", "value", "reason"), VALUES)
def test_a_wrong_value_refuses_the_pod_with_the_reason(name: str, value: str, reason: str) -> None:
    found = outcome(pod({name: value}))
    assert found.startswith(f'refused: metadata.annotations["{name}"]')
    assert reason in found
