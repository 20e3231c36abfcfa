"""Amounts of resources as Kubernetes writes them ("100m", "1Gi"), in its canonical form."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_FORM = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,2})?"
)
_DECIMAL = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def canonical(written: Any) -> str:
    """`2000m` -> `2`, `1024Mi` -> `1Gi` (apimachinery `resource.Quantity`). Raises ValueError."""
    text = (
        str(written).strip()
        if isinstance(written, str | int | float) and not isinstance(written, bool)
        else ""
    )
    found = _FORM.fullmatch(text)
    if found is None or len(text) > 40:
        raise ValueError(f'must be an amount such as "100m" or "128Mi", not "{written}"')
    number, unit = Decimal(found.group(1)), found.group(2) or ""
    if number < 0:
        raise ValueError(f'must not be negative, as "{written}" is')
    if unit[:1] in {"e", "E"} and len(unit) > 1 and unit != "Ei":
        return f"{number * Decimal(10) ** int(unit[1:])}" if number == 0 else text
    return _binary(number, unit) if unit.endswith("i") else _decimal(number, unit)


def _binary(number: Decimal, unit: str) -> str:
    amount, power = number * Decimal(1024) ** _BINARY.index(unit), 0
    if amount != amount.to_integral_value():
        return _decimal(amount, "")
    while amount and power < len(_BINARY) - 1 and amount % 1024 == 0:
        amount, power = amount / 1024, power + 1
    return f"{int(amount)}{_BINARY[power]}"


def _decimal(number: Decimal, unit: str) -> str:
    nano = number * Decimal(1000) ** _DECIMAL.index(unit)
    amount, power = nano.to_integral_value(rounding="ROUND_UP"), 0
    while amount and power < len(_DECIMAL) - 1 and amount % 1000 == 0:
        amount, power = amount / 1000, power + 1
    return f"{int(amount)}{_DECIMAL[power]}" if amount else "0"
