"""What stops a machine from joining is said in one line each, before anything is changed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from netns import PROXY_UID, ROOT, Host, hosts, missing

from artemon.pki.certificate import Authority, Leaf, chain_pem, make_intermediate, make_leaf, make_root
from artemon.pki.keys import generate_key, private_pem
from artemon.pki.spiffe import SYSTEM_NAMESPACE, SpiffeId

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]
TRUST = "cluster.local"
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
        """Rules, addresses, routing, processes, users and files."""
        rules = self.host.check("nft", "list", "ruleset") + self.host.check("ip", "addr", "show", "lo")
        rules += self.host.check("ip", "rule") + self.host.check("ip", "-6", "rule")
        processes = subprocess.run(
            ["ip", "netns", "pids", self.host.name], capture_output=True, text=True, check=True
        ).stdout
        users = Path("/etc/passwd").read_text(encoding="utf-8")
        return [rules, processes, users, *sorted(map(str, self.folder.rglob("*")))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with hosts(1) as (_, one):
        yield Place(tmp_path_factory.mktemp("place"), one)


@pytest.fixture(scope="module")
def disks(place: Place) -> Iterator[dict[str, Path]]:
    """A disk that is read-only, one that is almost full, one that takes no more files, and a directory that
    is mounted again, read-only."""
    found = {name: place.folder / name for name in ("read-only", "full", "no-inodes", "bound")}
    for (name, path), how in zip(found.items(), ("ro", "size=1m", "size=64m,nr_inodes=1", ""), strict=True):
        path.mkdir()
        tmpfs = ["mount", "-t", "tmpfs", "-o", how, name, str(path)]
        subprocess.run(tmpfs if how else ["mount", "--bind", str(path), str(path)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(found["bound"])], check=True)
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
        pytest.param("--config", "no-inodes", "no more files can be made there (inodes)", id="no-inodes"),
        pytest.param("--run-dir", "bound", "is its file system read-only?", id="read-only-mount"),
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


NEW = {"--proxy-user": "artemon-nobody-yet"}
"""A user that joining would have to make."""
READ_ONLY_ETC = 'mount --bind /etc /etc && mount -o remount,bind,ro /etc && exec "$@"'


def test_users_cannot_be_made(place: Place, tmp_path: Path) -> None:
    refused(place, "/etc cannot be written to", NEW, "unshare", "--mount", "sh", "-c", READ_ONLY_ETC, "sh")
    for tool in ("ip", "nft", "setpriv"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    refused(place, "useradd is not there: install the package passwd", NEW, "env", f"PATH={tmp_path}")


def test_nobody_can_become_the_proxys_user(place: Place, tmp_path: Path) -> None:
    for tool in ("ip", "nft"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    refused(place, "setpriv is not there: install the package util-linux", {}, "env", f"PATH={tmp_path}")


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory, place: Place) -> dict[int, Path]:
    """Servers in place of citadeld, each with a chain that is valid in another year; their roots, by how many
    years from now. The first port is 15101."""
    found = {}
    for number, year in enumerate((-1, 0, 1)):
        folder = tmp_path_factory.mktemp("year")
        chain_of_a_server(folder, datetime.now(UTC) + timedelta(days=365 * year))
        command = ("openssl", "s_server", "-accept", f"127.0.0.1:{15101 + number}", "-quiet", "-naccept", "9",
                   "-cert", "leaf.pem", "-key", "key.pem", "-cert_chain", "chain.pem")  # fmt: skip
        place.host.start("env", "-C", str(folder), *command, log=folder / "log")
        found[year] = folder / "root.pem"
    end = time.monotonic() + 60
    while place.host.check("ss", "-Hltn").count(":1510") < len(found):
        assert time.monotonic() < end, "no servers"
        time.sleep(0.1)
    return found


def chain_of_a_server(folder: Path, now: datetime) -> None:
    """As citadeld's, made at another time."""
    root_key, own_key, leaf_key = generate_key(), generate_key(), generate_key()
    day = timedelta(days=1)
    root = make_root(root_key, TRUST, serial=1, now=now, lifetime=day)
    signs = Authority(root, root_key)
    own = make_intermediate(own_key.public_key(), signs, TRUST, serial=2, now=now, lifetime=day)
    who = SpiffeId(TRUST, SYSTEM_NAMESPACE, "citadeld")
    leaf = make_leaf(
        Leaf(who, leaf_key.public_key(), day, ()), Authority(own, own_key, (root,)), serial=3, now=now
    )
    (folder / "root.pem").write_bytes(chain_pem([root]))
    (folder / "chain.pem").write_bytes(chain_pem([own, root]))
    (folder / "leaf.pem").write_bytes(chain_pem([leaf]))
    (folder / "key.pem").write_bytes(private_pem(leaf_key))


@pytest.mark.parametrize(
    ("port", "year", "said"),
    [
        pytest.param(15101, -1, "set the clock; no token was sent", id="clock-ahead"),
        pytest.param(15103, 1, "set the clock; no token was sent", id="clock-behind"),
        pytest.param(15102, 1, "is not trusted by the pin", id="another-root"),
    ],
)
def test_whom_no_token_is_sent_to(
    place: Place, years: Mapping[int, Path], port: int, year: int, said: str
) -> None:
    refused(place, said, {"--ca-pin": str(years[year]), "--citadeld-join": f"127.0.0.1:{port}"})


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
