"""A machine with a real systemd as PID 1, made of this one's own root file system; what is written stays in
an overlay. Needs root, and a network namespace."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

from netns import ROOT, Host

SYSTEMD = Path("/lib/systemd/systemd")
UNITS = ROOT / "deploy" / "systemd"
BOOT_SECONDS = 600
"""As long as a machine may take that shares its processors with many others."""
BOOT = r"""
set -e
cgroups=/sys/fs/cgroup
[ -e $cgroups/cgroup.procs ] || cgroups=$cgroups/unified
mkdir -p $cgroups/$3
echo $$ > $cgroups/$3/cgroup.procs
exec nsenter --net=/run/netns/$2 unshare --mount --uts --ipc --cgroup --pid --fork --kill-child bash -ec '
  mount --make-rprivate /
  mount -t overlay overlay -o lowerdir=/,upperdir=$1/up,workdir=$1/work $1/root
  cd $1/root
  mount -t proc proc proc
  mount -t sysfs -o ro sysfs sys
  mount -t tmpfs -o mode=755 tmpfs dev
  mkdir -p dev/pts dev/shm
  for one in null zero full random urandom tty; do touch dev/$one; mount --bind /dev/$one dev/$one; done
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
  ln -s pts/ptmx dev/ptmx
  mount -t tmpfs tmpfs dev/shm
  ln -s /proc/self/fd dev/fd
  mount -t tmpfs -o mode=755 tmpfs run
  mount -t tmpfs -o mode=1777 tmpfs tmp
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  hostname machine
  mkdir -p run/old
  pivot_root . run/old
  umount -l /run/old
  mount --make-rshared /  # credentials are mounted by a process of systemd in a namespace of its own
  export PATH=/usr/sbin:/usr/bin:/sbin:/bin
  exec env -i container=test PATH=$PATH '"$4"' --system --unit=multi-user.target < /dev/null
' boot $1
"""


def hide(path: Path) -> None:
    """Have the machine not see what lies there: an overlay's word for "deleted"."""
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(0, 0))


def missing_systemd() -> str:
    """Why there can be no such machine; empty when there can."""
    if not SYSTEMD.exists():
        return "needs systemd"
    if not Path("/usr/bin/dbus-daemon").exists():
        return "needs dbus"
    return ""


class SystemdMachine:
    """Boots in the network of `host`. folder: where its disk is; on no overlay."""

    def __init__(self, folder: Path, host: Host) -> None:
        self.folder, self.host = folder / "machine", host
        self.folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(self.folder)], check=True)
        for name in ("up", "work", "root"):
            (self.folder / name).mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._prepare()

    def _prepare(self) -> None:
        """Nothing of this machine is started there but systemd itself."""
        etc = self.folder / "up" / "etc" / "systemd" / "system"
        etc.mkdir(parents=True)
        for wants in Path("/etc/systemd/system").glob("*.wants"):
            hide(etc / wants.name)
        self._install(self.folder / "up", etc)

    def _install(self, up: Path, etc: Path) -> None:
        """Commands of this installation, units and users. Python may lie below /root, where units that
        protect home directories see nothing: that alone is switched off."""
        programs = up / "usr" / "bin"
        programs.mkdir(parents=True)
        for name in ("proxyd", "citadeld", "galleyd", "pilotd", "mixerd", "injectord", "meshctl"):
            script = f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m {name} "$@"\n'
            (programs / name).write_text(script)
            (programs / name).chmod(0o755)
        for unit in UNITS.glob("*.service"):
            shutil.copy(unit, etc)
            seen = etc / f"{unit.name}.d"
            seen.mkdir()
            (seen / "test.conf").write_text("[Service]\nProtectHome=no\n")
        for kind, folder in (("sysusers", "sysusers.d"), ("tmpfiles", "tmpfiles.d")):
            (up / "usr" / "lib" / folder).mkdir(parents=True)
            shutil.copy(UNITS / f"artemon.{kind}", up / "usr" / "lib" / folder / "artemon.conf")

    def boot(self) -> None:
        """Return when systemd says that the machine runs."""
        name = self.host.name
        command = ["bash", "-c", BOOT, "boot", str(self.folder), name, name, str(SYSTEMD)]
        with (self.folder / "console").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + BOOT_SECONDS
        while (state := self._state()) not in ("running", "degraded"):
            assert time.monotonic() < end, f"{state}: {(self.folder / 'console').read_text()}"
            time.sleep(0.1)
        self._booted()

    def _booted(self) -> None:
        """Users and directories of what was installed."""
        self.check("chmod", "o+x", "/root")
        self.check("systemd-sysusers")
        self.check("systemd-tmpfiles", "--create", "artemon.conf")

    def _state(self) -> str:
        if self._leader() is None:
            return "no leader"
        return self.run("systemctl", "is-system-running").stdout.strip()

    def _leader(self) -> int | None:
        """The PID of its systemd, as we see it."""
        assert self._process
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def argv(self, *command: str) -> list[str]:
        """What runs `command` in the machine, started by us."""
        return ["nsenter", "-t", str(self._leader()), "-m", "-u", "-i", "-n", "-p", "-C", *command]

    def run(self, *command: str, content: str = "", seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """A command in the machine."""
        path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return subprocess.run(
            self.argv(*command),
            input=content,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=path,
        )

    def check(self, *command: str, content: str = "") -> str:
        """What it prints; it must succeed."""
        done = self.run(*command, content=content)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def power_off(self) -> None:
        """As if somebody pulled the plug."""
        if self._process and (leader := self._leader()) is not None:
            os.kill(leader, signal.SIGKILL)
            self._process.wait(120)

    def remove_control_groups(self) -> None:
        """Of a machine that is off, as a kernel that starts has none."""
        for root in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
            for path in sorted((root / self.host.name).rglob("*"), key=lambda one: -len(one.parts)):
                if path.is_dir():
                    path.rmdir()
            if (root / self.host.name).is_dir():
                (root / self.host.name).rmdir()

    def clean(self) -> None:
        self.power_off()
        subprocess.run(["umount", "-l", str(self.folder)], check=False, capture_output=True)
        self.remove_control_groups()
