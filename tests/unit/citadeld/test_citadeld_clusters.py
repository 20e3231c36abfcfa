"""What there should be in a cluster: whom it tells, who has a Secret, which Secret is good."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attest_rig import made

from artemon.pki.keys import private_pem
from citadeld.clusters import wanted
from citadeld.clusters.settings import WriteOptions
from citadeld.clusters.wanted import Seen

ASKS = {"ca.istio.io/override": "true"}
ROOT = made("root", ca=True)
LEAF = made("cart", ROOT)


def space(name: str, labels: dict[str, str] | None = None, **meta: Any) -> dict[tuple[str, str], Any]:
    return {("", name): {"metadata": {"name": name, "labels": labels or {}, **meta}}}


def seen(**more: Any) -> Seen:
    spaces = space("shop", ASKS) | space("bank") | space("old", ASKS, deletionTimestamp="x")
    accounts = {(name, "cart"): {} for name in ("shop", "bank", "old")}
    return Seen(namespaces=spaces, accounts=accounts, **more)


def test_namespaces_that_stay_are_told() -> None:
    assert list(wanted.told(seen(), WriteOptions())) == ["bank", "shop"]
    assert list(wanted.told(seen(), WriteOptions(namespaces="b*,old"))) == ["bank"]


@pytest.mark.parametrize(
    ("secrets", "holders"),
    [
        pytest.param("", [], id="unless-citadeld-is-told"),
        pytest.param("*", [("shop", "cart")], id="where-the-namespace-asks"),
        pytest.param("bank", [], id="not-where-it-does-not-ask"),
        pytest.param("team-*, shop", [("shop", "cart")], id="patterns"),
    ],
)
def test_who_has_a_secret(secrets: str, holders: list[Any]) -> None:
    assert list(wanted.holders(seen(), WriteOptions(secrets=secrets))) == holders


def test_only_secrets_of_ours_are_taken_away() -> None:
    ours = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "artemon-citadeld"}}}
    secrets = {
        ("shop", "istio.cart"): ours,
        ("shop", "istio.gone"): ours,
        ("shop", "istio.theirs"): {"metadata": {}},
    }
    assert list(wanted.left_over(seen(secrets=secrets), {("shop", "cart")})) == [("shop", "istio.gone")]


def secret(**changed: bytes) -> dict[str, Any]:
    whole = wanted.secret(("shop", "cart"), chain=LEAF.pem, key=private_pem(LEAF.key), roots=ROOT.pem)
    for name, value in changed.items():
        whole["data"][name.replace("__", ".").replace("_", "-")] = base64.b64encode(value).decode()
    return whole


def test_a_whole_secret_is_good_for_half_of_its_life() -> None:
    held = wanted.held(secret(), ROOT.pem)
    assert held is not None
    assert held.serial == f"{LEAF.certificate.serial_number:x}"
    middle = held.not_before + (held.not_after - held.not_before) / 2
    assert held.is_fresh(datetime.now(UTC))
    assert not held.is_fresh(middle + timedelta(seconds=1))


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(None, id="none"),
        pytest.param({"data": None}, id="empty"),
        pytest.param({"data": "text"}, id="no-mapping"),
        pytest.param(secret(cert_chain__pem=b"spoilt"), id="no-certificate"),
        pytest.param(secret(key__pem=b""), id="no-key"),
        pytest.param(secret(root_cert__pem=made("other", ca=True).pem), id="other-roots"),
        pytest.param({"data": {**secret()["data"], "cert-chain.pem": "%"}}, id="no-base64"),
    ],
)
def test_what_is_not_whole_is_made_anew(found: Any) -> None:
    assert wanted.held(found, ROOT.pem) is None
