"""What is wrong with an IdentityGrant."""

from __future__ import annotations

from typing import Any

import pytest

from artemon import validate
from artemon.model.decode import decode

GOOD: dict[str, Any] = {
    "attestor": "fleet",
    "facts": [{"name": "subject.CN", "values": ["cart-*", "*.example.com", "a", "*"]}],
    "serviceAccounts": ["cart", "cart.v2"],
}


def problems(namespace: str = "shop", **spec: Any) -> list[str]:
    whole = {name: value for name, value in {**GOOD, **spec}.items() if value is not None}
    meta = {"name": "carts", "namespace": namespace}
    obj = {"apiVersion": "access.artemon.io/v1", "kind": "IdentityGrant", "metadata": meta, "spec": whole}
    return [str(problem) for problem in validate.problems(decode(obj))]


def test_a_good_one() -> None:
    assert problems() == []
    assert problems(serviceAccounts=None, serviceAccountFact="claims[sub]") == []


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        pytest.param({"facts": []}, "spec.facts: must not be empty", id="no-facts"),
        pytest.param({"attestor": "Fleet!"}, "spec.attestor:", id="attestor"),
        pytest.param({"serviceAccounts": None}, "spec.serviceAccounts: must not be empty", id="for-nobody"),
        pytest.param({"serviceAccounts": ["*"]}, "spec.serviceAccounts[0]:", id="every-account"),
        pytest.param(
            {"facts": [{"name": "a", "values": ["x*y"]}]}, "spec.facts[0].values[0]:", id="star-in-the-middle"
        ),
        pytest.param(
            {"facts": [{"name": "a", "values": ["**"]}]}, "spec.facts[0].values[0]:", id="two-stars"
        ),
        pytest.param(
            {"facts": [{"name": "a", "values": [""]}]}, "spec.facts[0].values[0]:", id="empty-value"
        ),
        pytest.param({"facts": [{"name": "a", "values": []}]}, "spec.facts[0].values:", id="no-values"),
        pytest.param({"facts": [{"name": "", "values": ["a"]}]}, "spec.facts[0].name:", id="no-name"),
        pytest.param(
            {"namespace": "artemon-system", "serviceAccounts": ["citadeld"]},
            "spec.serviceAccounts[0]: citadeld certifies itself",
            id="citadeld",
        ),
        pytest.param(
            {"namespace": "artemon-system", "serviceAccountFact": "claims[sub]"},
            "spec.serviceAccountFact:",
            id="any-daemon",
        ),
    ],
)
def test_a_wrong_one(spec: dict[str, Any], why: str) -> None:
    assert any(problem.startswith(why) for problem in problems(**spec)), problems(**spec)
