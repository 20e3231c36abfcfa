"""What is accepted but has no effect yet is said."""

from __future__ import annotations

from typing import Any

import pytest
from istio_specs import resource

from artemon.model import kinds
from artemon.validate import untranslated
from artemon.validate.coverage import TRANSLATED

TO = [{"destination": {"host": "a"}}]
CLAIM = {"@request.auth.claims.sub": {"exact": "a"}, "x-user": {}}
PORT = {"number": 443, "name": "a", "protocol": "TLS"}


def warned(kind: str, spec: dict[str, Any]) -> list[str]:
    return [problem.path for problem in untranslated(resource(kind, spec))]


@pytest.mark.parametrize(
    ("kind", "spec", "paths"),
    [
        ("vs", {"hosts": ["a"], "http": [{"route": TO, "timeout": "1s", "match": [{"port": 1}]}]}, []),
        (
            "vs",
            {"hosts": ["a"], "http": [{"route": TO}, {"route": TO, "match": [{"statPrefix": "x"}]}]},
            [],
        ),
        (
            "vs",
            {"hosts": ["a"], "gateways": ["g"], "http": [{"route": TO, "match": [{"headers": CLAIM}]}]},
            [],
        ),
        (
            "vs",
            {"hosts": ["a"], "tcp": [{"route": TO, "match": [{"sourceSubnet": "1.1.1.1"}]}]},
            [],
        ),
        (
            "dr",
            {"host": "a", "subsets": [{"name": "v1", "trafficPolicy": {"proxyProtocol": {}}}]},
            [],
        ),
        (
            "dr",
            {"host": "a", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM", "zoneAwareLbSetting": {}}}},
            [],
        ),
        ("gw", {"servers": [{"hosts": ["*"], "port": PORT}]}, []),
        (
            "gw",
            {"servers": [{"hosts": ["*"], "port": PORT, "tls": {"mode": "AUTO_PASSTHROUGH"}}]},
            [],
        ),
        ("se", {"hosts": ["*.a"], "resolution": "DYNAMIC_DNS"}, []),
        ("pa", {"mtls": {"mode": "STRICT"}}, []),
    ],
)
def test_fields_without_effect_are_named(kind: str, spec: dict[str, Any], paths: list[str]) -> None:
    assert warned(kind, spec) == paths


def test_kinds_without_effect_are_named() -> None:
    absent = [kind for kind in kinds.KINDS if kind.name not in TRANSLATED]
    samples = {"WasmPlugin": {"url": "a"}, "WorkloadGroup": {"template": {}}}
    for kind in absent:
        (problem,) = untranslated(resource(kind.plural, samples.get(kind.name, {})))
        assert kind.name in problem.message


def test_the_table_names_fields_that_exist() -> None:
    for kind in kinds.KINDS:
        fields = {field.alias for field in kind.spec.model_fields.values()}
        assert set(TRANSLATED.get(kind.name, ())) <= fields
