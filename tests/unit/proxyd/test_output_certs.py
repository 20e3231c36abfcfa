"""Certificates as files: whole generations, whoever may read them, and nothing of others touched."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from artemon.daemon.identity_files import Identity
from artemon.log import Log
from artemon.pki.spiffe import SpiffeId
from proxyd.output_certs import OutputCerts

THEN = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = Identity(SpiffeId("td", "shop", "web"), b"chain 1", b"key 1", b"roots", THEN, THEN)
SECOND = replace(FIRST, cert_chain_pem=b"chain 2", key_pem=b"key 2")
NAMES = {"key.pem": b"key 1", "cert-chain.pem": b"chain 1", "root-cert.pem": b"roots"}


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in NAMES}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_are_there_and_only_the_key_is_secret(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "certs"
    OutputCerts(folder, "", Log("test")).publish(FIRST)
    assert content(folder) == NAMES
    assert [mode(folder / name) for name in NAMES] == [0o600, 0o644, 0o644]


def test_a_generation_replaces_another_as_a_whole(tmp_path: Path) -> None:
    certs = OutputCerts(tmp_path, "", Log("test"))
    certs.publish(FIRST)
    with (tmp_path / "key.pem").open("rb") as held:
        certs.publish(SECOND)
        assert held.read() == b"key 1"
    assert content(tmp_path) == {**NAMES, "key.pem": b"key 2", "cert-chain.pem": b"chain 2"}
    assert len([one for one in tmp_path.iterdir() if one.is_dir() and not one.is_symlink()]) == 1
    before = os.stat(tmp_path / "key.pem").st_ino
    certs.publish(SECOND)
    assert os.stat(tmp_path / "key.pem").st_ino == before


def test_what_a_killed_proxyd_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f"..0123456789abcdef.{os.getpid()}").mkdir()
    (tmp_path / "..key.pem.new").symlink_to("nowhere")
    OutputCerts(tmp_path, "", Log("test")).publish(FIRST)
    assert content(tmp_path) == NAMES
    assert len(list(tmp_path.glob("..*"))) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to a group")
def test_a_group_may_read_the_key(tmp_path: Path) -> None:
    OutputCerts(tmp_path, "64010", Log("test")).publish(FIRST)
    assert (tmp_path / "key.pem").stat().st_gid == 64010
    assert mode(tmp_path / "key.pem") == 0o640


@pytest.mark.parametrize("group", ["", "no-such-group"])
def test_what_cannot_be_is_logged_and_changes_nothing(tmp_path: Path, group: str) -> None:
    if not group:
        (tmp_path / "key.pem").write_text("mine")
    OutputCerts(tmp_path, group, Log("test")).publish(FIRST)
    assert [one.name for one in tmp_path.iterdir()] == ([] if group else ["key.pem"])
