"""The table of kinds, their schemas and their columns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from artemon.model import kinds
from artemon.model.schema import columns, object_schema, spec_schema


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("vs", kinds.VIRTUAL_SERVICE),
        ("VirtualService", kinds.VIRTUAL_SERVICE),
        ("VIRTUALSERVICES", kinds.VIRTUAL_SERVICE),
        ("serviceentry", kinds.SERVICE_ENTRY),
        ("gateways.networking.istio.io", kinds.GATEWAY),
        ("gateways.v1.networking.istio.io", kinds.GATEWAY),
        ("gateway", kinds.GATEWAY),
        ("gtw", kinds.KUBERNETES_GATEWAY),
        ("gateways.gateway.networking.k8s.io", kinds.KUBERNETES_GATEWAY),
        ("telemetry", kinds.TELEMETRY_KIND),
        ("pods", None),
    ],
)
def test_a_word_finds_its_kind(word: str, kind: kinds.Kind | None) -> None:
    assert kinds.find(word) is kind


def test_names_are_unique() -> None:
    assert len(kinds.KINDS) == 15
    assert len({kind.plural for kind in kinds.KINDS}) == 15
    assert kinds.by_collection("envoyfilters") is kinds.ENVOY_FILTER
    assert len({kind.collection for kind in kinds.ALL_KINDS}) == len(kinds.ALL_KINDS)
    assert len({kind.unique for kind in kinds.ALL_KINDS}) == len(kinds.ALL_KINDS)
    assert kinds.by_name("Telemetry", "telemetry.istio.io") is kinds.TELEMETRY_KIND
    assert kinds.by_name("Gateway", "gateway.networking.k8s.io") is kinds.KUBERNETES_GATEWAY


@pytest.mark.parametrize("kind", kinds.KINDS, ids=lambda kind: kind.name)
def test_schema_is_what_kubernetes_clients_read(kind: kinds.Kind) -> None:
    schema = object_schema(kind, kind.versions[0], metadata_ref="#/components/schemas/ObjectMeta")
    text = json.dumps(schema)
    assert "$defs" not in text
    assert "anyOf" not in text
    assert text.count("$ref") == 1
    assert set(schema["properties"]["spec"]["properties"]) == {
        field.alias for field in kind.spec.model_fields.values()
    }
    assert columns(kind)


def test_schema_tells_types_limits_and_what_is_required() -> None:
    policy: dict[str, Any] = spec_schema(kinds.DESTINATION_RULE.spec)["properties"]["trafficPolicy"][
        "properties"
    ]
    assert policy["loadBalancer"]["properties"]["warmup"]["required"] == ["duration"]
    assert policy["outlierDetection"]["properties"]["consecutive5xxErrors"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 4294967295,
        "nullable": True,
    }
    assert policy["tls"]["properties"]["mode"]["enum"][0] == "DISABLE"
    value = spec_schema(kinds.ENVOY_FILTER.spec)["properties"]["configPatches"]["items"]["properties"][
        "patch"
    ]
    assert value["properties"]["value"] == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def test_columns_are_istio_s() -> None:
    assert [column.name for column in columns(kinds.VIRTUAL_SERVICE)] == ["Gateways", "Hosts", "Age"]
    assert [column.name for column in columns(kinds.SERVICE_ENTRY)] == [
        "Hosts",
        "Location",
        "Resolution",
        "Age",
    ]
