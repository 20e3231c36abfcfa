"""A control plane by its units, on a machine that systemd runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml
from systemd_machine import SystemdMachine

from artemon.daemon.secrets_key import make_key_file


def write(machine: SystemdMachine, path: str, content: str, *, owner: str = "root") -> None:
    machine.check("install", "-m", "600", "-o", owner, "/dev/null", path)
    machine.check("tee", path, content=content)


def control_plane(machine: SystemdMachine) -> None:
    """All daemons by their units, with settings as an operator writes them."""
    here, key = machine.host.ipv4, "/etc/artemon/secrets.key"
    identity = {"citadeld": [f"{here}:15013"], "ca_pin": "/var/lib/artemon/citadeld/root-cert.pem"}
    secrets = {"secrets_key_file": key}
    token, admin = "join_token_file", {"admin_token_file": "/var/lib/artemon/galleyd/admin.token"}
    galleyd, pilotd = ({token: f"/etc/artemon/{name}.token"} for name in ("galleyd", "pilotd"))
    for name, settings in (
        ("citadeld", {"listen": f"{here}:15013", "names": ["localhost", here]}),
        ("galleyd", {"listen": f"{here}:15014", **identity, **secrets, **galleyd, **admin}),
        ("pilotd", {"listen": f"{here}:15012", **identity, **secrets, **pilotd}),
    ):
        write(machine, f"/etc/artemon/{name}.yaml", yaml.safe_dump(settings), owner="artemon")
    with tempfile.TemporaryDirectory() as scratch:
        make_key_file(Path(scratch) / "key")
        write(machine, key, (Path(scratch) / "key").read_text(), owner="artemon")
    start(machine, "artemon-citadeld.service")
    for name in ("galleyd", "pilotd"):
        who = ("--namespace", "artemon-system", "--service-account", name)
        made = machine.check("citadeld", "token", "create", *who)
        write(machine, f"/etc/artemon/{name}.token", made, owner="artemon")
    for name in ("galleyd", "pilotd"):
        start(machine, f"artemon-{name}.service")


def start(machine: SystemdMachine, unit: str) -> None:
    done = machine.run("systemctl", "start", unit)
    assert done.returncode == 0, done.stderr + machine.run("journalctl", "-u", unit, "-o", "cat").stdout
