"""Machines as network namespaces on a bridge of their own, for tests that need root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROXY_UID, APP_UID, OTHER_UID = 64001, 64002, 64003
"""Whom Envoy, the application and somebody else run as. They need no names."""
NETWORK = "10.77.0", "fd77::"
SWITCH = 1
"""The host number of the switch, where the control plane is."""


def missing() -> str:
    """Why this machine cannot have such namespaces; empty when it can."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in ("ip", "nft", "nsenter", "setpriv"):
        if shutil.which(tool) is None:
            return f"needs {tool} (Debian: nftables, iproute2, util-linux)"
    probe = subprocess.run(["unshare", "-n", "nft", "list", "tables"], capture_output=True, check=False)
    return "" if probe.returncode == 0 else "needs network namespaces and nftables in the kernel"


@dataclass(slots=True)
class Host:
    """One machine: a network namespace with two addresses."""

    name: str
    number: int
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def ipv4(self) -> str:
        return f"{NETWORK[0]}.{self.number}"

    @property
    def ipv6(self) -> str:
        return f"{NETWORK[1]}{self.number}"

    def argv(self, command: Sequence[str], *, uid: int = 0, caps: Sequence[str] = ()) -> list[str]:
        """`command`, as this user in this namespace; whatever user, it may read the tests' files."""
        enter = ["nsenter", f"--net=/run/netns/{self.name}"]
        if not uid:
            return [*enter, *command]
        kept = ",".join(f"+{one}" for one in ("dac_read_search", *caps))
        who = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        return [*enter, *who, f"--inh-caps={kept}", f"--ambient-caps={kept}", *command]

    def run(
        self,
        *command: str,
        uid: int = 0,
        content: str = "",
        seconds: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """The command's end, whatever it came to."""
        return subprocess.run(
            self.argv(command, uid=uid),
            input=content,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env={**os.environ, **(env or {})},
        )

    def check(self, *command: str, uid: int = 0, content: str = "") -> str:
        """What it prints; it must succeed."""
        done = self.run(*command, uid=uid, content=content)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(
        self, *command: str, log: Path, uid: int = 0, caps: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        """Start a process that ends with the namespace."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        with log.open("ab") as file:
            made = subprocess.Popen(
                self.argv(command, uid=uid, caps=caps),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environment,
                cwd="/",
            )
        self.running.append(made)
        return made

    def proxyd(
        self, *arguments: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """One of proxyd's commands, as root."""
        return self.run(
            sys.executable, "-m", "proxyd", *arguments, env={"PYTHONPATH": str(ROOT), **(env or {})}
        )

    def stop(self) -> None:
        """End everything that runs here: a namespace goes when nobody is in it."""
        for one in self.running:
            one.kill()
            one.wait()
        pids = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        for pid in pids.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), 9)


@contextlib.contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """A switch (first) and `count` machines, each of which reaches all others by IPv4 and IPv6."""
    mark = f"am{os.getpid()}"
    switch = Host(f"{mark}-sw", SWITCH)
    machines = [Host(f"{mark}-{number}", 10 + number) for number in range(1, count + 1)]
    everyone = [switch, *machines]
    try:
        for one in everyone:
            _ip("netns", "add", one.name)
            _ip("-n", one.name, "link", "set", "lo", "up")
        _ip("-n", switch.name, "link", "add", "br0", "type", "bridge")
        _addresses(switch, "br0")
        for one in machines:
            port = f"p{one.number}"
            _ip(
                "-n",
                switch.name,
                "link",
                "add",
                port,
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                one.name,
            )
            _ip("-n", switch.name, "link", "set", port, "master", "br0", "up")
            _addresses(one, "eth0")
            _ip("-n", one.name, "route", "add", "default", "via", switch.ipv4)
            _ip("-n", one.name, "-6", "route", "add", "default", "via", switch.ipv6)
        yield everyone
    finally:
        for one in everyone:
            one.stop()
        for one in everyone:
            subprocess.run(["ip", "netns", "del", one.name], capture_output=True, check=False)


@contextlib.contextmanager
def reaching_us(switch: Host) -> Iterator[str]:
    """An address at which the machines reach this one, outside of all namespaces."""
    name, address = f"am{os.getpid()}", f"{NETWORK[0]}.2"
    _ip("link", "add", name, "type", "veth", "peer", "name", "us", "netns", switch.name)
    try:
        _ip("-n", switch.name, "link", "set", "us", "master", "br0", "up")
        _ip("addr", "add", f"{address}/24", "dev", name)
        _ip("link", "set", name, "up")
        yield address
    finally:
        subprocess.run(["ip", "link", "del", name], capture_output=True, check=False)


def _addresses(host: Host, interface: str) -> None:
    _ip("-n", host.name, "addr", "add", f"{host.ipv4}/24", "dev", interface)
    _ip("-n", host.name, "addr", "add", f"{host.ipv6}/64", "dev", interface, "nodad")
    _ip("-n", host.name, "link", "set", interface, "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
