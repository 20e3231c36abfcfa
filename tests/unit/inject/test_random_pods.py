"""Whatever the pod: a valid patch, which applies, changes nothing a second time, and adds only known fields.

ARTEMON_PODS says how many (`make pods`: 10,000).
"""

from __future__ import annotations

import copy
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes_schema import unknown_fields
from random_pods import pods

from artemon.errors import Refused
from artemon.inject import InjectConfig, Injection, Injector, read_config
from galleyd.patch import json_patch

pytestmark = pytest.mark.slow

CONFIGURATIONS = [
    InjectConfig(),
    read_config({"nativeSidecars": False}),
    read_config({"components": {"cni": {"enabled": True}}, "values": {"global": {"network": "n1"}}}),
    read_config({"nativeSidecars": False, "global": {"proxy": {"holdApplicationUntilProxyStarts": True}}}),
    read_config({"global": {"imagePullSecrets": ["theirs"], "imagePullPolicy": "Always"}}),
]
OPERATIONS = {"add", "replace", "remove"}


@settings(
    max_examples=int(os.environ.get("ARTEMON_PODS", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(pods(), st.sampled_from(CONFIGURATIONS))
def test_any_pod(pod: dict[str, Any], config: InjectConfig) -> None:
    before, injector = copy.deepcopy(pod), Injector(config)
    try:
        done = injector.inject(pod, namespace="default")
    except Refused as refusal:
        refused = [problem for problem in refusal.problems if not problem.path or not problem.message]
    else:
        refused = []
        check(before, pod, injector, done)
    assert refused == []


def check(before: dict[str, Any], pod: dict[str, Any], injector: Injector, done: Injection) -> None:
    assert pod == before
    assert all(one["op"] in OPERATIONS and one["path"].startswith("/") for one in done.patch)
    assert json_patch(pod, list(done.patch)) == done.result
    assert injector.inject(done.result, namespace="default").patch == ()
    assert not list(unknown_fields({key: done.result[key] for key in ("metadata", "spec")}))
    if not done.skipped:
        check_injected(before, dict(done.result))


def check_injected(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Names stay unique, nobody gets more rights than the template gives, and applications stay what they
    were.
    """
    spec = after["spec"]
    everyone = spec["containers"] + spec.get("initContainers", [])
    names = [container["name"] for container in everyone]
    assert len(names) == len(set(names))
    assert "istio-proxy" in names
    assert not any((one.get("securityContext") or {}).get("privileged") for one in everyone)
    was = {
        one["name"]: one for one in before["spec"]["containers"] + before["spec"].get("initContainers", [])
    }
    for container in everyone:
        if container["name"] in was and container["name"] != "istio-proxy":
            ours = {"readinessProbe", "livenessProbe", "startupProbe", "lifecycle"}
            old = was[container["name"]]
            assert {key: value for key, value in container.items() if key not in ours} == {
                key: value for key, value in old.items() if key not in ours
            }
    volumes = [volume["name"] for volume in spec.get("volumes", [])]
    assert len(volumes) == len(set(volumes))
