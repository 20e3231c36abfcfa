"""Removing what is over: expired tokens, records of expired certificates and of their keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from artemon.store.api import Check, Delete, Entry, Store
from citadeld.issuer import is_over
from citadeld.tokens import Tokens

KEEP = timedelta(hours=1)
"""How long a record outlives its certificate, for clocks that differ."""
AT_ONCE = 32


async def sweep(store: Store, prefix: str, tokens: Tokens, *, now: datetime) -> int:
    """Remove what is over; how many keys. What another replica touches meanwhile stays. Raises StoreError."""
    over: tuple[tuple[str, Callable[[Entry], bool]], ...] = (
        ("trust/tokens/", tokens.is_over),
        ("trust/issued/", lambda entry: is_over(entry.value, now - KEEP)),
        ("trust/keys/", lambda entry: is_over(entry.value, now - KEEP)),
    )
    removed = 0
    for place, gone in over:
        found = [entry for entry in (await store.list(prefix + place)).entries if gone(entry)]
        for start in range(0, len(found), AT_ONCE):
            part = found[start : start + AT_ONCE]
            checks = [Check(entry.key, version=entry.version) for entry in part]
            if (await store.txn(checks, [Delete(entry.key) for entry in part])).ok:
                removed += len(part)
    return removed
