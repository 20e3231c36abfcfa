"""Each code of the table is found where it should be, and said as Istio says it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from corpus import CORPUS

from artemon.analysis import LEVEL_OF, Finding, Material, analyze

ROWS = [row for row in yaml.safe_load((Path(__file__).parent / "codes.yaml").read_text()) if "code" in row]
GROUPS = {
    "networking.istio.io/v1": "VirtualService DestinationRule Gateway ServiceEntry Sidecar WorkloadEntry",
    "networking.istio.io/v1alpha3": "EnvoyFilter",
    "security.istio.io/v1": "AuthorizationPolicy RequestAuthentication PeerAuthentication",
    "telemetry.istio.io/v1": "Telemetry",
    "apps/v1": "Deployment",
    "admissionregistration.k8s.io/v1": "MutatingWebhookConfiguration ValidatingWebhookConfiguration",
}
VERSION_OF = {kind: version for version, kinds in GROUPS.items() for kind in kinds.split()}
CLUSTER_WIDE = ("Namespace", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
ITS_OWN_WORDS = {"IST0151", "IST0155"}
"""Whose message in Istio has misprints."""


def whole(row: dict[str, Any]) -> dict[str, Any]:
    """An object of the table, as users write it."""
    named = next(key for key in row if " " in key)
    kind, name = named.split()
    meta = {"name": name, **{key: row[key] for key in ("labels", "annotations") if key in row}}
    if kind not in CLUSTER_WIDE:
        meta["namespace"] = row.get("in", "shop")
    parts = {"spec": row[named], "status": row.get("status"), **row.get("fields", {})}
    out = {"apiVersion": VERSION_OF.get(kind, "v1"), "kind": kind, "metadata": meta}
    return out | {key: value for key, value in parts.items() if value is not None}


def found(objects: list[dict[str, Any]], code: str) -> list[Finding]:
    return [one for one in analyze(Material.of(map(whole, objects))) if one.code == code]


def pairs(places: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for resource, paths in places.items():
        yield from ((resource, path) for path in ([paths] if isinstance(paths, str) else paths))


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row['code']}-{i}") for i, row in enumerate(ROWS)])
def test_it_is_found_there_and_nowhere_else(row: dict[str, Any]) -> None:
    told = found(row["found"], row["code"])
    assert sorted((one.thing.resource, one.path) for one in told) == sorted(pairs(row["at"]))
    assert all(row.get("says", "") in one.message for one in told[:1])
    assert found(row.get("else", []), row["code"]) == []


def test_every_code_has_a_row_but_one_with_cases_of_its_own() -> None:
    assert LEVEL_OF.keys() - {row["code"] for row in ROWS} == {"IST0158"}


def template(text: str) -> str:
    """The messages that one of Istio's formats makes."""
    parts = re.split(r"(%[vsdq])", text)
    filled = {"%q": '".*"', "%d": r"\d+", "%v": ".*", "%s": ".*"}
    return "".join(filled.get(part) or re.escape(part) for part in parts)


def test_messages_have_the_form_of_istios() -> None:
    path = CORPUS / "analysis-messages.json"
    if not path.exists():
        pytest.skip(f"no corpus at {CORPUS}")
    forms = {one["code"]: template(one["template"]) for one in json.loads(path.read_text())}
    told = [one for row in ROWS for one in found(row["found"], row["code"])]
    wrong = [
        (one.code, one.message)
        for one in told
        if one.code not in ITS_OWN_WORDS and not re.fullmatch(forms[one.code], one.message)
    ]
    assert wrong == []
