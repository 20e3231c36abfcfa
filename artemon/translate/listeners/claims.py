"""Which connections a filter chain takes, where an earlier chain of its listener takes some already."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.listener.v3.listener_components_pb2 import FilterChain, FilterChainMatch

Claim = tuple[bytes, str, str]
"""One condition as Envoy compares them: all that is no list, a server name, a destination block."""


class Claims:
    """The conditions that are taken. Envoy refuses a listener in which two chains have one in common."""

    def __init__(self) -> None:
        self._taken: set[Claim] = set()

    def left(self, chain: FilterChain) -> list[FilterChain]:
        """What remains of a chain: it, parts of it, or nothing. Later chains do not get that any more."""
        match = chain.filter_chain_match
        other = FilterChainMatch()
        other.CopyFrom(match)
        del other.server_names[:]
        del other.prefix_ranges[:]
        common = other.SerializeToString(deterministic=True)
        alike: dict[tuple[int, ...], list[str]] = {}
        for name in match.server_names or ("",):
            free = self._claim(common, name, match.prefix_ranges)
            if free:
                alike.setdefault(free, []).append(name)
        return [_narrowed(chain, names, blocks) for blocks, names in alike.items()]

    def _claim(self, common: bytes, name: str, ranges: Iterable[CidrRange]) -> tuple[int, ...]:
        """The places of the destination blocks that nobody has; (0,) for a chain without blocks."""
        found = []
        for place, block in enumerate([_block(one) for one in ranges] or [""]):
            claim = (common, name, block)
            if claim not in self._taken:
                self._taken.add(claim)
                found.append(place)
        return tuple(found)


def _block(block: CidrRange) -> str:
    """Equal for ranges that mean the same addresses."""
    return str(ip_network(f"{block.address_prefix}/{block.prefix_len.value}", strict=False))


def _narrowed(chain: FilterChain, names: list[str], blocks: tuple[int, ...]) -> FilterChain:
    match = chain.filter_chain_match
    if len(names) == len(match.server_names or names) and len(blocks) == len(match.prefix_ranges or blocks):
        return chain
    out = FilterChain()
    out.CopyFrom(chain)
    del out.filter_chain_match.server_names[:]
    out.filter_chain_match.server_names.extend(name for name in names if name)
    if match.prefix_ranges:
        del out.filter_chain_match.prefix_ranges[:]
        out.filter_chain_match.prefix_ranges.extend(match.prefix_ranges[place] for place in blocks)
    return out
