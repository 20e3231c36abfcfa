"""Whether the machine has IPv6."""

from __future__ import annotations

from pathlib import Path

ADDRESSES = Path("/proc/net/if_inet6")


def has_ipv6() -> bool:
    """Whether any interface has an IPv6 address; loopback has one unless IPv6 is switched off."""
    try:
        return bool(ADDRESSES.read_text(encoding="ascii").strip())
    except OSError:
        return False
