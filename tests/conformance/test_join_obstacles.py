"""What stops a machine from joining is said in one line each, before anything is changed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from netns import PROXY_UID, ROOT, Host, hosts, missing

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]
NOBODY = "https://127.0.0.1:1"
"""Nobody is there, and nobody is asked."""


class Place:
    """A machine that wants to join, and what joining could leave there."""

    def __init__(self, folder: Path, host: Host) -> None:
        self.folder, self.host = folder, host
        self.token = folder / "token"
        self.token.write_text("token")
        self.token.chmod(0o600)

    def join(
        self, flags: Mapping[str, str], *before: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        home = self.folder / "home"
        values = {
            "--config": str(home / "proxyd.yaml"),
            "--data-dir": str(home / "data"),
            "--run-dir": str(home / "run"),
            "--intercept-dir": str(home / "intercept"),
            "--token-file": str(self.token),
            "--ca-pin": "0" * 64,
            "--proxy-user": str(PROXY_UID),
            "--interception": "REDIRECT",
            **flags,
        }
        given = [part for pair in values.items() for part in pair]
        command = (*before, sys.executable, "-m", "proxyd", "join", NOBODY, *given)
        return self.host.run(*command, env={"PYTHONPATH": str(ROOT), **(env or {})})

    def traces(self) -> list[str]:
        rules = self.host.check("nft", "list", "ruleset") + self.host.check("ip", "addr", "show", "lo")
        return [rules, *sorted(map(str, self.folder.rglob("*")))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with hosts(1) as (_, one):
        yield Place(tmp_path_factory.mktemp("place"), one)


@pytest.fixture(scope="module")
def disks(place: Place) -> Iterator[dict[str, Path]]:
    """A disk that is read-only, and one that is almost full."""
    found = {name: place.folder / name for name in ("read-only", "full")}
    for (name, path), how in zip(found.items(), ("ro", "size=1m"), strict=True):
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", how, name, str(path)], check=True)
    yield found
    for path in found.values():
        subprocess.run(["umount", str(path)], check=True)


def refused(
    place: Place, said: str, flags: Mapping[str, str], *before: str, **more: Mapping[str, str]
) -> None:
    traces = place.traces()
    done = place.join(flags, *before, **more)
    lines = [line for line in done.stderr.splitlines() if said in line]
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert place.traces() == traces


@pytest.mark.parametrize(
    ("flag", "disk", "said"),
    [
        pytest.param("--data-dir", "read-only", "is its file system read-only?", id="read-only-disk"),
        pytest.param("--config", "full", "1 MB are free, and 16 MB are needed", id="full-disk"),
        pytest.param("--intercept-dir", "full", "1 MB are free, and 16 MB are needed", id="full-state"),
    ],
)
def test_disks(place: Place, disks: Mapping[str, Path], flag: str, disk: str, said: str) -> None:
    refused(place, said, {flag: str(disks[disk] / "below")})


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        pytest.param(
            {"--dns-listen": "127.0.0.1:15053", "--dns-upstream": "127.0.0.1:15053"},
            "127.0.0.1:15053 is where proxyd itself answers", id="resolver-loop",
        ),
        pytest.param(
            {"--application-unit": "web.service"}, "systemd does not run this machine", id="no-systemd"
        ),
        pytest.param({"--token-file": "/nowhere/token"}, "/nowhere/token", id="no-token"),
        pytest.param({"--include-users": "no-such-user"}, '"no-such-user" is not known', id="no-user"),
        pytest.param({"--inbound-port": "0"}, "inbound_port", id="no-port"),
    ],
)  # fmt: skip
def test_settings(place: Place, flags: Mapping[str, str], said: str) -> None:
    refused(place, said, flags)


def test_another_mesh(place: Place) -> None:
    place.host.check("iptables", "-t", "nat", "-N", "ISTIO_INBOUND")
    refused(place, "Istio intercepts on this machine already", {})
    place.host.check("nft", "delete", "table", "ip", "nat")


def test_another_mesh_of_any_name(place: Place) -> None:
    place.host.check(
        "nft", "add table inet home; add chain inet home out { type nat hook output priority -100; }"
    )
    place.host.check("nft", "add rule inet home out meta l4proto tcp meta skuid != 990 redirect to :9000")
    refused(place, "somebody (home out) intercepts on this machine already", {})
    place.host.check("nft", "delete table inet home")
    place.host.check(
        "ip6tables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-j", "REDIRECT", "--to-ports", "9000"
    )
    refused(place, "somebody (nat OUTPUT) intercepts on this machine already", {})
    place.host.check("nft", "delete table ip6 nat")


def test_no_nft_and_no_iptables(place: Place, tmp_path: Path) -> None:
    for tool in ("ip", "setpriv", "useradd"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    refused(place, "neither nft nor iptables works here", {}, "env", f"PATH={tmp_path}")
