"""The parts of injection that stand alone: policy, merge, patch, amounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artemon.inject import InjectConfig, difference, read_config
from artemon.inject.annotations import CHECKS, REFUSED
from artemon.inject.merge import merged
from artemon.inject.policy import selected, skip_reason
from artemon.inject.proxy import Located, applying
from artemon.inject.quantity import canonical
from artemon.model.proxy_config import ProxyConfig
from galleyd.patch import json_patch

ENABLED, DISABLED = {"istio-injection": "enabled"}, {"istio-injection": "disabled"}
OURS, THEIRS = {"istio.io/rev": "1-2"}, {"istio.io/rev": "1-1"}
YES, NO = {"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"}


@pytest.mark.parametrize(
    ("namespace", "pod", "expected"),
    [
        pytest.param({}, {}, False, id="nothing"),
        pytest.param(ENABLED, {}, True, id="namespace"),
        pytest.param(ENABLED, NO, False, id="pod-refuses"),
        pytest.param(DISABLED, YES, False, id="namespace-refuses"),
        pytest.param({}, YES, True, id="pod"),
        pytest.param(OURS, {}, True, id="revision-of-namespace"),
        pytest.param(THEIRS, {}, False, id="other-revision"),
        pytest.param(THEIRS, OURS, False, id="namespace-before-pod"),
        pytest.param({}, OURS, True, id="revision-of-pod"),
        pytest.param({}, {**THEIRS, **YES}, False, id="pod-of-another-revision"),
        pytest.param({**ENABLED, **THEIRS}, {}, True, id="enabled-before-revision"),
        pytest.param(OURS, NO, False, id="pod-refuses-revision"),
    ],
)
def test_who_is_asked(namespace: dict[str, str], pod: dict[str, str], expected: bool) -> None:
    assert selected(namespace, pod, revisions=["1-2", "prod"]) is expected


def test_a_revision_that_is_not_the_default_leaves_enabled_namespaces_to_others() -> None:
    assert not selected(ENABLED, {}, revisions=["1-2"], default=False)
    assert not selected({}, YES, revisions=["1-2"], default=False)
    assert selected({"istio.io/rev": "prod"}, {}, revisions=["1-2", "prod"], default=False)


NEVER = {"neverInjectSelector": [{"matchExpressions": [{"key": "batch", "operator": "Exists"}]}]}
ALWAYS = {"alwaysInjectSelector": [{"matchLabels": {"tier": "web"}}]}


@pytest.mark.parametrize(
    ("metadata", "spec", "config", "expected"),
    [
        pytest.param({}, {}, {}, "", id="plain"),
        pytest.param({}, {"hostNetwork": True}, {}, "host's network", id="host-network"),
        pytest.param({"labels": NO}, {}, {}, 'is "false"', id="label"),
        pytest.param({"annotations": NO}, {}, {}, 'is "false"', id="annotation"),
        pytest.param({"labels": YES, "annotations": NO}, {}, {}, "", id="label-before-annotation"),
        pytest.param({"annotations": {"sidecar.istio.io/inject": "On"}}, {}, {}, "", id="on"),
        pytest.param({"annotations": {"sidecar.istio.io/status": "{}"}}, {}, {}, "already", id="injected"),
        pytest.param({"labels": {"batch": "1"}}, {}, NEVER, "neverInjectSelector", id="never"),
        pytest.param({"labels": {"batch": "1"} | YES}, {}, NEVER, "", id="label-before-never"),
        pytest.param({}, {}, {"policy": "disabled"}, "disabled", id="policy"),
        pytest.param({"labels": {"tier": "web"}}, {}, ALWAYS | {"policy": "disabled"}, "", id="always"),
    ],
)
def test_who_gets_no_proxy(
    metadata: dict[str, Any], spec: dict[str, Any], config: dict[str, Any], expected: str
) -> None:
    values = {key: value for key, value in config.items() if key != "policy"}
    policy = {"policy": config["policy"]} if "policy" in config else {}
    found = skip_reason(metadata, spec, "shop", read_config({"sidecarInjectorWebhook": values, **policy}))
    assert (expected in found) if expected else found == ""


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "kube-node-lease"])
def test_namespaces_of_the_system(namespace: str) -> None:
    assert "of the system" in skip_reason({"labels": YES}, {}, namespace, InjectConfig())


@pytest.mark.parametrize(
    ("base", "overlay", "expected"),
    [
        pytest.param(["a", "b"], ["b"], ["a", "b"], id="known-keeps-its-place"),
        pytest.param(["a"], ["x", "a"], ["x", "a"], id="new-before-old"),
        pytest.param(["a", "b"], ["x"], ["x", "a", "b"], id="new-first"),
        pytest.param(["a", "b", "c"], ["c", "x", "a"], ["b", "c", "x", "a"], id="order-of-the-overlay"),
    ],
)
def test_order_of_merged_lists(base: list[str], overlay: list[str], expected: list[str]) -> None:
    def listed(names: list[str]) -> dict[str, Any]:
        return {"env": [{"name": name} for name in names]}

    assert merged(listed(base), listed(overlay)) == listed(expected)


def test_one_port_for_two_protocols_stays_two() -> None:
    base = {"ports": [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]}
    made = merged(base, {"ports": [{"containerPort": 53, "protocol": "UDP", "name": "dns"}]})
    assert made["ports"] == [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP", "name": "dns"}]


def test_a_volume_of_another_kind_replaces_the_first() -> None:
    made = merged(
        {"volumes": [{"name": "v", "emptyDir": {}}]}, {"volumes": [{"name": "v", "csi": {"driver": "d"}}]}
    )
    assert made == {"volumes": [{"name": "v", "csi": {"driver": "d"}}]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab/~", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab/~", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.slow
@given(JSON, JSON)
def test_a_difference_applies(before: Any, after: Any) -> None:
    made = json_patch({"x": before}, difference({"x": before}, {"x": after}))
    assert (made, type(made["x"])) == ({"x": after}, type(after))
    assert difference(made, {"x": after}) == []


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2000m", "2"),
        ("1024Mi", "1Gi"),
        ("100m", "100m"),
        ("0.5Gi", "512Mi"),
        ("1500Mi", "1500Mi"),
        ("1.5", "1500m"),
        (2, "2"),
        ("1000", "1k"),
        ("0", "0"),
        ("1e3", "1e3"),
        ("129M", "129M"),
    ],
)
def test_amounts(written: Any, expected: str) -> None:
    assert canonical(written) == expected


@pytest.mark.parametrize("written", ["", "1 Gi", "1Xi", "-1", "a", "1.2.3", None, True, "9" * 50])
def test_what_is_no_amount(written: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        canonical(written)


def test_the_page_names_every_annotation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "injection.md").read_text()
    assert [name for name in (*CHECKS, *REFUSED) if f"`{name}`" not in page] == []


def test_proxyconfig_objects_from_weak_to_strong() -> None:
    def one(namespace: str, name: str, concurrency: int, **labels: str) -> Located:
        spec: dict[str, Any] = {"concurrency": concurrency}
        spec |= {"selector": {"matchLabels": labels}} if labels else {}
        return Located(namespace, name, ProxyConfig.model_validate(spec))

    found = [
        one("shop", "selects", 4, app="web"),
        one("shop", "other-pods", 9, app="api"),
        one("shop", "all", 3),
        one("istio-system", "mesh", 1),
        one("istio-system", "selects-nobody-here", 8, app="web"),
        one("other", "all", 7),
    ]
    chosen = applying(found, namespace="shop", labels={"app": "web"}, root="istio-system")
    assert [config.concurrency for config in chosen] == [1, 3, 4]
