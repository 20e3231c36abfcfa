"""What docs/operate/registries.md tells an operator to type is typed here, and then the rights are used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Open
from consul_door import SecureCluster
from servers import Etcd
from test_store_consul_door import use_everything

PAGE = Path(__file__).parents[2] / "docs" / "operate" / "registries.md"


def typed(block: str, folder: Path, **environ: str) -> str:
    """Run a block of the page; what it printed."""
    (script,) = re.findall(rf"^```sh {block}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(folder), **environ}
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_test_that_it_names_is_there() -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 30
    files = {
        path.name: path.read_text(encoding="utf-8") for path in PAGE.parents[2].glob("tests/**/test_*.py")
    }
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in files.get(file, "")]
    assert missing == []


@pytest.mark.etcd
async def test_the_role_of_etcd(etcd: Etcd, tmp_path: Path, opened: Open) -> None:
    typed("etcd", tmp_path, ETCD=f"http://127.0.0.1:{etcd.port}", ROOT_PASSWORD="r", PASSWORD="secret")
    (tmp_path / "password").write_text("secret\n")
    await use_everything(await opened(etcd.url, user="artemon", password_file=tmp_path / "password"))


@pytest.mark.consul
async def test_the_policy_of_consul(secure_consul: SecureCluster, tmp_path: Path, opened: Open) -> None:
    client = secure_consul.client
    options = f"--cacert {secure_consul.authority.file} --cert {client.cert} --key {client.key}"
    server, file = secure_consul.cluster.servers[0], tmp_path / "token"
    where = f"https://{server.target}"
    typed(
        "consul", tmp_path, CONSUL=where, TOKEN=secure_consul.management, CURL=options, TOKEN_FILE=str(file)
    )
    settings = secure_consul.settings(file.read_text().strip(), "from-page")
    await use_everything(await opened(secure_consul.cluster.url, **settings))


@pytest.mark.etcd
async def test_backup_and_move(shared_etcd: Etcd, tmp_path: Path, opened: Open) -> None:
    store = await opened(f"sqlite://{tmp_path}/from.db")
    for number in range(100):
        await store.put(f"artemon/default/config/virtualservices/shop/v{number}", b"{}")
    old, new = f"sqlite://{tmp_path}/from.db", f"sqlite://{tmp_path}/to.db"
    assert "100 keys, 100 of them written now" in typed("backup", tmp_path, FROM=old, TO=new)
    target = await opened(shared_etcd.url)
    for entry in (await target.list("artemon/default/")).entries:
        await target.delete(entry.key)
    assert "the same at revision" in typed("move", tmp_path, FROM=old, OTHER=shared_etcd.url)
    assert len((await target.list("artemon/default/")).entries) == 100
    for entry in (await target.list("artemon/default/")).entries:
        await target.delete(entry.key)
