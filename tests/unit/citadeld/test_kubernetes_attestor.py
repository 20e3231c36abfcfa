"""What is made of a TokenReview, and which settings are refused; the cluster itself is in tests/e2e/kube."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from citadel_rig import LOG

from artemon.errors import ArtemonError
from citadeld.attestors.api import Surroundings
from citadeld.attestors.kubernetes import reviewed
from citadeld.attestors.open import open_attestor
from citadeld.decision import Denied

POD = {"authentication.kubernetes.io/pod-name": ["cart-1"], "authentication.kubernetes.io/node-name": ["n1"]}


def review(name: str = "system:serviceaccount:shop:cart", **status: Any) -> dict[str, Any]:
    user = {"username": name, "extra": POD}
    return {"status": {"authenticated": True, "audiences": ["artemon"], "user": user, **status}}


def test_facts_of_a_pod() -> None:
    whole = {"namespace": ("shop",), "serviceAccount": ("cart",), "pod": ("cart-1",), "node": ("n1",)}
    assert reviewed(review(), ("artemon", "b")) == whole


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param({}, "does not know", id="no-status"),
        pytest.param(review(authenticated=False), "does not know", id="refused"),
        pytest.param(review(authenticated="true"), "does not know", id="text-is-not-true"),
        pytest.param(review(audiences=["other"]), "another audience", id="other-audience"),
        pytest.param(review(audiences=None), "another audience", id="server-that-knows-no-audiences"),
        pytest.param(review("admin"), "no service account", id="person"),
        pytest.param(review("shop:cart"), "no service account", id="namesake"),
        pytest.param(review("system:serviceaccount:shop:"), "no service account", id="nameless"),
        pytest.param(review("system:serviceaccount:a:b:c"), "no service account", id="too-many-parts"),
    ],
)
def test_whoever_is_no_service_account_for_this_audience_is_nobody(found: Any, reason: str) -> None:
    with pytest.raises(Denied, match=reason):
        reviewed(found, ("artemon",))


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        pytest.param("", "audience", id="no-audience"),
        pytest.param("?audience=%20", "audience: must not be empty", id="empty-audience"),
        pytest.param("?audience=a&identities=x&nodes=agent", "namespace/name", id="node-without-namespace"),
        pytest.param("?audience=a&nodes=mesh/agent", "needs identities", id="nodes-of-no-namespace"),
        pytest.param("?audience=a", "cannot be read", id="no-kubeconfig"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, query: str, reason: str) -> None:
    nobody: Any = None
    around = Surroundings("cluster.local", nobody, lambda: datetime.now(UTC), LOG)
    with pytest.raises(ArtemonError, match=reason):
        open_attestor(f"kubernetes://{tmp_path / 'none'}{query}", around)
