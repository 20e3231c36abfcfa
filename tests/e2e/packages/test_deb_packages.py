"""The Debian packages on a machine of systemd: installed, upgraded under load, removed without a trace."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from debian_packages import PYTHON, BareMachine, build, missing_debian, newer
from machine_daemons import JOINING, control_plane, write
from machine_site import ANSWER, NAMESPACE, PORT, wait
from netns import hosts, missing
from systemd_machine import missing_systemd

REASON = missing() or missing_systemd() or missing_debian()
pytestmark = [
    pytest.mark.root,
    pytest.mark.envoy,
    pytest.mark.timeout(4 * 3600),
    pytest.mark.skipif(bool(REASON), reason=REASON or "-"),
]
PROGRAMS = ("citadeld", "galleyd", "pilotd", "mixerd", "injectord", "meshctl", "proxyd", "pilot-agent")
PROXY = "artemon-proxy.service"
UNITS = (PROXY, *(f"artemon-{name}.service" for name in ("citadeld", *JOINING)))
PLUGIN = "/usr/lib/cni/artemon-cni"
PATIENCE = 300
"""Seconds that a request may wait for a daemon that is started again."""
LIBRARIES = (
    r"find /usr/lib/artemon /usr/lib/artemon-proxy -name '*.so' -exec ldd {} + | grep 'not found' || true"
)


@pytest.fixture
def machine() -> Iterator[BareMachine]:
    with tempfile.TemporaryDirectory() as name, hosts(1) as (_, one):
        folder = Path(name)
        made = BareMachine(folder, one)
        try:
            yield made
        finally:
            made.clean()


class Load:
    """Requests to one URL from another machine, one after another, until `stop`."""

    def __init__(self, machine: BareMachine, url: str) -> None:
        self.answers: list[str] = []
        self.url, self._machine, self._ended = url, machine, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        enter = ["nsenter", f"--net=/run/netns/{self._machine.host.name.rsplit('-', 1)[0]}-sw"]
        how = ["-sk", "-m", str(PATIENCE), "-o", "/dev/null", "-w", "%{http_code} %{errormsg}"]
        curl = [*enter, "curl", *how, self.url]
        while not self._ended.wait(0.02):
            done = subprocess.run(curl, capture_output=True, text=True, check=False)
            self.answers.append(done.stdout.strip() or str(done.returncode))

    def stop(self) -> list[str]:
        self._ended.set()
        self._thread.join()
        return self.answers


def test_packages_come_are_exchanged_and_go(machine: BareMachine, tmp_path: Path) -> None:
    first = build(tmp_path)
    second = [newer(one, tmp_path) for one in first]
    machine.place([*first, *second])
    machine.boot()
    before = machine.traces()
    machine.install(*first)
    for program in PROGRAMS:
        assert "0.1.0" in machine.check(program, "--version")
    assert "0.1.0" in machine.check(PLUGIN, "--version")
    assert "1.1.0" in machine.check("env", "CNI_COMMAND=VERSION", PLUGIN, content='{"cniVersion": "1.1.0"}')
    assert machine.check("sh", "-c", LIBRARIES) == ""
    listed = machine.check("systemctl", "list-unit-files", "--no-legend", "artemon*")
    assert "artemon-pilotd.service" in listed
    assert {line.split()[1] for line in listed.splitlines()} <= {"disabled", "static"}
    control_plane(machine)
    join(machine)
    here = machine.host.ipv4
    loads = [Load(machine, f"http://{here}:{PORT}/")]
    loads += [Load(machine, f"https://{here}:{door}") for door in ("15014/version", "15017/healthz")]
    try:
        for packages in (second, first):
            upgrade(machine, packages, loads)
    finally:
        for load in loads:
            load.stop()
    for load in loads:
        assert set(load.answers) == {"200"}, (load.url, load.answers)
    machine.check("dpkg", "--remove", "artemon-proxy")
    assert machine.check("nft", "list", "ruleset") == before["rules"]
    assert machine.run("pgrep", "-x", "envoy").stdout == ""
    machine.check("dpkg", "--purge", "artemon-proxy")
    assert main_pid(machine, "artemon-pilotd.service"), "the control plane stays"
    assert machine.run("ls", "/etc/artemon/pilotd.yaml").returncode == 0
    machine.check("dpkg", "--purge", "artemon")
    machine.check("systemctl", "stop", "web.service")
    machine.check("rm", "/root/application.py", "/root/bundle.yaml")
    assert machine.traces() == before


def upgrade(machine: BareMachine, packages: Sequence[Path], loads: Sequence[Load]) -> None:
    """Both packages, forth or back; then Envoy, when the operator says so."""
    envoy = machine.check("pgrep", "-x", "envoy")
    before = {unit: main_pid(machine, unit) for unit in UNITS}
    asked = [len(load.answers) for load in loads]
    machine.install(*packages)
    wait(lambda: "HTTP 200" in machine.run("proxyd", "check").stdout, lambda: "proxyd is not back", PATIENCE)
    for unit in UNITS:
        assert main_pid(machine, unit) not in {before[unit], 0}, unit
    assert machine.check("pgrep", "-x", "envoy") == envoy, "Envoy served all the while"
    machine.check("systemctl", "reload", PROXY)
    wait(
        lambda: not {*envoy.split()} & {*machine.run("pgrep", "-x", "envoy").stdout.split()},
        lambda: machine.run("journalctl", "-u", PROXY, "-o", "cat").stdout,
        PATIENCE,
    )
    assert machine.run("pgrep", "-x", "envoy").stdout, "another has taken over"
    for load, number in zip(loads, asked, strict=True):
        wait(lambda one=load, n=number: len(one.answers) > n + 5, lambda one=load: f"{one.url}: too few", 600)


def join(machine: BareMachine) -> None:
    """With an application of Debian's Python."""
    write(machine, "/root/application.py", ANSWER)
    machine.check("systemd-run", "--unit=web", "--quiet", PYTHON, "/root/application.py", "web", str(PORT))
    where = ("--server", f"https://{machine.host.ipv4}:15014")
    trust = ("--ca", "/var/lib/artemon/citadeld/root-cert.pem")
    admin = ("--token-file", "/var/lib/artemon/galleyd/admin.token")
    who = ("--service-account", "web", "--service", "web", "--port", f"http:{PORT}:HTTP", "-n", NAMESPACE)
    out = ("--out", "/root/bundle.yaml")
    machine.check("meshctl", "vm", "bootstrap", *who, *where, *trust, *admin, *out)
    own = ("--ip-address", machine.host.ipv4, "--exclude-inbound-ports", "15012,15013,15014,15016")
    told = machine.check("proxyd", "join", "--bundle", "/root/bundle.yaml", *own)
    assert "which answered HTTP 200" in told


def main_pid(machine: BareMachine, unit: str) -> int:
    return int(machine.check("systemctl", "show", "-p", "MainPID", "--value", unit))
