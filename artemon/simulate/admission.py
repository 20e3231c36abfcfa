"""Filters that let a request or connection pass or refuse it, one after the other, as Envoy runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.rbac.v3.rbac_pb2 import RBAC
from envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import ExtAuthz
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC as HttpRbac
from envoy.extensions.filters.network.ext_authz.v3.ext_authz_pb2 import ExtAuthz as NetworkExtAuthz
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.extensions.filters.network.rbac.v3.rbac_pb2 import RBAC as NetworkRbac

from artemon.simulate.narrowed import within
from artemon.simulate.outcome import Verdict
from artemon.simulate.rbac import Subject, matching
from artemon.simulate.values import fits_metadata

EFFECTIVE_POLICY = "shadow_effective_policy_id"


NO_OBJECTION = Verdict(reason="no policy is in force")


def admit(filters: Iterable[HttpFilter | Filter], subject: Subject) -> Verdict:
    """What the filters say, up to the first that refuses."""
    verdict, metadata = NO_OBJECTION, dict(subject.metadata)
    for one in filters:
        inner = within(one.typed_config, subject.request)
        for message, judge in _JUDGES if inner is not None else ():
            config = message()
            if inner is not None and inner.Unpack(config):
                judged = _Case(one.name, config, replace(subject, metadata=metadata), verdict)
                verdict = judge(judged)
                metadata |= judged.said
        if not verdict.allowed:
            break
    return verdict


@dataclass(slots=True)
class _Case:
    """One filter's look at the subject. said: what it adds to the metadata."""

    name: str
    config: Any
    subject: Subject
    before: Verdict
    said: dict[str, Any] = field(default_factory=dict)


def _rbac(case: _Case) -> Verdict:
    config, verdict = case.config, case.before
    if config.HasField("shadow_rules"):
        found = matching(config.shadow_rules, case.subject)
        if found is not None:
            case.said[case.name] = {f"{config.shadow_rules_stat_prefix}{EFFECTIVE_POLICY}": found}
            verdict = replace(verdict, tried=(*verdict.tried, found))
    if not config.HasField("rules"):
        return verdict
    found, action = matching(config.rules, case.subject), config.rules.action
    verdict = replace(verdict, asked=verdict.asked + 1)
    if action == RBAC.LOG:
        return verdict
    if action == RBAC.DENY:
        if found is None:
            return verdict if verdict.policy else replace(verdict, reason="no policy forbids it")
        return replace(verdict, allowed=False, policy=found, reason="a policy forbids it")
    if found is None:
        return replace(verdict, allowed=False, policy="", reason="no policy allows it")
    return replace(verdict, policy=found, reason="a policy allows it")


def _ext_authz(case: _Case) -> Verdict:
    config, verdict = case.config, case.before
    gated = config.HasField("filter_enabled_metadata")
    if gated and not fits_metadata(config.filter_enabled_metadata, case.subject.metadata):
        return verdict
    cluster = config.grpc_service.envoy_grpc.cluster_name
    if not cluster:
        cluster = config.http_service.server_uri.cluster
    *others, policy = verdict.tried or ("",)
    return replace(verdict, policy=policy, authorizer=cluster, tried=tuple(others), asked=verdict.asked + 1,
                   reason=f"the authorizer behind {cluster} decides")  # fmt: skip


_JUDGES: Sequence[tuple[type[Any], Callable[[_Case], Verdict]]] = (
    (HttpRbac, _rbac),
    (NetworkRbac, _rbac),
    (ExtAuthz, _ext_authz),
    (NetworkExtAuthz, _ext_authz),
)
