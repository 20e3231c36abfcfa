"""The policies of one action as Envoy's RBAC: enforced ones, and those that are only tried (dry run)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Policy, Principal

from artemon.model.authorization_policy import AuthorizationPolicy
from artemon.model.proxy import ProxyType
from artemon.model.resource import Resource
from artemon.snapshot.view import ProxyView
from artemon.translate.authz.ground import Ground, Speech
from artemon.translate.authz.rules import policy_of
from artemon.translate.authz.trust import trust_domains

Authorization = Resource[AuthorizationPolicy]
DRY_RUN = "istio.io/dry-run"
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
ENVOY_ACTIONS = {"ALLOW": RBAC.ALLOW, "DENY": RBAC.DENY, "AUDIT": RBAC.LOG, "CUSTOM": RBAC.DENY}


def is_dry_run(policy: Authorization) -> bool:
    """Whether a policy is only tried."""
    return policy.meta.annotations.get(DRY_RUN) in _TRUE


def policy_name(policy: Authorization, index: int) -> str:
    """`ns[<namespace>]-policy[<name>]-rule[<index>]`, as Istio's."""
    return f"ns[{policy.meta.namespace}]-policy[{policy.meta.name}]-rule[{index}]"


def ground_of(view: ProxyView, policy: Authorization, speech: Speech) -> Ground:
    """Where the rules of a policy are evaluated. Callers of gateways need no identity of the mesh."""
    return Ground(
        speech=speech,
        action=policy.spec.action,
        namespace=policy.meta.namespace,
        trust_domains=trust_domains(view.mesh),
        identified=view.proxy.type is ProxyType.SIDECAR,
    )


def named_rules(view: ProxyView, policy: Authorization, speech: Speech) -> Iterator[tuple[str, Policy]]:
    """The rules of a policy that can be evaluated, by name. One without rules matches nothing."""
    if not policy.spec.rules:
        yield policy_name(policy, 0), _NEVER
    ground = ground_of(view, policy, speech)
    for index, rule in enumerate(policy.spec.rules):
        found = policy_of(rule, ground)
        if found is not None:
            yield policy_name(policy, index), found


_NEVER = Policy(
    permissions=[Permission(not_rule=Permission(any=True))],
    principals=[Principal(not_id=Principal(any=True))],
)


def rules_of(view: ProxyView, policies: Sequence[Authorization], speech: Speech) -> RBAC | None:
    """All rules of policies with one action; None where there is no policy. One whose rules cannot be
    evaluated still counts: what it could have allowed stays forbidden."""
    if not policies:
        return None
    out = RBAC(action=ENVOY_ACTIONS[policies[0].spec.action])
    for policy in policies:
        for name, rule in named_rules(view, policy, speech):
            out.policies[name].CopyFrom(rule)
    return out
