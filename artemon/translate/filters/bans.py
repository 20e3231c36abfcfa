"""Identities that may not do anything: refused by every listener that ends mutual TLS. Certificates that
may not: new connections are refused by the revocation lists, open ones end with their filter chain."""

from __future__ import annotations

from collections.abc import Sequence

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Policy
from envoy.extensions.filters.network.rbac.v3.rbac_pb2 import RBAC as NetworkRbac

from artemon.snapshot.view import ProxyView
from artemon.translate.wire import packed

NAME = "envoy.filters.network.rbac"
STAT_PREFIX = "banned."
METADATA = "artemon.revoked"


def shut_out(listener: Listener, view: ProxyView) -> Listener:
    """`listener` with a filter before all others in every chain that ends TLS, and with a mark of what was
    revoked. Connections that are open go with the chain that they are on: Envoy drains one that changes, and
    leaves the others alone (Envoy, "Listener discovery service", filter chain only update)."""
    for chain in (*listener.filter_chains, listener.default_filter_chain):
        if not chain.HasField("transport_socket"):
            continue
        if view.bans:
            filters = list(chain.filters)
            del chain.filters[:]
            chain.filters.extend([_filter(view.bans), *filters])
        if view.drain:
            chain.metadata.filter_metadata[METADATA].update({"drain": view.drain})
    return listener


def banned(bans: Sequence[str]) -> RBAC:
    """Denies whoever is called so in a certificate, whatever they want."""
    policy = Policy(permissions=[Permission(any=True)])
    for identity in bans:
        policy.principals.add().authenticated.principal_name.exact = identity
    return RBAC(action=RBAC.DENY, policies={"banned": policy})


def _filter(bans: Sequence[str]) -> Filter:
    config = NetworkRbac(rules=banned(bans), stat_prefix=STAT_PREFIX)
    return Filter(name=NAME, typed_config=packed(config))
