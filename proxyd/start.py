"""From what pilotd says of how Envoy is started to an Envoy that was started so."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from google.protobuf.message import DecodeError

from artemon.api.v1.start_pb2 import BootstrapPatch, ProxyStart, StartSettings
from artemon.errors import ArtemonError
from artemon.log import Log
from artemon.xds.resource import Resource
from artemon.xds.types import START
from proxyd.bells import Bells
from proxyd.bootstrap import Json, with_local_cluster
from proxyd.launch import Launch, plain
from proxyd.supervisor import Supervisor
from proxyd.view import Sent, View

PATIENCE_SECONDS = 10.0
"""How long a first Envoy waits for what pilotd says, when nothing is known from before."""
JUDGE_SECONDS = 60.0
MOST_WORKERS = 256
_PLACE = re.compile(r"^(\[[^\]]*\] ?)*")
"""Where and when Envoy says something."""


class Refusal(ArtemonError):
    """A resource that cannot be used. name: which."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


@dataclass(frozen=True)
class Told:
    """What pilotd says comes to. used: versions by name, trials: those that are on trial (empty: a removal),
    refused: version and reason."""

    launch: Launch
    used: Sent
    trials: Sent
    refused: Mapping[str, tuple[str, str]]


class Start:
    """Decides what Envoy is started with, and replaces it when that changes. `moved` is rung when pilotd's
    resources are in use or refused.

    own: the bootstrap of this machine's settings, concurrency: theirs.
    """

    def __init__(
        self,
        view: View,
        supervisor: Supervisor,
        *,
        own: Json,
        concurrency: int,
        binary: Path,
        moved: Bells,
        log: Log,
    ) -> None:
        self._view = view
        self._supervisor = supervisor
        self._own = own
        self._concurrency = concurrency
        self._binary = binary
        self._moved = moved
        self._log = log
        self._used: Sent = {}

    async def first(self, changed: Bells, *, ask: bool) -> None:
        """Settle what the first Envoy is started with. ask: whether there is a pilotd to wait for."""
        if ask and not self._view.desired()[START].items:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._heard(changed)
            except TimeoutError:
                self._log.warning("envoy is started without what pilotd says of it", waited=PATIENCE_SECONDS)
        told = await self._told()
        self._supervisor.use(told.launch)
        self._settle(told)

    async def follow(self, changed: Bells) -> None:
        """Until cancelled, after `first`; `changed` rings when the view has changed."""
        with changed.listen() as wake:
            while True:
                wake.clear()
                if self._versions() != self._used or self._view.on_trial(START):
                    await self._change()
                    continue
                await wake.wait()

    def _versions(self) -> Sent:
        return {name: item.version for name, item in self._view.desired()[START].items.items()}

    async def _heard(self, changed: Bells) -> None:
        with changed.listen() as wake:
            while not self._view.desired()[START].items:
                wake.clear()
                await wake.wait()

    async def _change(self) -> None:
        told = await self._told()
        if told.launch != self._supervisor.launch:
            self._log.info("envoy is replaced: how it is started has changed")
            try:
                await self._supervisor.change(told.launch)
            except ArtemonError as error:
                reason = f"Envoy with it was of no use: {error}"
                tried = {name: version for name, version in told.used.items() if name in told.trials}
                told = replace(told, refused={**told.refused, **{one: (tried[one], reason) for one in tried}})
        self._settle(told)
        await self._supervisor.settle()

    def _settle(self, told: Told) -> None:
        """Say what of it is in use, and what is refused."""
        for name, (version, reason) in told.refused.items():
            self._log.error("start of envoy refused", resource=name, reason=reason)
            self._view.refused(START, {name: version}, reason)
            if self._versions().get(name) == version:
                self._view.forget(START, name)  # good once, and not with this Envoy
        kept = {name: version for name, version in told.used.items() if name not in told.refused}
        self._view.accepted(START, kept | {name: "" for name, version in told.trials.items() if not version})
        self._used = self._versions()
        self._moved.ring()

    async def _told(self) -> Told:
        """What can be used of what the view has, one resource judged after the other."""
        trials, items = self._view.on_trial(START), dict(self._view.desired()[START].items)
        good, refused = dict(self._view.good().get(START, {})), dict[str, tuple[str, str]]()
        while True:
            try:
                launch = await self._from(items)
            except Refusal as refusal:
                name = refusal.name
                bad = items.pop(name)
                refused.setdefault(name, (bad.version, str(refusal)))
                if name in good and good[name].version != bad.version:
                    items[name] = good[name]
            else:
                used = {name: item.version for name, item in items.items()}
                return Told(launch, used, trials, refused)

    async def _from(self, items: Mapping[str, Resource]) -> Launch:
        settings, patches = _read(items)
        concurrency = self._concurrency
        if settings.HasField("concurrency"):
            concurrency = min(settings.concurrency or os.cpu_count() or 1, MOST_WORKERS)
        own, local = self._own, settings.local_cluster
        if local:
            own = with_local_cluster(own, local)
        environment = tuple(sorted(settings.environment.items()))
        if not patches and not environment:
            return plain(own, concurrency)
        text = await asyncio.to_thread(self._patched, own, patches) if patches else json.dumps(own, indent=1)
        return Launch(text, concurrency, environment, tuple(patches))

    def _patched(self, own: Json, patches: Mapping[str, BootstrapPatch]) -> str:
        """The bootstrap with the patches; Envoy itself has looked at it. Raises Refusal."""
        from proxyd.patched import patched  # what it imports is large, and most proxies have no patches

        stages = patched(own, patches, refuse=Refusal)
        if self._complaint(stages[-1][1]):
            for name, text in stages:
                complaint = self._complaint(text)
                if complaint:
                    raise Refusal(name, complaint)
        return stages[-1][1]

    def _complaint(self, text: str) -> str:
        """What Envoy has against a bootstrap, "" for nothing."""
        with tempfile.TemporaryDirectory(prefix="proxyd-") as folder:
            (Path(folder) / "bootstrap.json").write_text(text)
            try:
                done = subprocess.run(
                    [self._binary, "--mode", "validate", "-c", "bootstrap.json", "-l", "error"],
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    timeout=JUDGE_SECONDS,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                return f"Envoy could not be asked: {error}"
        lines = [_PLACE.sub("", line) for line in done.stderr.splitlines() if line.strip()]
        return "" if done.returncode == 0 else (lines[-1] if lines else f"exit status {done.returncode}")


def _read(items: Mapping[str, Resource]) -> tuple[StartSettings, dict[str, BootstrapPatch]]:
    """The settings, and the patches in order. Raises Refusal."""
    settings, patches = StartSettings(), dict[str, BootstrapPatch]()
    for name, item in items.items():
        try:
            part = ProxyStart.FromString(item.body)
        except DecodeError as error:
            raise Refusal(name, f"it cannot be read: {error}") from error
        if part.HasField("patch"):
            patches[name] = part.patch
        elif part.HasField("settings"):
            settings = part.settings
    return settings, dict(sorted(patches.items(), key=lambda one: (one[1].place, one[0])))
