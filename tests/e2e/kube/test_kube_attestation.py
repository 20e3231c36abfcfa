"""Tokens of a real cluster at citadeld: judged by the cluster (TokenReview) or by its keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attestation_site import AUDIENCE, Trust, account, pod, token
from kube_server import KubeApi, until

from artemon.daemon.identity_client import CitadelRefused
from artemon.errors import ArtemonError
from artemon.pki.spiffe import SpiffeId

pytestmark = [pytest.mark.kube, pytest.mark.timeout(300)]
RULES = "/apis/rbac.authorization.k8s.io/v1"
CART, TILL = (
    SpiffeId("cluster.local", "attest-shop", "cart"),
    SpiffeId("cluster.local", "attest-shop", "till"),
)
AGENT = ("attest-mesh", "agent")


@pytest.fixture(scope="module")
def cluster(lasting_kube: KubeApi) -> KubeApi:
    kube = lasting_kube
    for namespace, accounts in {
        "attest-shop": ("cart", "till", "lone"),
        "attest-mesh": ("agent", "citadeld"),
    }.items():
        kube.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        for name in ("default", *accounts):
            account(kube, namespace, name)
    pod(kube, "attest-shop", "cart-1", account="cart", node="n1")
    pod(kube, "attest-shop", "till-1", account="till", node="n2")
    pod(kube, "attest-mesh", "agent-1", account="agent", node="n1")
    pod(kube, "attest-mesh", "agent-2", account="agent", node="n2")
    return kube


@pytest.fixture(scope="module")
def trust(cluster: KubeApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    """A citadeld that may do no more in the cluster than its documentation asks for."""
    api = token(cluster, "attest-mesh", "citadeld", audiences=("https://kubernetes.default.svc",))
    where = f"kubernetes://{cluster.kubeconfig(api)}?audience={AUDIENCE}&identities=attest-s*&nodes=attest-mesh/agent"
    made = Trust(tmp_path_factory.mktemp("trust") / "c", cluster, where)
    try:
        yield made
    finally:
        made.process.kill()


def joined(trust: Trust, name: str, identity: SpiffeId, shown: str) -> str:
    """The identity that a workload got. Raises CitadelRefused."""

    async def join() -> str:
        keeper = trust.keeper(name, identity, shown)
        await asyncio.wait_for(keeper.start(), 60)
        return str(keeper.current().spiffe_id)

    return asyncio.run(join())


def refused(trust: Trust, identity: SpiffeId, shown: str) -> str:
    with pytest.raises(ArtemonError) as caught:
        joined(trust, f"refused-{len(list(trust.folder.iterdir()))}", identity, shown)
    assert isinstance(caught.value, CitadelRefused)
    return str(caught.value)


def test_a_missing_right_is_named_and_once_it_is_there_tokens_are_judged(trust: Trust) -> None:
    shown = token(trust.kube, "attest-shop", "cart", pod="cart-1")

    def told() -> str:
        return trust.process.log.read_text().replace("\\", "")

    async def postponed() -> None:
        task = asyncio.create_task(trust.keeper("early", CART, shown).start())
        await asyncio.to_thread(
            until, lambda: 'resources: ["tokenreviews"], verbs: [create]' in told(), "the rule in the log"
        )
        assert not task.done()
        task.cancel()

    asyncio.run(postponed())
    assert shown not in told()
    rules = [
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    ]
    subject = {"kind": "ServiceAccount", "name": "citadeld", "namespace": "attest-mesh"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "attest"}
    meta = {"metadata": {"name": "attest"}}
    trust.kube.create(f"{RULES}/clusterroles", {**meta, "rules": rules})
    trust.kube.create(f"{RULES}/clusterrolebindings", {**meta, "roleRef": role, "subjects": [subject]})
    assert joined(trust, "cart", CART, shown) == str(CART)
    audit = (trust.folder / "ca" / "audit.jsonl").read_text()
    line = next(json.loads(one) for one in audit.splitlines() if '"issued"' in one and str(CART) in one)
    assert (line["attestor"], line["token"]) == ("kubernetes", "attest-shop/cart cart-1 n1")


@pytest.mark.parametrize(
    ("identity", "of", "audiences", "reason"),
    [
        pytest.param(
            TILL, ("attest-shop", "cart", "cart-1"), (AUDIENCE,), "no IdentityGrant", id="another-account"
        ),
        pytest.param(
            SpiffeId("cluster.local", "artemon-system", "galleyd"),
            ("attest-shop", "cart", "cart-1"),
            (AUDIENCE,),
            "no IdentityGrant in namespace artemon-system",
            id="a-daemon",
        ),
        pytest.param(
            SpiffeId("cluster.local", *AGENT),
            (*AGENT, "agent-1"),
            (AUDIENCE,),
            "no IdentityGrant in namespace attest-mesh",
            id="a-namespace-that-is-not-named",
        ),
        pytest.param(
            CART,
            ("attest-shop", "cart", "cart-1"),
            ("https://kubernetes.default.svc",),
            "the cluster does not know the token",
            id="audience-of-the-api-server",
        ),
        pytest.param(
            CART, ("attest-shop", "cart", "cart-1"), ("other",), "does not know the token", id="audience"
        ),
    ],
)
def test_nothing_but_the_own_identity_is_given(
    trust: Trust, identity: SpiffeId, of: Any, audiences: tuple[str, ...], reason: str
) -> None:
    namespace, name, bound = of
    shown = token(trust.kube, namespace, name, pod=bound, audiences=audiences)
    assert reason in refused(trust, identity, shown)


def test_a_forged_signature_is_refused(trust: Trust) -> None:
    shown = token(trust.kube, "attest-shop", "cart", pod="cart-1")
    head, body, _ = shown.split(".")
    other = token(trust.kube, "attest-shop", "cart").split(".")[2]
    assert "does not know the token" in refused(trust, CART, f"{head}.{body}.{other}")


def test_a_nodes_proxy_gets_the_identities_of_its_own_node_alone(trust: Trust) -> None:
    first = token(trust.kube, *AGENT, pod="agent-1")
    second = token(trust.kube, *AGENT, pod="agent-2")
    assert joined(trust, "first", CART, first) == str(CART)
    assert "no IdentityGrant" in refused(trust, TILL, first)
    assert joined(trust, "second", TILL, second) == str(TILL)
    assert "no IdentityGrant" in refused(trust, CART, second)
    assert "must be bound to a pod" in refused(trust, CART, token(trust.kube, *AGENT))


def test_an_identity_is_renewed_by_its_token_and_ends_with_its_pod(trust: Trust) -> None:
    lone = SpiffeId("cluster.local", "attest-shop", "lone")
    pod(trust.kube, "attest-shop", "lone-1", account="lone", node="n1")
    shown, later = (token(trust.kube, "attest-shop", "lone", pod="lone-1") for _ in range(2))

    async def live() -> None:
        keeper = trust.keeper("lone", lone, shown)
        await keeper.start()
        first = keeper.current()
        await keeper._renew_or_join()  # what is done at half life
        assert keeper.current().cert_chain_pem != first.cert_chain_pem
        path = "/api/v1/namespaces/attest-shop/pods/lone-1?gracePeriodSeconds=0"
        await asyncio.to_thread(trust.kube.call, "DELETE", path)
        # a token that the API server has not seen: it keeps a verdict for ten seconds
        (trust.folder / "lone" / "token").write_text(later)
        with pytest.raises(CitadelRefused, match="does not know the token"):
            await keeper._renew_or_join()

    asyncio.run(live())


def test_the_issuers_keys_alone_give_facts(trust: Trust, tmp_path: Path) -> None:
    """The attestor `jwt:` with the cluster's published keys; who gets what is for IdentityGrants to say."""
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(trust.kube.call("GET", "/openid/v1/jwks")))
    where = f"jwt+https://kubernetes.default.svc?audience={AUDIENCE}&keys={keys}"
    other = Trust(tmp_path / "j", trust.kube, where)
    try:
        shown = token(trust.kube, "attest-shop", "cart", pod="cart-1")
        assert "no IdentityGrant in namespace attest-shop gives cart" in refused(other, CART, shown)
        stranger = token(trust.kube, "attest-shop", "cart", pod="cart-1", audiences=("other",))
        assert "another audience" in refused(other, CART, stranger)
    finally:
        other.process.kill()
