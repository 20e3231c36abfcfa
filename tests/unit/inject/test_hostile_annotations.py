"""T23: no annotation of a pod writes anything into it but what it stands for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from artemon.errors import Refused
from artemon.inject import Injector
from artemon.inject.annotations import CHECKS
from artemon.inject.words import INJECT, STATUS

PAYLOADS = (
    "x\n  securityContext: {privileged: true}",
    "x\nsecurityContext:\n  privileged: true",
    "x: {privileged: true}",
    '"}, "securityContext": {"privileged": true}, "x": {"y": "',
    "{{ .Values.x }}",
    "{{- toYaml .Spec }}",
    "${PATH}",
    "$(id)",
    "`id`",
    "a; id",
    "a && id",
    "--privileged",
    "-u 0",
    "0 -m x",
    "1,2 -u 0",
    "10.0.0.0/8 -x",
    "a\x00b",
    "a\u2028b",
    "a\r\nb",
    "../../etc/passwd",
    "%2e%2e%2f",
    "!!python/object/apply:os.system [id]",
    "&a [*a]",
    '{"privileged": true}',
    '{"x": {"privileged": true}}',
    '{"x": {"securityContext": {"privileged": true}}}',
    '{"x": {"mountPath": "/", "name": "x", "command": ["id"]}}',
    "[]",
    "null",
    "x" * 100_000,
)


def pod(**annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    }


def shape(obj: dict[str, Any]) -> dict[str, Any]:
    """What no annotation changes: users, rights, commands, the application, what the pod has."""
    spec = obj["spec"]
    containers = [*spec["containers"], *(spec.get("initContainers") or ())]
    return {
        "rights": {one["name"]: one.get("securityContext") for one in containers},
        "commands": {one["name"]: one.get("command") for one in containers},
        "fields": {one["name"]: sorted(one) for one in containers},
        "app": next(one for one in containers if one["name"] == "app"),
        "spec": sorted(spec),
    }


@pytest.mark.parametrize("name", sorted(CHECKS.keys() - {INJECT, STATUS}))
def test_t23_annotations_are_values(name: str) -> None:
    plain = shape(dict(Injector().inject(pod()).result))
    taken = 0
    for payload in PAYLOADS:
        try:
            done = Injector().inject(pod(**{name: payload}))
        except Refused:
            continue
        taken += 1
        if done.skipped:
            continue
        found = shape(dict(done.result))
        assert found == plain, (name, payload)
    assert taken < len(PAYLOADS), "every text is taken"


POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "app", "image": "app:1"}]},
}


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "GLIBC_TUNABLES"])
def test_an_annotation_loads_no_code_into_the_privileged_init_container(name: str) -> None:
    config = json.dumps({"proxyMetadata": {name: "/tmp/x.so"}})
    obj = {**POD, "metadata": {"name": "p", "annotations": {"proxy.istio.io/config": config}}}
    with pytest.raises(Refused, match=f"proxyMetadata.{name}: decides which code"):
        Injector().inject(obj)


@pytest.mark.parametrize(
    "nulls",
    [
        {"metadata": None},
        {"metadata": {"name": "p", "annotations": None, "labels": None, "ownerReferences": None}},
        {"spec": {"containers": None}},
        {"spec": {"containers": [{"name": "app", "env": None, "lifecycle": None, "livenessProbe": None}]}},
        {"spec": {"containers": [], "initContainers": None, "volumes": [{"name": "v", "emptyDir": None}]}},
    ],
    ids=["metadata", "maps", "containers", "container", "lists"],
)
def test_null_is_as_good_as_absent(nulls: dict[str, Any]) -> None:
    made = Injector().inject({**POD, **nulls})
    assert "istio-proxy" in json.dumps(made.result)
    assert not Injector().inject(made.result).patch
