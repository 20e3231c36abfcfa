"""How a proxy is started: whose ProxyConfig counts, and which patches reach the bootstrap."""

from __future__ import annotations

import json
from typing import Any

import pytest
from patched_mesh import ROOT, ROUTER, SIDECAR, WEB_80, envoy_filter, patch, static, view

from artemon.api.v1.start_pb2 import ProxyStart
from artemon.model.envoy_filter import ALLOW_PROTECTED
from artemon.translate import translate
from artemon.translate.patches.bootstrap import PROTECTED
from artemon.translate.start import SETTINGS
from artemon.xds.types import START
from proxyd.bootstrap import bootstrap
from proxyd.patched import patched
from proxyd.settings import ProxydSettings

TAG = {"stats_config": {"stats_tags": [{"tag_name": "mine", "regex": "^x(y)"}]}}
NEWER, OLDER = "2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z"
HERE = {"pipe": {"path": "x"}}


def config(name: str, *, namespace: str = "default", created: str = NEWER, **spec: Any) -> str:
    meta = {"name": name, "namespace": namespace, "creationTimestamp": created}
    kind = {"apiVersion": "networking.istio.io/v1beta1", "kind": "ProxyConfig"}
    return json.dumps({**kind, "metadata": meta, "spec": spec})


def started(*objects: str, **more: Any) -> dict[str, ProxyStart]:
    state = translate(view(*objects, **more))[START]
    return {name: ProxyStart.FromString(item.body) for name, item in state.items.items()}


WEB = {"matchLabels": {"app": "web"}}


@pytest.mark.parametrize(
    ("configs", "workers"),
    [
        pytest.param([], 7, id="mesh"),
        pytest.param([config("a", namespace=ROOT, concurrency=1)], 1, id="root-namespace"),
        pytest.param([config("a", namespace=ROOT, concurrency=1), config("b", concurrency=2)], 2, id="own"),
        pytest.param(
            [config("a", concurrency=2), config("b", concurrency=3, selector=WEB)], 3, id="workload"
        ),
        pytest.param([config("a", concurrency=3, selector={"matchLabels": {"app": "x"}})], 7, id="other"),
        pytest.param([config("a", namespace="else", concurrency=3)], 7, id="other-namespace"),
        pytest.param([config("a", concurrency=1), config("b", concurrency=2, created=OLDER)], 2, id="oldest"),
        pytest.param([config("a", concurrency=0)], 0, id="every-processor"),
    ],
)
def test_the_nearest_proxy_config_counts(configs: list[str], workers: int) -> None:
    settings = started(*configs, mesh={"defaultConfig": {"concurrency": 7}})[SETTINGS].settings
    assert settings.concurrency == workers


def test_variables_are_united_and_none_decides_what_code_is_loaded() -> None:
    variables = {"B": "own", "LD_PRELOAD": "/tmp/x.so", "ARTEMON_RUN_DIR": "/"}
    settings = started(
        config("a", namespace=ROOT, environmentVariables={"A": "root", "B": "root"}),
        config("b", environmentVariables=variables),
        mesh={"defaultConfig": {"proxyMetadata": {"C": "mesh"}}},
    )[SETTINGS].settings
    assert dict(settings.environment) == {"A": "root", "B": "own", "C": "mesh"}
    assert not settings.HasField("concurrency")


def zoned(**zones: Any) -> str:
    policy = {"loadBalancer": {"zoneAwareLbSetting": zones}}
    meta = {"name": "zones", "namespace": "default"}
    kind = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule"}
    return json.dumps({**kind, "metadata": meta, "spec": {"host": "web", "trafficPolicy": policy}})


@pytest.mark.parametrize(
    ("objects", "proxy", "local"),
    [
        pytest.param([], SIDECAR, "", id="no-rule"),
        pytest.param([zoned()], SIDECAR, WEB_80, id="zones"),
        pytest.param([zoned(enabled=False)], SIDECAR, "", id="switched-off"),
        pytest.param([zoned()], ROUTER, "", id="serves-nothing"),
    ],
)
def test_the_own_service_is_known_where_zones_count(
    objects: list[str], proxy: dict[str, Any], local: str
) -> None:
    assert started(*objects, proxy=proxy)[SETTINGS].settings.local_cluster == local


