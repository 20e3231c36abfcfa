"""A listener in the making: services add their chains, and what two of them claim goes to the first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from envoy.config.listener.v3.listener_components_pb2 import FilterChain


@dataclass(slots=True)
class Draft:
    """route: the table of its HTTP chain, "" for none. chains: those that match on addresses or server names.
    rest: the chain of all other connections. private: only the instance itself may connect, for whoever does
    acts in its name."""

    address: str
    port: int
    captured: bool
    private: bool = False
    route: str = ""
    grpc_web: bool = False
    looks_up: bool = False
    chains: list[FilterChain] = field(default_factory=list)
    rest: FilterChain | None = None
    _claimed: set[bytes] = field(default_factory=set)

    def take(self, chains: Iterable[FilterChain]) -> None:
        """Adds chains; Envoy would refuse a second one with the same condition."""
        for chain in chains:
            condition = chain.filter_chain_match.SerializeToString(deterministic=True)
            if condition in self._claimed:
                continue
            self._claimed.add(condition)
            if condition:
                self.chains.append(chain)
            else:
                self.rest = chain
