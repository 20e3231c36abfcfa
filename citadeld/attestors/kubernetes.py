"""Callers who show a token of a cluster's service account, which the cluster itself judges (TokenReview,
authentication.k8s.io/v1): `kubernetes:///path/of/a/kubeconfig?audience=artemon`, or `kubernetes://in-cluster`.

The cluster knows what a signature cannot tell: whether the pod is there that a token is bound to. Facts:
`namespace`, `serviceAccount`, `pod`, `node`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pydantic import Field

from artemon.errors import ArtemonError, Problem, Refused
from artemon.kube import Access, Client
from artemon.kube.failures import Rejected, missing_rule
from artemon.kube.kinds import POD, TOKEN_REVIEW
from artemon.kube.kubeconfig import cluster_access
from artemon.pki.jwt import claimed_issuer
from artemon.pki.spiffe import SpiffeId
from citadeld.attestors.api import Attested, Attestor, AttestorSettings, Evidence, Facts, Surroundings
from citadeld.attestors.jwt import split
from citadeld.decision import Denied, Method, Reason

_ACCOUNT = "system:serviceaccount:"
_BOUND = "authentication.kubernetes.io/"
_OVER = ("Succeeded", "Failed")


class KubernetesSettings(AttestorSettings):
    """Settings of one cluster."""

    audience: str = Field(
        description="Audiences that tokens may be for, with commas between them; never the API server's own."
    )
    issuer: str = Field(
        "", description="Only tokens of this issuer; empty: every token that no attestor before it takes."
    )
    context: str = Field("", description="Context of the kubeconfig; its current one when empty.")
    identities: str = Field(
        "",
        description="Namespaces (a, a*, with commas) whose service accounts have their own identity without "
        "an IdentityGrant.",
    )
    nodes: str = Field(
        "",
        description="Service accounts (namespace/name, with commas) whose pods may ask for the identities of "
        "the pods on their own node, in namespaces of `identities`.",
    )


class KubernetesAttestor:
    """Judges tokens of one cluster. access: read anew for every call, as tokens expire."""

    doors: tuple[Method, ...] = ("token",)
    roots = b""

    def __init__(
        self, access: Callable[[], Access], settings: KubernetesSettings, around: Surroundings
    ) -> None:
        self._access, self._issuer, self._around = access, settings.issuer, around
        self._audiences = split(settings.audience)
        self._namespaces, self._agents = split(settings.identities), split(settings.nodes)

    def takes(self, evidence: Evidence) -> bool:
        issuer = claimed_issuer(evidence.bearer)
        return issuer == self._issuer if self._issuer else bool(issuer)

    async def attest(self, evidence: Evidence) -> Attested:
        try:
            access = await asyncio.to_thread(self._access)
            async with Client.open(access) as client:
                return await self._attest(client, evidence.bearer)
        except Denied:
            raise
        except ArtemonError as error:
            reason = missing_rule(error, _NEEDED) if isinstance(error, Rejected) else str(error)
            self._around.log.error("cluster_not_asked", reason=reason)
            raise Denied(Reason.NOT_NOW, "the cluster cannot be asked about the token; try again") from error

    async def run(self) -> None:
        return

    async def _attest(self, client: Client, token: str) -> Attested:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "metadata": {},
            "spec": {"token": token, "audiences": list(self._audiences)},
        }
        facts = reviewed((await client.create(TOKEN_REVIEW, body)).value, self._audiences)
        account = f"{facts['namespace'][0]}/{facts['serviceAccount'][0]}"
        names = {account} | (await self._beside(client, facts) if account in self._agents else set())
        shown = [account, *facts.get("pod", ()), *facts.get("node", ())]
        return Attested(" ".join(shown), facts=facts, identities=frozenset(self._identities(names)))

    async def _beside(self, client: Client, facts: Facts) -> set[str]:
        """The service accounts of the pods on the caller's node, as namespace/name."""
        if not facts.get("node"):
            raise Denied(
                Reason.NOT_ALLOWED, "the token of a node's proxy must be bound to a pod on that node"
            )
        query = {"fieldSelector": f"spec.nodeName={facts['node'][0]}"}
        pods = (await client.list(POD, query=query)).get("items") or []
        return {_account(pod) for pod in pods if (pod.get("status") or {}).get("phase") not in _OVER}

    def _identities(self, names: set[str]) -> Iterator[SpiffeId]:
        for namespace, _, account in (name.partition("/") for name in sorted(names)):
            if any(fnmatchcase(namespace, pattern) for pattern in self._namespaces):
                yield SpiffeId(self._around.trust_domain, namespace, account)


_NEEDED = (
    '{apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: [create]}, '
    'and for nodes=: {apiGroups: [""], resources: ["pods"], verbs: [list]}'
)


def reviewed(review: Mapping[str, Any], audiences: tuple[str, ...]) -> Facts:
    """What a TokenReview found out. Raises Denied unless it is a service account, for one of `audiences`."""
    status = review.get("status") or {}
    if status.get("authenticated") is not True:
        raise Denied(Reason.NOT_AUTHENTICATED, "the cluster does not know the token, or not any more")
    if not set(status.get("audiences") or ()) & set(audiences):
        raise Denied(Reason.NOT_AUTHENTICATED, "the token is for another audience")
    user = status.get("user") or {}
    parts = str(user.get("username", "")).removeprefix(_ACCOUNT).split(":")
    if not str(user.get("username", "")).startswith(_ACCOUNT) or len(parts) != 2 or not all(parts):
        raise Denied(Reason.NOT_ALLOWED, "the token is of no service account")
    extra = user.get("extra") or {}
    bound = {name: tuple(map(str, extra.get(f"{_BOUND}{name}-name") or ())) for name in ("pod", "node")}
    found = {"namespace": (parts[0],), "serviceAccount": (parts[1],), **bound}
    return {name: values for name, values in found.items() if values}


def _account(pod: Mapping[str, Any]) -> str:
    account = (pod.get("spec") or {}).get("serviceAccountName") or "default"
    return f"{pod['metadata']['namespace']}/{account}"


class _Kubernetes:
    settings = KubernetesSettings

    def open(self, address: str, settings: AttestorSettings, around: Surroundings) -> Attestor:
        assert isinstance(settings, KubernetesSettings)
        file, context = address.partition("://")[2], settings.context
        problems = [] if split(settings.audience) else [Problem("audience", "must not be empty")]
        problems += [
            Problem("nodes", f'"{name}" is not namespace/name')
            for name in split(settings.nodes)
            if len([part for part in name.split("/") if part]) != 2 or name.count("/") != 1
        ]
        if split(settings.nodes) and not split(settings.identities):
            problems.append(Problem("nodes", "needs identities: whose identities may be asked for"))
        if problems:
            raise Refused(problems, subject=address)
        cluster_access(file, context=context)
        return KubernetesAttestor(lambda: cluster_access(file, context=context), settings, around)


plugin = _Kubernetes()
