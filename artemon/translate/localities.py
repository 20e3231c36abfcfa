"""Which instances of a cluster a client prefers: by place, by labels, by written shares
(`localityLbSetting`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from artemon.model.destination_rule import (
    LocalityLoadBalancerSetting,
    TrafficPolicy,
    TrafficPolicyPortTrafficPolicy,
)
from artemon.model.mesh_config import MeshConfig
from artemon.model.proxy import Proxy
from artemon.model.service import Endpoint
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import Destination

REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
SUB_ZONE, NETWORK = "topology.istio.io/subzone", "topology.istio.io/network"
_PARTS = (REGION, ZONE, SUB_ZONE)
FAR = 3
"""Not even the region is the same."""


@dataclass(frozen=True, slots=True)
class Preference:
    """What a policy says about near and far. It compares by what it says.

    shares: from where, and which shares (percent) go where; the first that fits the client counts, and
    instances elsewhere get nothing. failover: from a region to another. labels: by which equal labels, in
    this order, instances are near; `name=value` stands for a value of the client's.
    nearest_first: whether far instances wait until near ones fail. zones: whether Envoy shares requests out
    among zones itself, preferring its own; then the zones of one region are equally near.
    """

    shares: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    failover: tuple[tuple[str, str], ...] = ()
    labels: tuple[str, ...] = ()
    nearest_first: bool = False
    zones: bool = False

    @property
    def asks_place(self) -> bool:
        """Whether it depends on where the client is."""
        return bool(self.shares) or (self.nearest_first and (not self.labels or bool(self.failover)))

    @property
    def asked_labels(self) -> frozenset[str]:
        """The labels of the client that it depends on."""
        return frozenset(label for label in self.labels if "=" not in label)


NONE = Preference()


@dataclass(frozen=True, slots=True)
class Standpoint:
    """Of a client what some preference asks for. labels: sorted."""

    locality: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    def for_(self, preference: Preference) -> Standpoint:
        """Of it what this preference asks for."""
        asked = preference.asked_labels
        return Standpoint(
            locality=self.locality if preference.asks_place else "",
            labels=tuple(pair for pair in self.labels if pair[0] in asked),
        )


ANYWHERE = Standpoint()


def standpoint_of(proxy: Proxy, preferences: Iterable[Preference]) -> Standpoint:
    """What these preferences ask of a proxy."""
    found = list(preferences)
    asked = frozenset().union(*(one.asked_labels for one in found))
    known = topology(proxy.labels, proxy.locality, proxy.network) if asked else {}
    return Standpoint(
        locality=proxy.locality if any(one.asks_place for one in found) else "",
        labels=tuple(sorted((name, value) for name, value in known.items() if name in asked)),
    )


def topology(labels: Mapping[str, str], locality: str, network: str) -> dict[str, str]:
    """Labels, and those that tell the place."""
    place = dict(zip(_PARTS, locality.split("/"), strict=False)) if locality else {}
    return {**labels, **place, **({NETWORK: network} if network else {})}


def preference(policy: TrafficPolicy, mesh: MeshConfig) -> Preference:
    """What is in force: the rule's setting stands for the mesh's. Shares always hold; priorities only where
    failing instances are found out (ejection), for otherwise nothing would ever fail over."""
    balancer = policy.load_balancer
    zones = balancer.zone_aware_lb_setting if balancer else None
    if zones is not None and zones.enabled is not False:
        failing = policy.outlier_detection is not None
        return Preference(
            failover=tuple((one.from_, one.to) for one in zones.failover) if failing else (),
            labels=tuple(zones.failover_priority) if failing else (),
            nearest_first=failing,
            zones=True,
        )
    own = balancer.locality_lb_setting if balancer else None
    setting = own or mesh.locality_lb_setting
    if setting.enabled is False or (own is not None and mesh_forbids(mesh, own)):
        return NONE
    if setting.distribute:
        shares = ((one.from_, tuple(sorted(one.to.items()))) for one in setting.distribute)
        return Preference(shares=tuple(shares))
    if policy.outlier_detection is None:
        return NONE
    return Preference(
        failover=tuple((one.from_, one.to) for one in setting.failover),
        labels=tuple(setting.failover_priority),
        nearest_first=True,
    )


def mesh_forbids(mesh: MeshConfig, own: LocalityLoadBalancerSetting) -> bool:
    """Whether the mesh switched it off and the rule did not switch it on."""
    return mesh.locality_lb_setting.enabled is False and not own.enabled


def preferences(
    destinations: Mapping[str, Destination], mesh: MeshConfig, memo: Memo
) -> frozenset[Preference]:
    """Every preference that these rules, their subsets and their ports can come to."""
    found = (memo.get(_preferences, one, mesh) for one in destinations.values())
    without = preference(mesh.default_traffic_policy or TrafficPolicy(), mesh)
    return frozenset({without}).union(*found) - {NONE}


def _preferences(destination: Destination, mesh: MeshConfig) -> frozenset[Preference]:
    subsets = (subset.traffic_policy for subset in destination.subsets)
    policies = _combined((mesh.default_traffic_policy, destination.policy, *subsets))
    return frozenset(preference(policy, mesh) for policy in policies)


def _combined(policies: Iterable[TrafficPolicy | None]) -> Iterable[TrafficPolicy]:
    """Every pair of balancing and ejection that blocks of these policies, laid over one another, can make."""
    written = [policy for policy in policies if policy is not None]
    levels: list[TrafficPolicy | TrafficPolicyPortTrafficPolicy] = [*written]
    levels += [level for policy in written for level in policy.port_level_settings]
    balancers = {id(one.load_balancer): one.load_balancer for one in levels} | {0: None}
    ejections = {id(one.outlier_detection): one.outlier_detection for one in levels} | {0: None}
    base = TrafficPolicy()
    for balancer in balancers.values():
        for ejection in ejections.values():
            yield base.model_copy(update={"load_balancer": balancer, "outlier_detection": ejection})


def shares_for(preference: Preference, client: str, weights: Mapping[str, int]) -> dict[str, int] | None:
    """The share of each locality that gets any; None when none is written for the client's place. Localities
    that one share is for divide it by their `weights`."""
    chosen = next((to for from_, to in preference.shares if is_within(client, from_)), None)
    if chosen is None:
        return None
    out: dict[str, int] = {}
    for place, share in chosen:
        fitting = [locality for locality in weights if is_within(locality, place)]
        total = sum(weights[locality] for locality in fitting)
        for locality in fitting:
            out[locality] = ceil(share * weights[locality] / total)
    return {locality: share for locality, share in out.items() if share}


def is_within(locality: str, pattern: str) -> bool:
    """Whether a place is one that `region[/zone[/subzone]]` means; `*` is any, parts left out are any."""
    parts = locality.split("/") if locality else []
    wanted = [part for part in pattern.split("/") if part]
    if wanted == ["*"]:
        return True
    padded = [*parts, *[""] * (len(wanted) - len(parts))]
    return all(one in ("*", other) for one, other in zip(wanted, padded, strict=False))


def distance(preference: Preference, client: Standpoint, endpoint: Endpoint) -> tuple[int, int]:
    """How far an instance is from the client, by labels and then by place; less is nearer."""
    if not preference.nearest_first:
        return (0, 0)
    by_label = _unlike(preference.labels, dict(client.labels), endpoint) if preference.labels else 0
    if preference.labels and not preference.failover:
        return (by_label, 0)
    far = place_distance(preference.failover, client.locality, endpoint.locality)
    return (by_label, 0 if preference.zones and far < FAR else far)


def _unlike(labels: tuple[str, ...], client: Mapping[str, str], endpoint: Endpoint) -> int:
    """How many labels from the first that differs on."""
    known = topology(endpoint.labels, endpoint.locality, endpoint.network)
    for position, label in enumerate(labels):
        name, _, written = label.partition("=")
        wanted = written if "=" in label else client.get(name)
        if wanted is None or known.get(name) != wanted:
            return len(labels) - position
    return 0


def place_distance(failover: Iterable[tuple[str, str]], client: str, locality: str) -> int:
    """0 for the same place, up to `FAR` for another region, and one more for a region that is not the one to
    fail over to. A client whose place is unknown is equally far from all."""
    if not client:
        return 0
    region, other = client.partition("/")[0], locality.partition("/")[0]
    shared = 0
    for one, another in zip(locality.split("/"), client.split("/"), strict=False):
        if one != another:
            break
        shared += 1
    if shared:
        return FAR - min(shared, FAR)
    target = next((to for from_, to in failover if from_ == region), None)
    return FAR if target is None or target == other else FAR + 1
