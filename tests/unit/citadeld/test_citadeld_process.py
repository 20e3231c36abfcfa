"""citadeld as a process: its command line, and what a kill -9 leaves behind."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from citadel_rig import CART, Rig, running, settings_in
from click.testing import CliRunner
from cryptography import x509

from artemon.daemon.audit import check_chain
from artemon.daemon.files import InsecureFile
from artemon.errors import ArtemonError
from artemon.pki.certificate import load_certificates
from artemon.pki.csr import make_csr
from artemon.pki.keys import generate_key
from artemon.store.open import open_store
from citadeld.__main__ import main
from citadeld.app import key_room
from citadeld.settings import CitadelSettings

pytestmark = pytest.mark.slow

CITADELD = [sys.executable, "-m", "citadeld"]


def flags(settings: CitadelSettings) -> list[str]:
    names = ("data_dir", "registry", "listen", "join_listen", "socket")
    return [part for name in names for part in (f"--{name.replace('_', '-')}", str(getattr(settings, name)))]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*CITADELD, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


async def start(settings: CitadelSettings) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *CITADELD, *flags(settings), stderr=asyncio.subprocess.PIPE, cwd=Path.cwd()
    )
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while b"serving" not in (line := await process.stderr.readline()):
            assert line, "citadeld ended before it served"
    return process


async def issue_until_it_dies(rig: Rig, token: str, got: list[x509.Certificate]) -> None:
    while True:
        try:
            chain = await rig.by_token(make_csr(generate_key(), CART), token)
        except grpc.aio.AioRpcError:
            return
        got += load_certificates(chain[0].encode())


async def test_everything_issued_before_a_kill_is_on_record(tmp_path: Path) -> None:
    rig, got = Rig(settings_in(tmp_path)), list[x509.Certificate]()
    for _ in range(2):
        before = len(got)
        process = await start(rig.settings)
        token = await rig.token(uses=1000)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(issue_until_it_dies(rig, token, got))
            async with asyncio.timeout(30):
                while len(got) < before + 10:
                    await asyncio.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            await process.wait()
    serials = {f"{one.serial_number:x}" for one in got}
    store = await open_store(rig.settings.registry)
    try:
        records = (await store.list("artemon/default/trust/issued/")).entries
    finally:
        await store.close()
    whole = [line for line in rig.audit if line.endswith(b"\n")]
    audited = {line["serial"] for line in map(json.loads, whole) if line["decision"] == "issued"}
    assert len(serials) == len(got) >= 20
    assert serials <= audited <= {entry.key.rpartition("/")[2] for entry in records}
    assert check_chain(whole) == len(whole)


async def test_tokens_by_command_line(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    process = await start(settings)
    asked = ["token", "create", "--namespace", "shop", "--service-account", "cart"]
    asked += ["--socket", str(settings.socket)]
    try:
        made = await asyncio.to_thread(run, *asked)
        assert await Rig(settings).by_token(make_csr(generate_key(), CART), made.stdout.strip())
        assert settings.socket.stat().st_mode & 0o777 == 0o600
        second = await asyncio.to_thread(run, *flags(settings))
        assert (second.returncode, "another process" in second.stderr) == (1, True)
        (tmp_path / "else").mkdir()
        with pytest.raises(ArtemonError, match="port is in use"):
            async with running(settings_in(tmp_path / "else", listen=settings.listen)):
                pass
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    nobody = await asyncio.to_thread(run, *asked)
    assert nobody.returncode == 3
    assert "Traceback" not in second.stderr + nobody.stderr
    checked = CliRunner().invoke(main, ["check-audit", str(settings.data_dir / "audit.jsonl")])
    assert (checked.exit_code, checked.output) == (0, "3 lines, none missing, none changed\n")


def test_init_makes_a_root_once(tmp_path: Path) -> None:
    arguments = ["init", "--data-dir", str(tmp_path / "ca"), "--trust-domain", "mesh.example"]
    made = CliRunner().invoke(main, arguments)
    assert made.exit_code == 0
    assert (tmp_path / "ca" / "root-key.pem").stat().st_mode & 0o777 == 0o600
    again = CliRunner().invoke(main, arguments)
    assert (again.exit_code, "has a root already" in again.output) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--trust-domain", "Upper"], "trust_domain"),
        (["--names", "*.example"], "neither a DNS name"),
        (["--names", "proxyd=a.example"], '"proxyd" is not one of'),
        (["--listen", "nowhere"], "is not an address"),
        (["--leaf-seconds", "100000"], "leaf_seconds"),
        (["--socket", "/" + "a" * 200], "more than 100 characters"),
    ],
)
def test_wrong_settings_are_said(arguments: Sequence[str], text: str) -> None:
    checked = CliRunner().invoke(main, ["--check-config", *arguments])
    assert checked.exit_code == 2
    assert text in checked.output
    assert "Traceback" not in checked.output


def test_settings_are_shown() -> None:
    assert CliRunner().invoke(main, ["--check-config"]).exit_code == 0
    assert "listen: 127.0.0.1:15013" in CliRunner().invoke(main, ["--print-config"]).output


async def test_key_that_others_can_read_stops_the_start(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    key_room(settings).make_root()
    (settings.data_dir / "root-key.pem").chmod(0o644)
    with pytest.raises(InsecureFile, match="chmod 600"):
        async with running(settings):
            pass
