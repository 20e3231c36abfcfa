"""The steps of joining: what can stop it first, then an identity, then the proxy, then its connections."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import yaml

from artemon import log
from artemon.daemon.envoy import find, version
from artemon.daemon.files import make_private_dir, write_public
from artemon.daemon.identity import Identity, IdentityKeeper
from artemon.daemon.identity_files import load_identity, save_identity
from artemon.errors import ArtemonError
from artemon.pki.subject import subject_text
from proxyd import systemd
from proxyd.intercept.apply import Interception, guard_process
from proxyd.intercept.capture import Capture
from proxyd.intercept.machine import Machine, look
from proxyd.intercept.obstacles import notices, obstacles
from proxyd.intercept.resolve import counted, resolve
from proxyd.joining import running
from proxyd.joining.application import check_application, hold, let_go
from proxyd.joining.journal import Journal
from proxyd.joining.prospects import check_prospects
from proxyd.joining.slices import hold_slices, let_slices_go
from proxyd.settings import ProxydSettings

NAME = "proxyd"
SECONDS = 30.0
LEAVING_SECONDS = 1.0
"""Between the proxy's goodbye and the end of interception: peers have stopped sending by then."""
TO_BE_MADE = {"proxy_user": "65534"}
"""Stands for a user that will be made, while it is found out what could stop us."""
Tell = Callable[[str], None]


def obtain(settings: ProxydSettings) -> Identity:
    """The identity, by joining; on disk when this returns, and not before. Raises ArtemonError."""
    log.setup(level="warning", form=settings.log_format)
    final = Path(settings.data_dir)
    made = final.with_name(f"{final.name}.joining")
    node = settings.node or socket.gethostname()
    subject = subject_text(settings.service or node, settings.labels, settings.cluster_id)
    options = replace(settings.identity_options, directory=made, node=node, workload=subject)
    shutil.rmtree(made, ignore_errors=True)
    new = _missing(final)
    make_private_dir(made)
    try:
        keeper = IdentityKeeper(options, log.Log(NAME))
        asyncio.run(asyncio.wait_for(keeper.start(), SECONDS))
        with _ours(final):
            save_identity(final, keeper.current())
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        for path in sorted(map(Path, new), key=lambda one: -len(one.parts)):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return keeper.current()


@contextmanager
def _ours(directory: Path) -> Iterator[None]:
    """Ours to write into, and the proxy's again with all that is in it, where it was the proxy's before."""
    before = directory.stat() if directory.exists() else None
    if before is not None and before.st_uid != os.geteuid():
        os.chown(directory, os.geteuid(), os.getegid())
    make_private_dir(directory)
    try:
        yield
    finally:
        if before is not None:
            for path in (directory, *directory.rglob("*")):
                os.chown(path, before.st_uid, before.st_gid, follow_symlinks=False)


def write_settings(path: Path, settings: ProxydSettings) -> None:
    """The settings to run with. Raises ArtemonError."""
    values = settings.model_dump(mode="json", exclude_unset=True, exclude={"join_token_file"})
    values["node"] = settings.node or socket.gethostname()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtemonError(f"{path.parent} cannot be made: {error.strerror}") from error
    write_public(path, yaml.safe_dump(values, sort_keys=False).encode())


def join_machine(settings: ProxydSettings, config: Path, *, ask: bool, tell: Tell) -> None:
    """Everything, one line for each step that is done. ask: whether to ask citadeld, or there is an identity.

    Raises ArtemonError; until an identity was obtained, nothing was changed.
    """
    config = config.absolute()
    directory = Path(settings.intercept_dir)
    journal = Journal.load(directory, settings.instance)
    _check(settings, config, tell)
    data, run = Path(settings.data_dir), Path(settings.run_dir)
    fresh = [path for path in (data, run) if not path.exists()]
    before = _missing(config, data, run, directory)
    identity = obtain(settings) if ask else _known(settings)
    tell(f"identity {identity.spiffe_id}, until {identity.not_after.isoformat(timespec='seconds')}")
    journal.paths = sorted({*journal.paths, *before})
    journal.trees = sorted({*journal.trees, *map(str, fresh)})
    journal.save()
    _stop(journal, settings, config)
    if running.is_to_be_made(settings.proxy_user):
        running.make_user(settings.proxy_user)
        journal.user = settings.proxy_user
        journal.save()
    write_settings(config, settings)
    _give(data, run, owner=running.ids(settings))
    tell(f"settings in {config}")
    _start(journal, settings, config, tell)
    if settings.intercepts:
        _intercept(settings, config, tell)
    else:
        tell(_ask_a_peer(config))
    if settings.application_unit:
        hold(settings, config)
        tell(f"peers are told before {settings.application_unit} stops")


