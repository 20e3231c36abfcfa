"""Values that validation refuses at the door, read without failing: one bad object hurts only itself."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from artemon.model.service import Protocol


def protocol_of(text: str, *, otherwise: Protocol = Protocol.TCP) -> Protocol:
    """The protocol that `text` names; an unknown one is `otherwise`, by default plain bytes."""
    try:
        return Protocol.parse(text)
    except ValueError:
        return otherwise


def is_ip(text: str) -> bool:
    """Whether `text` is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def networks(texts: Iterable[str]) -> list[IPv4Network | IPv6Network] | None:
    """The address blocks that `texts` name, host bits ignored; None when one of them is none."""
    try:
        return [ip_network(text, strict=False) for text in texts]
    except ValueError:
        return None
