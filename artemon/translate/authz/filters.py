"""The filters that enforce the policies of one proxy, in their order: CUSTOM, DENY, ALLOW."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC as HttpRbac
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.extensions.filters.network.rbac.v3.rbac_pb2 import RBAC as NetworkRbac

from artemon.snapshot.view import ProxyView
from artemon.translate.authz.external import HTTP_RBAC, NETWORK_RBAC, STAT_PREFIX, external
from artemon.translate.authz.ground import Speech
from artemon.translate.authz.paths import refuses_ambiguous_paths
from artemon.translate.authz.rbac import Authorization, is_dry_run, rules_of
from artemon.translate.authz.rules import looks_at_paths
from artemon.translate.wire import packed

HTTP_EXT_AUTHZ = "envoy.filters.http.ext_authz"
NETWORK_EXT_AUTHZ = "envoy.filters.network.ext_authz"
TCP_STATS = "tcp."


@dataclass(frozen=True, slots=True)
class Enforcement:
    """before_tokens: filters that come before those that look at tokens. http: those after. network: for
    connections. strict_paths: whether paths must be normalized as far as possible."""

    before_tokens: tuple[HttpFilter, ...] = ()
    http: tuple[HttpFilter, ...] = ()
    network: tuple[Filter, ...] = ()
    strict_paths: bool = False


NOTHING = Enforcement()


def enforcement(view: ProxyView) -> Enforcement:
    """What enforces the AuthorizationPolicies of a view."""
    policies = view.policies.authorization
    if not policies:
        return NOTHING
    strict = strict_paths(view)
    guard = (_http_filter(HttpRbac(rules=refuses_ambiguous_paths())),) if strict else ()
    return Enforcement(
        before_tokens=(*guard, *_http_external(view, policies)),
        http=tuple(http_rbac_filters(view, Speech.HTTP)),
        network=tuple(_network(view, policies)),
        strict_paths=strict,
    )


def strict_paths(view: ProxyView) -> bool:
    """Whether a policy in force looks at paths, and the mesh leaves their normalization to us."""
    wanted = view.mesh.path_normalization.normalization if view.mesh.path_normalization else "DEFAULT"
    if wanted != "DEFAULT":
        return False
    enforced = (
        one for one in view.policies.authorization if one.spec.action != "AUDIT" and not is_dry_run(one)
    )
    return any(looks_at_paths(rule) for one in enforced for rule in one.spec.rules)


def http_rbac_filters(view: ProxyView, speech: Speech) -> Iterator[HttpFilter]:
    """AUDIT, DENY and ALLOW for requests."""
    for action, enforced, tried in _by_action(view.policies.authorization):
        rules, shadow = rules_of(view, enforced, speech), rules_of(view, tried, speech)
        if rules is not None or shadow is not None:
            yield _http_filter(
                HttpRbac(rules=rules, shadow_rules=shadow, shadow_rules_stat_prefix=_shadow_prefix(action))
            )


def _http_external(view: ProxyView, policies: Sequence[Authorization]) -> Iterator[HttpFilter]:
    found = external(view, _custom(policies), Speech.HTTP)
    if found is None:
        return
    if found.authorizer is None:
        yield _http_filter(HttpRbac(rules=found.rules))
        return
    yield _http_filter(HttpRbac(shadow_rules=found.rules, shadow_rules_stat_prefix=STAT_PREFIX))
    yield HttpFilter(name=HTTP_EXT_AUTHZ, typed_config=packed(found.authorizer))


def _network(view: ProxyView, policies: Sequence[Authorization]) -> Iterator[Filter]:
    found = external(view, _custom(policies), Speech.TCP)
    if found is not None:
        if found.authorizer is None:
            yield _network_filter(NetworkRbac(rules=found.rules, stat_prefix=TCP_STATS))
        else:
            yield _network_filter(
                NetworkRbac(
                    shadow_rules=found.rules, shadow_rules_stat_prefix=STAT_PREFIX, stat_prefix=TCP_STATS
                )
            )
            yield Filter(name=NETWORK_EXT_AUTHZ, typed_config=packed(found.authorizer))
    for action, enforced, tried in _by_action(policies):
        rules, shadow = rules_of(view, enforced, Speech.TCP), rules_of(view, tried, Speech.TCP)
        if rules is not None or shadow is not None:
            prefix = _shadow_prefix(action)
            yield _network_filter(
                NetworkRbac(
                    rules=rules, shadow_rules=shadow, shadow_rules_stat_prefix=prefix, stat_prefix=TCP_STATS
                )
            )


def _by_action(
    policies: Sequence[Authorization],
) -> Iterator[tuple[str, list[Authorization], list[Authorization]]]:
    """Each action in its order, with the policies that are enforced and those that are tried."""
    for action in ("AUDIT", "DENY", "ALLOW"):
        chosen = [one for one in policies if one.spec.action == action]
        yield action, [p for p in chosen if not is_dry_run(p)], [p for p in chosen if is_dry_run(p)]


def _custom(policies: Sequence[Authorization]) -> list[Authorization]:
    return [one for one in policies if one.spec.action == "CUSTOM"]


def _shadow_prefix(action: str) -> str:
    return f"istio_dry_run_{'deny' if action == 'DENY' else 'allow'}_"


def _http_filter(config: HttpRbac) -> HttpFilter:
    return HttpFilter(name=HTTP_RBAC, typed_config=packed(config))


def _network_filter(config: NetworkRbac) -> Filter:
    return Filter(name=NETWORK_RBAC, typed_config=packed(config))
