"""Where traffic goes by locality: distribution, failover, priorities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from artemon.model.destination_rule import (
    LocalityLoadBalancerSetting,
    OutlierDetection,
    ZoneAwareLoadBalancerSetting,
)
from artemon.model.words import path_of
from artemon.validate.findings import Problems, Reason, error, warning, wrong

_TOPOLOGY = {"topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"}


class Failover(Protocol):
    """From a region to another, of either setting."""

    @property
    def from_(self) -> str: ...
    @property
    def to(self) -> str: ...


def locality_setting(
    setting: LocalityLoadBalancerSetting | None, path: str, *, outlier: OutlierDetection | None
) -> Problems:
    """What is wrong with `localityLbSetting`; failing over needs outlier detection."""
    if setting is None:
        return
    if setting.distribute and setting.failover:
        yield error(path, "only one of distribute and failover may be set")
    yield from _priorities(setting.failover, setting.failover_priority, path)
    sources = [entry.from_ for entry in setting.distribute]
    yield from wrong(f"{path}.distribute", overlapping(sources))
    for index, entry in enumerate(setting.distribute):
        yield from _shares(entry.to, f"{path}.distribute[{index}].to")
    if (setting.failover or setting.failover_priority) and outlier is None:
        yield warning(path, "failing over needs outlierDetection; without it, it never happens")
    yield from _failover(setting.failover, f"{path}.failover")


def zone_aware_setting(setting: ZoneAwareLoadBalancerSetting | None, path: str) -> Problems:
    """What is wrong with `zoneAwareLbSetting`."""
    if setting is None:
        return
    yield from _priorities(setting.failover, setting.failover_priority, path)
    yield from _failover(setting.failover, f"{path}.failover")


def _priorities(failover: Sequence[Failover], priorities: Sequence[str], path: str) -> Problems:
    for index, label in enumerate(priorities):
        if failover and label.partition("=")[0] in _TOPOLOGY:
            yield error(
                f"{path}.failoverPriority[{index}]", f'"{label}" cannot be used together with failover'
            )


def _failover(entries: Sequence[Failover], path: str) -> Problems:
    for index, entry in enumerate(entries):
        where = f"{path}[{index}]"
        if entry.from_ == entry.to:
            yield error(where, "from and to must be different regions")
        if "/" in entry.from_ + entry.to:
            yield error(where, "from and to must be regions, without zones")
        if "*" in entry.from_ + entry.to:
            yield error(where, "from and to must not have wildcards")


def _shares(shares: Mapping[str, int], path: str) -> Problems:
    for locality, share in shares.items():
        if not 1 <= share <= 100:
            yield error(path_of((locality,), path), f"must be 1 to 100, not {share}")
    if sum(shares.values()) != 100:
        yield error(path, f"the shares must add up to 100, not {sum(shares.values())}")
    yield from wrong(path, overlapping(sorted(shares, key=lambda name: "*" in name)))


def overlapping(localities: Sequence[str]) -> Reason:
    """Why the localities are not a proper list: an empty part, a `*` that is not last, an overlap.

    `*` takes what the earlier ones leave over.
    """
    taken: set[tuple[str, ...]] = set()
    above: set[tuple[str, ...]] = set()
    for locality in localities:
        parts = locality.split("/", 2)
        if "" in parts:
            return f'locality "{locality}" has an empty part (region[/zone[/subzone]])'
        if "*" in locality[:-1]:
            return f'locality "{locality}" may have one "*", at its end'
        rest = parts[-1] == "*"
        plain = tuple(parts[:-1] if rest else parts)
        prefixes = {plain[:length] for length in range(len(plain) + 1)}
        if prefixes & taken or (not rest and plain in above):
            return f'locality "{locality}" overlaps an earlier one'
        taken.add(plain)
        above |= prefixes
    return None
