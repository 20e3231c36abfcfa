"""meshctl registry, as an operator types it, on real stores."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from consul_servers import Consul
from servers import Etcd, encoded, free_ports

CONFIG = "artemon/default/config/virtualservices/shop/"
COUNT = 20


def meshctl(folder: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshctl", "registry", *arguments]
    environ = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    return subprocess.run(
        command,
        cwd=folder,
        env=environ,
        input=given,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def put(etcd: Etcd, key: str, value: bytes) -> None:
    etcd.gateway("kv/put", {"key": encoded(key), "value": base64.b64encode(value).decode()})


@pytest.fixture
def filled(etcd: Etcd) -> Etcd:
    for number in range(COUNT):
        put(etcd, f"{CONFIG}v{number}", b'{"n": %d}' % number)
    return etcd


@pytest.mark.etcd
def test_a_check_names_what_is_wrong_and_changes_nothing(filled: Etcd, tmp_path: Path) -> None:
    good = meshctl(tmp_path, "check", "--registry", filled.url)
    assert (good.returncode, "FAILED" in good.stdout) == (0, False)
    put(filled, "artemon/default/strange/key", b"x")
    put(filled, f"{CONFIG}v1", b"\xff\x00")
    put(filled, "artemon/default/schema", b'{"version": 99, "reads": 99}')
    before = everything(filled)
    bad = meshctl(tmp_path, "check", "--registry", filled.url, "-o", "json")
    wrong = {one["name"]: one["detail"] for one in json.loads(bad.stdout) if not one["ok"]}
    assert bad.returncode == 1
    assert set(wrong) == {"schema", "foreign keys", "values"}
    assert "needs a release of schema 99 or newer" in wrong["schema"]
    assert "artemon/default/strange/key" in wrong["foreign keys"]
    assert f"{CONFIG}v1" in wrong["values"]
    assert everything(filled) == before


@pytest.mark.parametrize("scheme", ["etcd", "consul"])
def test_a_store_that_is_not_there_is_named_in_a_line(tmp_path: Path, scheme: str) -> None:
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    done = meshctl(tmp_path, "check", "--registry", f"{scheme}://{nowhere}?timeout=1")
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if "FAILED" in line and nowhere in line]
    moved = meshctl(tmp_path, "migrate", "--from", f"{scheme}://{nowhere}?timeout=1", "--to", "memory://")
    assert moved.returncode == 3
    assert f"meshctl: {scheme} " in moved.stderr
    assert "Traceback" not in moved.stderr


@pytest.mark.etcd
@pytest.mark.consul
def test_a_backup_goes_from_etcd_to_consul_and_nowhere_over_others(
    filled: Etcd, consul: Consul, tmp_path: Path
) -> None:
    saved = meshctl(tmp_path, "export", "--registry", filled.url, "mesh.backup")
    assert saved.returncode == 0
    assert saved.stdout.startswith(f"{COUNT} keys of artemon/default/ at revision ")
    assert (tmp_path / "mesh.backup").stat().st_mode & 0o777 == 0o600
    for written in (COUNT, 0):
        done = meshctl(tmp_path, "import", "--registry", consul.url, "mesh.backup")
        assert f"{COUNT} keys, {written} of them written now, verified" in done.stdout
    found = consul.call("GET", "/v1/kv/artemon/default/?recurse")
    values = {one["Key"]: base64.b64decode(one["Value"]) for one in found}
    assert values == {f"{CONFIG}v{number}": b'{"n": %d}' % number for number in range(COUNT)}
    put(filled, f"{CONFIG}v1", b'{"n": "another"}')
    refused = meshctl(tmp_path, "import", "--registry", filled.url, "mesh.backup")
    assert refused.returncode == 1
    assert f"already holds something else: {CONFIG}v1; nothing was written" in refused.stderr
    same = meshctl(tmp_path, "migrate", "--from", filled.url, "--to", filled.url)
    assert (same.returncode, "are the same registry" in same.stderr) == (1, True)


@pytest.mark.etcd
def test_a_backup_goes_through_a_pipe(filled: Etcd, tmp_path: Path) -> None:
    saved = meshctl(tmp_path, "export", "--registry", filled.url, "-")
    assert (saved.returncode, (tmp_path / "-").exists()) == (0, False)
    assert f"{COUNT} keys of artemon/default/" in saved.stderr
    target = f"sqlite://{tmp_path}/to.db"
    cut = meshctl(tmp_path, "import", "--registry", target, "-", given=saved.stdout[:-9])
    assert (cut.returncode, "standard input: its checksum does not fit" in cut.stderr) == (1, True)
    done = meshctl(tmp_path, "import", "--registry", target, "-", given=saved.stdout)
    assert f"{COUNT} keys, {COUNT} of them written now, verified" in done.stdout


def test_a_damaged_backup_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mesh.backup").write_bytes(b"artemon-registry-1 00\n{}")
    done = meshctl(tmp_path, "import", "--registry", f"sqlite://{tmp_path}/to.db", "mesh.backup")
    assert done.returncode == 1
    assert "mesh.backup: its checksum does not fit" in done.stderr
    assert not (tmp_path / "to.db").exists()


def everything(etcd: Etcd) -> list[dict[str, str]]:
    asked = {"key": encoded("artemon/"), "range_end": encoded("artemon0")}
    return list(etcd.gateway("kv/range", asked)["kvs"])
