"""What is known of the rules in force: confirmed ones come back at boot, others are taken back in time."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from artemon.daemon.files import make_private_dir, read_secret, write_secret
from artemon.errors import ArtemonError
from proxyd.intercept.capture import EVERY, Capture, networks
from proxyd.intercept.steps import Backend

FILE = "state.json"
LOCK = "lock"
_NETWORKS = ("outbound", "past_outbound", "dns")
_SETS = (
    "inbound", "past_inbound", "outbound_ports", "past_outbound_ports", "users", "past_users", "groups",
    "past_groups",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pending:
    """Rules on trial. until: Unix time at which they are taken back."""

    capture: Capture
    id: str
    until: float


@dataclass(frozen=True, slots=True)
class State:
    """confirmed: what stays. pending: what is on trial in its place."""

    backend: Backend = Backend.NFT
    confirmed: Capture | None = None
    pending: Pending | None = None

    @property
    def in_force(self) -> Capture | None:
        """What packets are led by now."""
        return self.pending.capture if self.pending else self.confirmed

    def on_trial(self, capture: Capture, backend: Backend, *, mark: str, until: float) -> State:
        """With rules that were applied and not confirmed."""
        return replace(self, backend=backend, pending=Pending(capture, mark, until))

    def settled(self) -> State:
        """With what is in force confirmed."""
        return replace(self, confirmed=self.in_force, pending=None)


class StateFile:
    """The state of one proxy on disk, beside those of the machine's other proxies. One process at a time
    changes any of them. name: "" is the proxy without a name."""

    def __init__(self, directory: Path, name: str = "") -> None:
        self._directory = directory
        self._path = directory / (f"{name}.{FILE}" if name else FILE)

    def others(self) -> dict[str, State]:
        """The states of the other proxies by name. Raises ArtemonError when one cannot be read."""
        found = {}
        for path in sorted(self._directory.glob(f"*{FILE}")):
            name = path.name.removesuffix(FILE).removesuffix(".")
            if path != self._path:
                found[name] = StateFile(self._directory, name).load()
        return found

    def names(self) -> tuple[str, ...]:
        """The names of all proxies with a state."""
        return tuple(
            path.name.removesuffix(FILE).removesuffix(".")
            for path in sorted(self._directory.glob(f"*{FILE}"))
        )

    def delete(self) -> None:
        """Forget all."""
        self._path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Wait for others who change rules. Raises ArtemonError when the directory cannot be had."""
        make_private_dir(self._directory)
        try:
            with (self._directory / LOCK).open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise ArtemonError(f"{self._directory}: {error.strerror}") from error

    def load(self) -> State:
        """Raises ArtemonError when the file is not what we wrote."""
        content = read_secret(self._path)
        if content is None:
            return State()
        try:
            return _state(json.loads(content))
        except (ValueError, KeyError, TypeError) as error:
            raise ArtemonError(f"{self._path}: is not readable ({error}); delete it") from error

    def save(self, state: State) -> None:
        """Raises ArtemonError when it cannot be written: full, or read-only."""
        write_secret(self._path, json.dumps(_shown(state), indent=1).encode())


def capture_shown(capture: Capture) -> dict[str, Any]:
    """As JSON."""
    shown = asdict(capture)
    for name in _NETWORKS:
        if shown[name] != EVERY:
            shown[name] = [str(one) for one in shown[name]]
    for name in _SETS:
        if shown[name] != EVERY:
            shown[name] = sorted(shown[name])
    return shown


def _shown(state: State) -> dict[str, Any]:
    shown: dict[str, Any] = {"backend": state.backend.value}
    if state.confirmed:
        shown["confirmed"] = capture_shown(state.confirmed)
    if state.pending:
        pending = state.pending
        shown["pending"] = {
            "id": pending.id, "until": pending.until, "capture": capture_shown(pending.capture)
        }  # fmt: skip
    return shown


def _state(shown: dict[str, Any]) -> State:
    pending = shown.get("pending")
    return State(
        backend=Backend(shown["backend"]),
        confirmed=_capture(shown["confirmed"]) if "confirmed" in shown else None,
        pending=Pending(_capture(pending["capture"]), pending["id"], pending["until"]) if pending else None,
    )


def _capture(shown: dict[str, Any]) -> Capture:
    values = dict(shown)
    for name in _NETWORKS:
        values[name] = values[name] if values[name] == EVERY else networks(*values[name])
    for name in _SETS:
        values[name] = values[name] if values[name] == EVERY else frozenset(values[name])
    for name in ("past_interfaces", "virtual_interfaces"):
        values[name] = tuple(values.get(name, ()))
    groups = values.get("cgroups", EVERY)
    values["cgroups"] = EVERY if groups == EVERY else tuple(groups)
    return Capture(**values)
