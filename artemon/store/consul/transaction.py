"""A transaction in Consul's words, and what its refusal means. No I/O.

What Consul lacks is made up for: a put of the same value counts as a change, because every write carries a
number of its own in `Flags`; a check of the version of creation becomes one of the present version, which
was read before and is read again when it has moved; a key bound to another lease is unbound first.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from artemon.errors import LeaseGone, StoreError, TooLarge
from artemon.store.api import ABSENT, Check, Delete, Entry, Op, Put
from artemon.store.consul.errors import Conflict

Known = Mapping[str, Entry | None]
Operation = dict[str, Any]
MAX_OPERATIONS = 128
NEVER = (1 << 63) - 1
"""An index that no key has."""


class Moved(StoreError):
    """Keys that were read before are not as they were: read them again."""

    def __init__(self, keys: set[str]) -> None:
        self.keys = keys
        super().__init__(f"consul: {', '.join(sorted(keys))} changed at the same time")


class Transaction:
    """One attempt. known: keys as they were read before (those of checks of creation, those bound elsewhere).
    nonce: a number that no other write has."""

    def __init__(self, checks: Sequence[Check], ops: Sequence[Op], known: Known, nonce: int) -> None:
        self._checks, self._known, self._nonce = checks, known, nonce
        self.operations: list[Operation] = []
        self._owners: list[Check | Op] = []
        puts = {op.key for op in ops if isinstance(op, Put) and not op.lease}
        self._merged = {check.key: check for check in checks if check.created is None and check.key in puts}
        for check in checks:
            if self._merged.get(check.key) is not check:
                self._check(check)
        for op in ops:
            self._op(op)
        if not any(isinstance(op, Put) for op in ops):
            self._mark(next(op for op in ops if isinstance(op, Delete)))
        if len(self.operations) > MAX_OPERATIONS:
            raise TooLarge(f"transaction: Consul takes {MAX_OPERATIONS} operations and checks; split it")

    def _add(self, owner: Check | Op, verb: str, key: str, **more: Any) -> None:
        self._owners.append(owner)
        self.operations.append({"Verb": verb, "Key": key, **more})

    def _check(self, check: Check) -> None:
        wanted = [] if check.version is None else [check.version]
        if check.created is not None:
            found = self._known.get(check.key)
            created = ABSENT if found is None else found.created
            wanted.append(NEVER if created != check.created else ABSENT if found is None else found.version)
        for version in wanted:
            if version == ABSENT:
                self._add(check, "check-not-exists", check.key)
            else:
                self._add(check, "check-index", check.key, Index=version)

    def _op(self, op: Op) -> None:
        if isinstance(op, Delete):
            self._add(op, "delete", op.key)
            return
        value = {"Value": base64.b64encode(op.value).decode(), "Flags": self._nonce}
        found = self._known.get(op.key)
        if found is not None and found.lease not in {"", op.lease}:
            self._add(op, "unlock", op.key, Session=found.lease, **value)
        if op.lease:
            self._add(op, "lock", op.key, Session=op.lease, **value)
        elif (check := self._merged.get(op.key)) is not None:
            self._add(check, "cas", op.key, Index=check.version, **value)
        else:
            self._add(op, "set", op.key, **value)

    def _mark(self, op: Delete) -> None:
        """A delete alone tells no index: write the key before, in the same transaction."""
        place = self._owners.index(op)
        self._owners.insert(place, op)
        self.operations.insert(place, {"Verb": "set", "Key": op.key, "Flags": self._nonce})

    def refused(self, conflict: Conflict) -> tuple[str, ...]:
        """The keys whose check failed, in the order of checks. Raises Moved (try again), LeaseGone,
        StoreError."""
        failed: set[int] = set()
        moved: set[str] = set()
        trouble: StoreError | None = None
        for fault in conflict.faults:
            owner = self._owners[fault.operation] if fault.operation >= 0 else None
            if isinstance(owner, Check):
                failed.add(id(owner))
                if owner.created is not None and self.operations[fault.operation].get("Index") != NEVER:
                    moved.add(owner.key)
            elif isinstance(owner, Put) and "invalid session" in fault.reason:
                trouble = LeaseGone(f"{owner.key}: the lease {owner.lease} is over")
            elif isinstance(owner, Put) and "lock" in fault.reason:
                moved.add(owner.key)
            else:
                trouble = StoreError(f"consul: {fault.reason}")
        certain = [check for check in self._checks if id(check) in failed and check.key not in moved]
        if moved and not certain:
            raise Moved(moved)
        if not failed and trouble is not None:
            raise trouble
        return tuple(check.key for check in self._checks if id(check) in failed)


def index_of(written: Sequence[Mapping[str, Any]]) -> int:
    """The version that a transaction gave to what it wrote."""
    return max(int(entry["ModifyIndex"]) for entry in written)


def still_bound(ops: Sequence[Op], written: Sequence[Mapping[str, Any]]) -> list[Operation]:
    """What unbinds the keys that were written without lease and are bound to one: a plain write of Consul's
    keeps the binding."""
    free = {op.key: op for op in ops if isinstance(op, Put) and not op.lease}
    found: list[Operation] = []
    for entry in written:
        op, session = free.get(entry["Key"]), entry.get("Session")
        if op is not None and session:
            value = {"Value": base64.b64encode(op.value).decode(), "Flags": entry["Flags"]}
            found.append({"Verb": "check-index", "Key": op.key, "Index": entry["ModifyIndex"]})
            found.append({"Verb": "unlock", "Key": op.key, "Session": session, **value})
    return found
