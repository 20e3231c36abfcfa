"""Identities that may not do anything: refused by every listener that ends mutual TLS."""

from __future__ import annotations

from collections.abc import Sequence

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Policy
from envoy.extensions.filters.network.rbac.v3.rbac_pb2 import RBAC as NetworkRbac

from artemon.translate.wire import packed

NAME = "envoy.filters.network.rbac"
STAT_PREFIX = "banned."


def shut_out(listener: Listener, bans: Sequence[str]) -> Listener:
    """`listener` with a filter before all others in every chain that ends TLS. Connections that are open go
    with the chain that they are on: Envoy drains it."""
    if bans:
        for chain in (*listener.filter_chains, listener.default_filter_chain):
            if chain.HasField("transport_socket"):
                filters = list(chain.filters)
                del chain.filters[:]
                chain.filters.extend([_filter(bans), *filters])
    return listener


def banned(bans: Sequence[str]) -> RBAC:
    """Denies these identities, whatever they want."""
    policy = Policy(permissions=[Permission(any=True)])
    for identity in bans:
        policy.principals.add().authenticated.principal_name.exact = identity
    return RBAC(action=RBAC.DENY, policies={"banned": policy})


def _filter(bans: Sequence[str]) -> Filter:
    config = NetworkRbac(rules=banned(bans), stat_prefix=STAT_PREFIX)
    return Filter(name=NAME, typed_config=packed(config))
