"""Whose traffic it is."""

from __future__ import annotations

from enum import StrEnum


class Side(StrEnum):
    """Whose requests or connections a filter chain takes."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"
    GATEWAY = "gateway"