def leave_machine(settings: ProxydSettings, config: Path, tell: Tell) -> None:
    """Undo it all. Peers stop sending before connections are no longer led to the proxy, which ends last."""
    config = config.absolute()
    directory = Path(settings.intercept_dir)
    journal = Journal.load(directory, settings.instance)
    if not journal.file.exists():
        raise ArtemonError(f"nothing has joined here: there is no {journal.file}")
    let_go(settings)
    let_slices_go(settings)
    stopping = running.stop_later(journal.unit, journal.pid, config)
    running.pause(LEAVING_SECONDS if stopping else 0)
    interception = Interception(directory, settings.instance)
    interception.remove()
    others = interception.forget()
    if not others and running.knows(running.INTERCEPT_UNIT):
        running.systemctl("disable", "--now", running.INTERCEPT_UNIT)
    tell("connections are no longer led to the proxy")
    _stop(journal, settings, config)
    tell("proxy stopped")
    if journal.user:
        running.delete_user(journal.user)
    kept = journal.undo_paths()
    tell("files removed" + (f"; in use by others, and kept: {', '.join(kept)}" if kept else ""))


def _check(settings: ProxydSettings, config: Path, tell: Tell) -> None:
    """What could stop us later."""
    if os.geteuid() != 0:
        raise ArtemonError("joining starts a service and changes rules: run this as root, or say --no-start")
    binary = find(settings.envoy)
    if not systemd.is_ours():
        tell("note: systemd does not run this machine: a reboot does not bring the proxy back")
    tell(f"Envoy runs here: {version(binary)}")
    check_application(settings)
    check_prospects(settings, config)
    if settings.intercepts:
        new = running.is_to_be_made(settings.proxy_user)
        _, machine = _possible(settings.model_copy(update=TO_BE_MADE) if new else settings)
        ports = ", ".join(map(str, sorted(machine.sessions | {22})))
        tell(f"interception is possible; SSH on {ports} stays as it is")


def _possible(settings: ProxydSettings) -> tuple[Capture, Machine]:
    """What is to be captured on this machine as it is now. Raises ArtemonError with all that stops it."""
    machine = look(counted(settings))
    capture = resolve(settings, sessions=machine.sessions, resolvers=machine.resolvers)
    others = Interception(Path(settings.intercept_dir), settings.instance).others()
    if stops := obstacles(capture, machine, others):
        raise ArtemonError("\n".join(stops))
    return capture, machine


def _known(settings: ProxydSettings) -> Identity:
    """The identity of an earlier join."""
    options = settings.identity_options
    found = load_identity(options.directory, options.spiffe_id, datetime.now(UTC))
    if found is None:
        raise ArtemonError(f"there is no identity in {options.directory}: say --token-file")
    return found


def _missing(*paths: Path) -> list[str]:
    found = {str(one.absolute()) for path in paths for one in (path, *path.parents) if not one.exists()}
    return sorted(found)


def _give(*trees: Path, owner: tuple[int, int]) -> None:
    """Directories of the proxy, with all that is in them."""
    for tree in trees:
        with _ours(tree):
            pass
        for path in (tree, *tree.rglob("*")):
            os.chown(path, *owner, follow_symlinks=False)


def _start(journal: Journal, settings: ProxydSettings, config: Path, tell: Tell) -> None:
    journal.unit = running.unit_of(config)
    output = Path(settings.intercept_dir) / f"{settings.instance or 'proxyd'}.log"
    if journal.unit:
        journal.save()
        running.systemctl("enable", "--now", journal.unit)
        seconds = running.wait_ready(settings, 0, f"journalctl -u {journal.unit}")
        tell(f"{journal.unit} is ready after {seconds:.1f} s")
        return
    journal.pid = running.start_process(config, settings, output)
    journal.save()
    seconds = running.wait_ready(settings, journal.pid, str(output))
    tell(f"the proxy (pid {journal.pid}) is ready after {seconds:.1f} s")


def _stop(journal: Journal, settings: ProxydSettings, config: Path) -> None:
    if journal.unit:
        running.systemctl("disable", "--now", journal.unit)
    if journal.pid:
        running.stop_process(journal.pid, config, settings.drain_seconds)
    journal.unit, journal.pid = "", 0
    if journal.directory.exists():
        journal.save()


def _intercept(settings: ProxydSettings, config: Path, tell: Tell) -> None:
    """On trial until a request by mutual TLS has succeeded."""
    capture, machine = _possible(settings)
    interception = Interception(Path(settings.intercept_dir), settings.instance)
    guard = guard_process(("--intercept-dir", settings.intercept_dir, "--instance", settings.instance))
    state = interception.apply(capture, machine.backend, guard=guard)
    tell(f"connections are led to the proxy ({settings.interception} by {machine.backend})")
    try:
        tell(_ask_a_peer(config))
    except ArtemonError:
        if state.pending:
            interception.take_back(state.pending.id)
        raise
    interception.confirm()
    if running.knows(running.INTERCEPT_UNIT):
        running.systemctl("enable", "--now", running.INTERCEPT_UNIT)
        tell(f"{running.INTERCEPT_UNIT} brings this back at boot")
    hold_slices(settings)
    for one in notices(capture, machine):
        tell(f"note: {one}")


def _ask_a_peer(config: Path) -> str:
    """What `proxyd check` prints. Raises ArtemonError with what stopped it."""
    command = [sys.executable, "-P", "-m", "proxyd", "check", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * SECONDS, check=False)
    if done.returncode != 0:
        raise ArtemonError(done.stderr.strip().removeprefix("proxyd check: "))
    return done.stdout.strip()
