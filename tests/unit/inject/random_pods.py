"""Pods as people and programs might write them, wrong annotations included."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from artemon.inject.annotations import CHECKS

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Z", "S", "Cc")), max_size=40)
PORTS = st.integers(1, 65535)

_GOOD = {
    "sidecar.istio.io/inject": ["true", "false", "yes", ""],
    "sidecar.istio.io/interceptionMode": ["REDIRECT", "TPROXY", "NONE"],
    "sidecar.istio.io/nativeSidecar": ["true", "false"],
    "inject.istio.io/templates": ["sidecar", "gateway", "sidecar,spire", "gateway, spire", "sidecar,sidecar"],
    "proxy.istio.io/config": ["concurrency: 2", "holdApplicationUntilProxyStarts: true", "{}", ""],
    "status.sidecar.istio.io/port": ["0", "15020", "99"],
    "traffic.sidecar.istio.io/includeInboundPorts": ["*", "", "80,8080"],
    "traffic.sidecar.istio.io/excludeOutboundPorts": ["", "1,2"],
    "traffic.sidecar.istio.io/includeOutboundIPRanges": ["*", "10.0.0.0/8"],
    "sidecar.istio.io/userVolume": ['{"v":{"emptyDir":{}}}', '[{"name":"w","secret":{"secretName":"s"}}]'],
    "sidecar.istio.io/userVolumeMount": ['{"v":{"mountPath":"/v"}}'],
    "sidecar.istio.io/proxyCPU": ["100m", "2"],
    "sidecar.istio.io/proxyMemoryLimit": ["1Gi", "0.5Gi"],
    "sidecar.istio.io/proxyImage": ["example.test/proxy:1", "x\n  securityContext: {privileged: true}"],
    "sidecar.istio.io/rewriteAppHTTPProbers": ["true", "false"],
    "prometheus.io/port": ["8080"],
    "prometheus.io/scrape": ["true", "false"],
}


@st.composite
def annotations(draw: st.DrawFn) -> dict[str, str]:
    found = draw(
        st.dictionaries(
            st.one_of(st.sampled_from(sorted(_GOOD)), st.sampled_from(sorted(CHECKS)), NAMES),
            TEXT,
            max_size=4,
        )
    )
    return {
        name: draw(st.sampled_from(_GOOD[name])) if name in _GOOD else text for name, text in found.items()
    }


def actions() -> st.SearchStrategy[dict[str, Any]]:
    port = st.one_of(PORTS, st.sampled_from(["http", "admin", "8080"]))
    return st.one_of(
        st.fixed_dictionaries(
            {"port": port},
            optional={"path": st.just("/ready"), "scheme": st.sampled_from(["HTTP", "HTTPS"]), "host": NAMES},
        ).map(lambda action: {"httpGet": action}),
        port.map(lambda number: {"tcpSocket": {"port": number}}),
        st.just({"exec": {"command": ["true"]}}),
    )


def probes() -> st.SearchStrategy[dict[str, Any]]:
    grpc = PORTS.map(lambda number: {"grpc": {"port": number}})
    return st.one_of(actions(), grpc, actions().map(lambda action: {**action, "timeoutSeconds": 2}))


def ports() -> st.SearchStrategy[list[dict[str, Any]]]:
    port = st.fixed_dictionaries(
        {"containerPort": PORTS},
        optional={"name": st.sampled_from(["http", "admin"]), "protocol": st.sampled_from(["TCP", "UDP"])},
    )
    return st.lists(port, max_size=3)


def containers(name: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"name": name, "image": st.sampled_from(["app:1", "auto"])},
        optional={
            "ports": ports(),
            "readinessProbe": probes(),
            "livenessProbe": probes(),
            "startupProbe": probes(),
            "lifecycle": st.fixed_dictionaries({}, optional={"preStop": actions(), "postStart": actions()}),
            "env": st.lists(st.fixed_dictionaries({"name": NAMES, "value": TEXT}), max_size=2),
            "args": st.lists(TEXT, max_size=2),
            "resources": st.just({"limits": {"cpu": "1"}}),
            "securityContext": st.fixed_dictionaries({}, optional={"runAsUser": st.integers(0, 5000)}),
            "volumeMounts": st.lists(
                st.fixed_dictionaries({"name": NAMES, "mountPath": NAMES.map("/{}".format)}), max_size=2
            ),
        },
    )


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.one_of(NAMES, st.just("istio-proxy")), min_size=1, max_size=4, unique=True))
    split = draw(st.integers(0, len(names) - 1))
    spec: dict[str, Any] = {"containers": [draw(containers(st.just(name))) for name in names[split:]]}
    if split:
        spec["initContainers"] = [draw(containers(st.just(name))) for name in names[:split]]
    extra = st.fixed_dictionaries(
        {},
        optional={
            "volumes": st.lists(NAMES, max_size=3, unique=True).map(
                lambda found: [{"name": name, "emptyDir": {}} for name in found]
            ),
            "imagePullSecrets": st.just([{"name": "mine"}]),
            "serviceAccountName": NAMES,
            "hostNetwork": st.booleans(),
            "hostUsers": st.booleans(),
            "securityContext": st.just({"fsGroup": 5}),
            "dnsConfig": st.just({"searches": ["example.test"]}),
        },
    )
    metadata = draw(
        st.fixed_dictionaries(
            {"name": NAMES},
            optional={
                "annotations": annotations(),
                "labels": st.dictionaries(
                    st.sampled_from(["app", "version", "sidecar.istio.io/inject"]), NAMES
                ),
                "namespace": NAMES,
            },
        )
    )
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**spec, **draw(extra)}}
