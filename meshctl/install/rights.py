"""What each daemon may do in a cluster, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from artemon.model.gateway_api import GROUP as GATEWAY_API
from artemon.model.kinds import ACCESS, GATEWAY_API_KINDS, KINDS, PROXY_CONFIG
from artemon.pki.spiffe import SYSTEM_NAMESPACE
from meshctl.install.pods import Object, labels

_RBAC = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]
_HOOKS = "admissionregistration.k8s.io"


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Object:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


RULES: dict[str, list[Object]] = {
    "citadeld": [
        _rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
        _rule("", ["pods"], ["list"]),
        _rule("", ["namespaces", "serviceaccounts"], _READ),
        _rule("", ["configmaps"], [*_READ, "create", "patch"]),
    ],
    "pilotd": [
        _rule("", ["services", "pods", "nodes", "namespaces"], _READ),
        _rule("discovery.k8s.io", ["endpointslices"], _READ),
    ],
    "galleyd": [
        _rule("", ["namespaces", "services"], _READ),
        _rule("", ["events"], ["create"]),
        _rule("networking.k8s.io", ["ingresses", "ingressclasses"], _READ),
        _rule("networking.k8s.io", ["ingresses/status"], ["patch"]),
        _rule(GATEWAY_API, [kind.plural for kind in GATEWAY_API_KINDS], _READ),
        _rule(GATEWAY_API, [f"{kind.plural}/status" for kind in GATEWAY_API_KINDS], ["patch"]),
        _rule(_HOOKS, ["validatingwebhookconfigurations"], [*_READ, "patch"]),
        *(
            rule
            for group in sorted({kind.group for kind in KINDS} - {ACCESS})
            for rule in (
                _rule(group, [kind.plural for kind in KINDS if kind.group == group], _READ),
                _rule(group, [f"{kind.plural}/status" for kind in KINDS if kind.group == group], ["patch"]),
            )
        ),
    ],
    "injectord": [
        _rule(_HOOKS, ["mutatingwebhookconfigurations"], [*_READ, "patch"]),
        _rule("", ["nodes"], ["list"]),
        _rule(PROXY_CONFIG.group, [PROXY_CONFIG.plural], _READ),
    ],
}
"""By daemon."""
KEEPING_SECRETS: Object = _rule("", ["secrets"], [*_READ, "create", "patch", "delete"])
"""What citadeld needs beside, to keep certificates as Secrets."""
READING_PODS: Object = _rule("", ["pods"], ["get"])
"""What the CNI plug-in needs."""
READING_SECRETS: Object = _rule("", ["secrets"], _READ)
"""What galleyd needs beside, where gateways name Secrets as certificates, and pilotd, where Secrets tell of
further clusters."""


def granted(daemon: str, rules: list[Object]) -> list[Object]:
    """Its account, and that this may do what `rules` say."""
    return [account(daemon), *cluster_role(daemon, rules)]


def account(daemon: str) -> Object:
    """Its service account."""
    metadata = {"name": daemon, "namespace": SYSTEM_NAMESPACE, "labels": labels(daemon)}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def cluster_role(daemon: str, rules: list[Object], suffix: str = "") -> list[Object]:
    """What it may do in the whole cluster."""
    return _role(daemon, rules, {"name": f"artemon-{daemon}{suffix}"}, "Cluster")


def secrets_of(namespace: str, daemon: str) -> list[Object]:
    """That it may read Secrets of one namespace."""
    about = {"name": f"artemon-{daemon}-secrets", "namespace": namespace}
    return _role(daemon, [READING_SECRETS], about, "")


def _role(daemon: str, rules: list[Object], about: Object, of: str) -> list[Object]:
    subject = {"kind": "ServiceAccount", "name": daemon, "namespace": SYSTEM_NAMESPACE}
    ref = {"apiGroup": _RBAC, "kind": f"{of}Role", "name": about["name"]}
    version = f"{_RBAC}/v1"
    return [
        {"apiVersion": version, "kind": f"{of}Role", "metadata": about, "rules": rules},
        {
            "apiVersion": version,
            "kind": f"{of}RoleBinding",
            "metadata": about,
            "roleRef": ref,
            "subjects": [subject],
        },
    ]
