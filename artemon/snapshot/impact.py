"""What a change can mean for a proxy: which xDS types, and whether anything at all."""

from __future__ import annotations

from artemon.model.kinds import EDGE_KINDS
from artemon.snapshot.changes import BAN, KEY_SET, MESH, SECRET, SERVICE, TRUST, WORKLOAD, ChangeSet
from artemon.snapshot.credentials import reaches
from artemon.snapshot.view import ProxyView

CDS, EDS, LDS, RDS, SDS, ECDS = "CDS", "EDS", "LDS", "RDS", "SDS", "ECDS"
START = "START"
"""How the agent starts it."""

_ALL = frozenset({CDS, EDS, LDS, RDS})
_PATCHED = frozenset({CDS, LDS, RDS, ECDS, START})
_TYPES: dict[str, frozenset[str]] = {
    MESH: _ALL | {START},
    WORKLOAD: _ALL,
    SERVICE: _ALL,
    "ServiceEntry": _ALL,
    "WorkloadEntry": frozenset({CDS, EDS}),
    "Sidecar": _ALL,
    "DestinationRule": _ALL,
    "VirtualService": _ALL,
    "Gateway": _ALL,
    **{kind.unique: _ALL for kind in EDGE_KINDS},
    SECRET: frozenset({SDS}),
    TRUST: frozenset({SDS}),
    BAN: frozenset({LDS}),
    "PeerAuthentication": frozenset({CDS, EDS, LDS}),
    "EnvoyFilter": _PATCHED,
    "ProxyConfig": frozenset({START}),
    "AuthorizationPolicy": frozenset({LDS}),
    "RequestAuthentication": frozenset({LDS}),
    "Telemetry": frozenset({LDS}),
    "RateLimit": frozenset({LDS, CDS}),
    "rule": frozenset({LDS}),
    "instance": frozenset({LDS}),
    KEY_SET: frozenset({LDS}),
}
"""Kind -> what is translated from it; kinds that are not here are not translated."""

_OF_NAMESPACES = frozenset(
    {"AuthorizationPolicy", "RequestAuthentication", "ProxyConfig", "Telemetry", "rule", "instance"}
)
"""Kinds that are for the proxies of their own namespace alone, or in the root namespace for all."""


def types(changes: ChangeSet) -> frozenset[str]:
    """The xDS types that can come out different."""
    if changes.endpoints_only and changes.claimed:
        return _ALL
    if changes.endpoints_only:
        return frozenset({CDS, EDS}) if changes.services else frozenset()
    return frozenset().union(*(_TYPES.get(kind, frozenset()) for kind in changes.kinds))


def touches(changes: ChangeSet, view: ProxyView) -> bool:
    """Whether the proxy of `view` (as it was before) may have to be told. False is certain."""
    if changes.endpoints_only:
        seen = any(key.host in view.services for key in changes.services)
        return seen or not changes.claimed.isdisjoint(view.proxy.ip_addresses)
    if types(changes) == {SDS} and TRUST not in changes.kinds:
        return reaches(view, changes.namespaces)
    if changes.kinds and changes.kinds <= _OF_NAMESPACES:
        return bool(changes.namespaces & {view.proxy.namespace, view.mesh.root_namespace})
    return bool(types(changes))


def differences(before: ProxyView, after: ProxyView) -> frozenset[str]:
    """The xDS types that two views of one proxy can differ in; exact for snapshots built from one another,
    whose equal parts are the same objects."""
    shared = ("mesh", "services", "virtual_services", "destinations", "sidecar")
    own = ("proxy", "gateways", "own", "inbound_mtls", "bans", "revoked", "drain")
    same = all(getattr(before, name) is getattr(after, name) for name in shared)
    if not same or any(getattr(before, name) != getattr(after, name) for name in own):
        return _ALL if before.mesh is after.mesh else _ALL | {START}
    patched = frozenset[str]() if before.envoy_filters is after.envoy_filters else _PATCHED
    if before.proxy_configs is not after.proxy_configs:
        patched = patched | {START}
    if before.policies is not after.policies or before.reports is not after.reports:
        patched = patched | {LDS}
    if before.policies.limits != after.policies.limits:
        patched = patched | {CDS}
    return patched | (frozenset() if before.endpoints is after.endpoints else frozenset({CDS, EDS}))
