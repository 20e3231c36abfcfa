"""A root that never meets a daemon: made by meshctl, citadeld issues under what it left."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from citadel_rig import CART, running, settings_in

from artemon.pki.csr import make_csr
from artemon.pki.keys import generate_key

pytestmark = pytest.mark.slow


def init(folder: Path, replica: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshctl", "ca", "init", "--offline", "--root-dir", str(folder / "root")]
    command += ["--replica-dir", str(folder / replica), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
async def test_citadeld_issues_under_a_root_that_it_has_no_key_of(tmp_path: Path, kind: str) -> None:
    done = init(tmp_path, "one", "--key-type", kind)
    assert (done.returncode, done.stdout[:5]) == (0, "root "), done.stderr
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "ca-cert.pem",
        "ca-key.pem",
        "root-cert.pem",
    ]
    shutil.copytree(tmp_path / "one", tmp_path / "ca")
    async with running(settings_in(tmp_path)) as rig:
        chain = await rig.by_token(make_csr(generate_key(), CART), await rig.token())
    for name, text in (("leaf", chain[0]), ("ca", chain[1])):
        (tmp_path / f"{name}.pem").write_text(text)
    command = ["openssl", "verify", "-x509_strict", "-CAfile", "root/root-cert.pem", "-untrusted", "ca.pem"]
    checked = subprocess.run(
        [*command, "leaf.pem"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "leaf.pem: OK" in checked.stdout, checked.stderr


def test_two_replicas_share_the_root_alone(tmp_path: Path) -> None:
    assert init(tmp_path, "one").stdout == init(tmp_path, "two").stdout
    ours, theirs = ((tmp_path / name / "ca-key.pem").read_bytes() for name in ("one", "two"))
    assert ours != theirs
    again = init(tmp_path, "one")
    assert (again.returncode, "already" in again.stderr) == (1, True)
