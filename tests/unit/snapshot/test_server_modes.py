"""PeerAuthentication: which mode is in force, and what clients do about it."""

from __future__ import annotations

from typing import Any

import pytest
from world_in_yaml import entry, joined, obj, proxy, snapshot

MESH, SPACE, WORKLOAD = "istio-system", "ns", {"selector": {"matchLabels": {"app": "client"}}}


def policy(name: str, mode: str | None, *, namespace: str = SPACE, created: str = "", **spec: Any) -> Any:
    fields = ({"mtls": {"mode": mode}} if mode else {}) | spec
    meta = {"creationTimestamp": created} if created else {}
    return obj("PeerAuthentication", name, fields, namespace=namespace, **meta)


@pytest.mark.parametrize(
    ("policies", "mode", "ports"),
    [
        pytest.param([], "PERMISSIVE", {}, id="nothing-is-permissive"),
        pytest.param([policy("m", "STRICT", namespace=MESH)], "STRICT", {}, id="mesh"),
        pytest.param(
            [policy("m", "STRICT", namespace=MESH), policy("n", "DISABLE")],
            "DISABLE",
            {},
            id="namespace-over-mesh",
        ),
        pytest.param(
            [policy("m", "STRICT", namespace=MESH), policy("n", "UNSET")],
            "STRICT",
            {},
            id="unset-inherits-mesh",
        ),
        pytest.param(
            [policy("n", "STRICT", namespace="other")], "PERMISSIVE", {}, id="other-namespace-is-nothing"
        ),
        pytest.param(
            [policy("n", "DISABLE"), policy("w", "STRICT", **WORKLOAD)],
            "STRICT",
            {},
            id="workload-over-namespace",
        ),
        pytest.param(
            [policy("n", "STRICT"), policy("w", None, **WORKLOAD)],
            "STRICT",
            {},
            id="workload-without-mode-inherits",
        ),
        pytest.param(
            [policy("n", "STRICT"), policy("w", "DISABLE", selector={"matchLabels": {"app": "other"}})],
            "STRICT",
            {},
            id="selector-of-another-workload",
        ),
        pytest.param(
            [
                policy(
                    "w",
                    "STRICT",
                    **WORKLOAD,
                    portLevelMtls={"8080": {"mode": "DISABLE"}, "9": {"mode": "UNSET"}},
                )
            ],
            "STRICT",
            {8080: "DISABLE"},
            id="port-over-workload",
        ),
        pytest.param(
            [
                policy("m", "DISABLE", namespace=MESH),
                policy("w", None, **WORKLOAD, portLevelMtls={"9": {"mode": "STRICT"}}),
            ],
            "DISABLE",
            {9: "STRICT"},
            id="port-over-mesh",
        ),
        pytest.param(
            [
                policy("young", "DISABLE", created="2026-01-02T00:00:00Z"),
                policy("old", "STRICT", created="2026-01-01T00:00:00Z"),
            ],
            "STRICT",
            {},
            id="oldest-wins",
        ),
        pytest.param(
            [policy("w", "STRICT", namespace=MESH, **WORKLOAD)],
            "PERMISSIVE",
            {},
            id="selector-in-root-is-not-mesh-wide",
        ),
    ],
)
def test_mode_of_a_workload(policies: list[Any], mode: str, ports: dict[int, str]) -> None:
    found = snapshot(*policies).view(proxy()).inbound_mtls
    assert (found.default, dict(found.ports)) == (mode, ports)


@pytest.mark.parametrize(
    ("policies", "on"),
    [
        pytest.param([], {8080: True, 9: True}, id="mutual-by-default"),
        pytest.param([policy("n", "DISABLE")], {8080: False, 9: False}, id="disabled-namespace"),
        pytest.param(
            [
                policy(
                    "w",
                    None,
                    selector={"matchLabels": {"app": "web"}},
                    portLevelMtls={"8080": {"mode": "DISABLE"}},
                )
            ],
            {8080: False, 9: True},
            id="disabled-port",
        ),
        pytest.param(
            [
                policy(
                    "w",
                    "DISABLE",
                    selector={"matchLabels": {"app": "web"}},
                    portLevelMtls={"9": {"mode": "STRICT"}},
                )
            ],
            {8080: False, 9: True},
            id="all-but-a-port",
        ),
    ],
)
def test_clients_speak_plain_where_the_server_is_disabled(policies: list[Any], on: dict[int, bool]) -> None:
    (endpoint,) = snapshot(joined("a"), *policies).view(proxy()).endpoints["web.ns.svc.cluster.local"]
    assert {port: endpoint.mtls_on(port) for port in on} == on


@pytest.mark.parametrize(
    ("workload", "mtls"),
    [
        pytest.param({"address": "10.0.0.1"}, False, id="no-sign-of-a-sidecar"),
        pytest.param({"address": "10.0.0.1", "serviceAccount": "a"}, True, id="has-an-identity"),
        pytest.param(
            {"address": "10.0.0.1", "labels": {"security.istio.io/tlsMode": "istio"}}, True, id="label"
        ),
        pytest.param(
            {
                "address": "10.0.0.1",
                "serviceAccount": "a",
                "labels": {"security.istio.io/tlsMode": "disabled"},
            },
            False,
            id="label-against-it",
        ),
    ],
)
def test_written_instances(workload: dict[str, Any], mtls: bool) -> None:
    inside = snapshot(entry("e", "a.com", endpoints=[workload])).view(proxy())
    outside = snapshot(entry("e", "a.com", endpoints=[workload], location="MESH_EXTERNAL")).view(proxy())
    assert [one.mtls for one in (*inside.endpoints["a.com"], *outside.endpoints["a.com"])] == [mtls, False]
