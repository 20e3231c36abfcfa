"""By what a request sticks to an instance: DestinationRule `consistentHash` to Envoy's hash policy."""

from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import RouteAction

from artemon.model.destination_rule import LoadBalancerSettingsConsistentHashLB
from artemon.translate.wire import duration


def hash_policy(hashing: LoadBalancerSettingsConsistentHashLB) -> RouteAction.HashPolicy | None:
    """The part of a request that is hashed; None when the rule names none."""
    policy = RouteAction.HashPolicy
    if hashing.http_header_name is not None:
        return policy(header=policy.Header(header_name=hashing.http_header_name))
    if hashing.http_cookie is not None:
        return policy(cookie=_cookie(hashing))
    if hashing.use_source_ip:
        return policy(connection_properties=policy.ConnectionProperties(source_ip=True))
    if hashing.http_query_parameter_name is not None:
        return policy(query_parameter=policy.QueryParameter(name=hashing.http_query_parameter_name))
    return None


def _cookie(hashing: LoadBalancerSettingsConsistentHashLB) -> RouteAction.HashPolicy.Cookie:
    wanted = hashing.http_cookie
    assert wanted is not None
    out = RouteAction.HashPolicy.Cookie(name=wanted.name, path=wanted.path)
    if wanted.ttl is not None:
        out.ttl.CopyFrom(duration(wanted.ttl))
    for attribute in wanted.attributes:
        out.attributes.add(name=attribute.name, value=attribute.value)
    return out
