"""A control plane by its units, on a machine that systemd runs."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path

import yaml
from systemd_machine import SystemdMachine

from artemon.daemon.secrets_key import make_key_file

JOINING = ("galleyd", "pilotd", "mixerd", "injectord")
"""Daemons that get their identity from citadeld."""
REGISTRY = "sqlite:///var/lib/artemon/mesh.db"


def write(machine: SystemdMachine, path: str, content: str, *, owner: str = "root") -> None:
    machine.check("install", "-m", "600", "-o", owner, "/dev/null", path)
    machine.check("tee", path, content=content)


def credential(machine: SystemdMachine, name: str, content: str) -> None:
    """Something that root alone can read, and systemd passes to a unit."""
    machine.check("mkdir", "-p", "-m", "700", "/etc/credstore")
    write(machine, f"/etc/credstore/artemon.{name}", content)


def control_plane(machine: SystemdMachine) -> None:
    """All daemons by their units, with settings as an operator writes them, and systemd's credentials."""
    here = machine.host.ipv4
    identity = {"citadeld": [f"{here}:15013"], "ca_pin": "/var/lib/artemon/citadeld/root-cert.pem"}
    joins = {**identity, "join_token_file": "credential:join-token"}
    sealed = {"secrets_key_file": "credential:secrets-key"}
    admin = {"admin_token_file": "/var/lib/artemon/galleyd/admin.token"}
    own = {"names": ["localhost", here], "key_encryption": "credential:key-encryption"}
    for name, settings in (
        ("citadeld", {"listen": f"{here}:15013", **own}),
        ("galleyd", {"listen": f"{here}:15014", **joins, **sealed, **admin}),
        ("pilotd", {"listen": f"{here}:15012", **joins, **sealed}),
        ("mixerd", {"listen": f"{here}:15004", "registry": REGISTRY, **joins}),
        ("injectord", {"listen": f"{here}:15017", **joins}),
    ):
        write(machine, f"/etc/artemon/{name}.yaml", yaml.safe_dump(settings), owner="artemon")
    with tempfile.TemporaryDirectory() as scratch:
        make_key_file(Path(scratch) / "key")
        credential(machine, "secrets-key", (Path(scratch) / "key").read_text())
    credential(machine, "citadeld.key-encryption", secrets.token_hex(32))
    start(machine, "artemon-citadeld.service")
    for name in JOINING:
        who = ("--namespace", "artemon-system", "--service-account", name)
        made = machine.check("citadeld", "token", "create", *who)
        credential(machine, f"{name}.join-token", made)
    start(machine, *(f"artemon-{name}.service" for name in JOINING))
    asked = machine.check(
        "curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", f"https://{here}:15017/healthz"
    )
    assert asked == "200", "injectord's webhook"


def start(machine: SystemdMachine, *units: str) -> None:
    """Return when all say that they are ready."""
    done = machine.run("systemctl", "start", *units)
    logs = (machine.run("journalctl", "-u", unit, "-o", "cat").stdout for unit in units)
    assert done.returncode == 0, done.stderr + "".join(logs)
