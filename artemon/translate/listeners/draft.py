"""A listener in the making: services add their chains, and what two of them claim goes to the first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from envoy.config.listener.v3.listener_components_pb2 import FilterChain

from artemon.translate.listeners.claims import Claims


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
    grpc: bool = False
    looks_up: bool = False
    chains: list[FilterChain] = field(default_factory=list)
    rest: FilterChain | None = None
    _claims: Claims = field(default_factory=Claims)

    def take(self, chains: Iterable[FilterChain]) -> None:
        """Adds chains, as far as no earlier one takes the same connections."""
        for chain in chains:
            for free in self._claims.left(chain):
                if free.filter_chain_match.ByteSize():
                    self.chains.append(free)
                else:
                    self.rest = free
