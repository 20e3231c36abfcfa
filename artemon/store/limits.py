"""The limits common to all backends, checked before a backend is asked: what fits one fits every one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from artemon.errors import StoreError, TooLarge
from artemon.store.api import MAX_TXN_BYTES, MAX_TXN_OPS, MAX_VALUE, Check, Op, Put

MAX_KEY = 1024
MIN_TTL = 2.0
KEY = re.compile(r"[a-zA-Z0-9._~-][a-zA-Z0-9._/~-]*", re.ASCII)
NO_SEGMENT = ("", ".", "..")
"""What no part of a key may be: HTTP servers, Consul's among them, read something else into such paths."""


def check_key(key: str) -> None:
    """Raises StoreError for a key that not every backend takes."""
    if not KEY.fullmatch(key):
        raise StoreError(f"key {key!r}: must consist of a-z, A-Z, 0-9, '.', '_', '~', '-', and '/' inside")
    if any(part in NO_SEGMENT for part in key.split("/")):
        raise StoreError(f"key {key!r}: no part between slashes may be empty, '.' or '..'")
    if len(key) > MAX_KEY:
        raise TooLarge(f"key {key[:40]}...: has {len(key)} characters; at most {MAX_KEY} are allowed")


def check_prefix(prefix: str) -> None:
    """Raises StoreError for a prefix that no key can have. The empty prefix is every key."""
    if prefix:
        check_key(prefix.removesuffix("/"))


def check_txn(checks: Sequence[Check], ops: Sequence[Op]) -> None:
    """Raises TooLarge over the limits, StoreError for what makes no sense: no key twice, no empty check."""
    if len(ops) > MAX_TXN_OPS or len(checks) > MAX_TXN_OPS:
        raise TooLarge(
            f"transaction of {len(ops)} operations and {len(checks)} checks: at most {MAX_TXN_OPS} of each"
        )
    if not ops:
        raise StoreError("transaction without an operation: use get or list to read")
    _check_keys(checks, ops)
    total = 0
    for op in ops:
        size = len(op.value) if isinstance(op, Put) else 0
        if size > MAX_VALUE:
            raise TooLarge(f"{op.key}: the value has {size} bytes; at most {MAX_VALUE} are allowed")
        total += size + len(op.key)
    if total > MAX_TXN_BYTES:
        raise TooLarge(f"transaction of {total} bytes: at most {MAX_TXN_BYTES} are allowed; split it")


def _check_keys(checks: Sequence[Check], ops: Sequence[Op]) -> None:
    for check in checks:
        check_key(check.key)
        if check.version is None and check.created is None:
            raise StoreError(f"{check.key}: a check needs a version or the version of creation")
    seen: set[str] = set()
    for op in ops:
        check_key(op.key)
        if op.key in seen:
            raise StoreError(f"{op.key}: is written twice in one transaction")
        seen.add(op.key)


def check_ttl(ttl: float) -> None:
    """Raises StoreError for a lease shorter than every backend can keep."""
    if not ttl >= MIN_TTL:
        raise StoreError(f"lease of {ttl} s: must be at least {MIN_TTL:g} s")


def end_of(prefix: str) -> str:
    """The least string greater than every key that starts with `prefix` (no key contains a byte over '~')."""
    return prefix + "\x7f"