@pytest.mark.covers("EnvoyFilter.configPatches.applyTo")
@pytest.mark.parametrize("proxy", [SIDECAR, ROUTER], ids=["sidecar", "router"])
@pytest.mark.parametrize("operation", ["MERGE", "MERGE_AND_REPLACE_LIST"])
def test_patches_reach_the_agents_bootstrap(proxy: dict[str, Any], operation: str) -> None:
    found = started(envoy_filter(patch("BOOTSTRAP", operation, TAG)), proxy=proxy)
    (name,) = found.keys() - {SETTINGS}
    assert name == f"EnvoyFilter/{ROOT}/f/0"
    own = bootstrap(ProxydSettings(), "n")
    before = len(own["stats_config"]["stats_tags"])
    ((_, text),) = patched(own, {name: found[name].patch}, refuse=lambda *_: AssertionError())
    tags = [one["tag_name"] for one in json.loads(text)["stats_config"]["stats_tags"]]
    assert tags[-1] == "mine"
    assert len(tags) == (before + 1 if operation == "MERGE" else 1)


@pytest.mark.parametrize(
    "context", [pytest.param("GATEWAY", id="gateway"), pytest.param("SIDECAR_OUTBOUND", id="sidecar")]
)
def test_patches_are_for_their_context(context: str) -> None:
    one = envoy_filter(patch("BOOTSTRAP", "MERGE", TAG, context=context))
    assert len(started(one, proxy=ROUTER)) == (2 if context == "GATEWAY" else 1)
    assert len(started(one, proxy=SIDECAR)) == (1 if context == "GATEWAY" else 2)


ABUSES = [
    pytest.param("MERGE", {"admin": {"address": HERE}}, id="admin"),
    pytest.param("MERGE", {"node": {"metadata": {"SERVICE_ACCOUNT": "admin"}}}, id="node"),
    pytest.param("MERGE", {"dynamic_resources": {"lds_config": {"path": "x"}}}, id="control-plane"),
    pytest.param("MERGE", {"hds_config": {"api_type": "GRPC"}}, id="another-control-plane"),
    pytest.param(
        "MERGE", {"static_resources": {"clusters": [static("xds-grpc", HERE)]}}, id="second-xds-cluster"
    ),
    pytest.param(
        "MERGE_AND_REPLACE_LIST",
        {"static_resources": {"clusters": [static("mine", HERE)]}},
        id="no-xds-cluster",
    ),
    pytest.param(
        "MERGE_AND_REPLACE_LIST",
        {"static_resources": {"listeners": [{"name": "x", "address": HERE}]}},
        id="no-readiness",
    ),
]


@pytest.mark.parametrize(("operation", "value"), ABUSES)
def test_what_connects_a_proxy_to_the_mesh_stays(operation: str, value: dict[str, Any]) -> None:
    one = envoy_filter(patch("BOOTSTRAP", operation, value), patch("BOOTSTRAP", "MERGE", TAG))
    made = translate(view(one))
    (left,) = made.rejected
    assert left.patch == 0
    assert left.reason == PROTECTED or "xds-grpc belongs to the mesh" in left.reason
    assert made[START].items.keys() == {SETTINGS, f"EnvoyFilter/{ROOT}/f/1"}


@pytest.mark.parametrize(("operation", "value"), ABUSES)
def test_the_agent_looks_again_unless_the_administrator_allowed_it(
    operation: str, value: dict[str, Any]
) -> None:
    allowed = envoy_filter(patch("BOOTSTRAP", operation, value), annotations={ALLOW_PROTECTED: "true"})
    name = f"EnvoyFilter/{ROOT}/f/0"
    told = started(allowed)[name].patch
    assert told.trusted
    own = bootstrap(ProxydSettings(), "n")
    assert patched(own, {name: told}, refuse=lambda *_: AssertionError())
    told.trusted = False
    with pytest.raises(ValueError, match="must stay as they are"):
        patched(own, {name: told}, refuse=lambda _, reason: ValueError(reason))


def test_a_cluster_may_be_added() -> None:
    added = {"static_resources": {"clusters": [static("mine", HERE)]}}
    assert len(started(envoy_filter(patch("BOOTSTRAP", "MERGE", added)))) == 2
