"""Two rules that ask for the same connections: the first keeps them, the second gets what remains."""

from __future__ import annotations

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.listener.v3.listener_components_pb2 import FilterChain

from artemon.translate.listeners.claims import Claims


def chain(*names: str, blocks: tuple[str, ...] = (), transport: str = "") -> FilterChain:
    out = FilterChain()
    out.filter_chain_match.server_names.extend(names)
    out.filter_chain_match.transport_protocol = transport
    for block in blocks:
        address, _, length = block.partition("/")
        out.filter_chain_match.prefix_ranges.append(CidrRange(address_prefix=address))
        out.filter_chain_match.prefix_ranges[-1].prefix_len.value = int(length)
    return out


def taken(*chains: FilterChain) -> list[list[tuple[list[str], list[str]]]]:
    """What each chain gets, as server names and destination blocks."""
    claims = Claims()
    return [[_said(part) for part in claims.left(one)] for one in chains]


def _said(one: FilterChain) -> tuple[list[str], list[str]]:
    match = one.filter_chain_match
    return list(match.server_names), [f"{b.address_prefix}/{b.prefix_len.value}" for b in match.prefix_ranges]


def test_a_name_stays_with_the_first() -> None:
    assert taken(chain("a"), chain("a", "b"), chain("a")) == [[(["a"], [])], [(["b"], [])], []]


def test_a_name_that_is_said_twice_counts_once() -> None:
    assert taken(chain("a", "a", "b")) == [[(["a", "b"], [])]]


def test_blocks_that_mean_the_same_addresses() -> None:
    first, second = chain(blocks=("10.1.0.0/16",)), chain(blocks=("10.1.2.3/16", "10.2.0.0/16"))
    assert taken(first, second)[1] == [([], ["10.2.0.0/16"])]


def test_names_and_blocks_are_taken_together() -> None:
    first = chain("a", blocks=("10.1.0.0/16",))
    second = chain("a", "b", "c", blocks=("10.1.0.0/16", "10.2.0.0/16"))
    rest = [(["a"], ["10.2.0.0/16"]), (["b", "c"], ["10.1.0.0/16", "10.2.0.0/16"])]
    assert taken(first, second)[1] == rest


def test_other_conditions_tell_apart() -> None:
    assert taken(chain("a"), chain("a", transport="tls"))[1] == [(["a"], [])]


def test_a_chain_for_everything_is_taken_once() -> None:
    assert taken(chain(), chain()) == [[([], [])], []]
