"""Applications as Debian has them, which know nothing of a mesh, as services of a machine of systemd."""

from __future__ import annotations

import shutil
from pathlib import Path

from debian_packages import PYTHON
from machine_daemons import write
from machine_site import ANSWER, PORT
from systemd_machine import SystemdMachine

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
PORTS = {"api": 8081, "redis": 6379, "postgres": 5432}
_NGINX = f"""
daemon off; pid /run/web.pid; error_log stderr;
events {{}}
http {{ access_log off;
  server {{ listen {PORT}; listen [::]:{PORT}; location / {{ return 200 "nginx answers"; }} }} }}
"""
_UNIT = """
[Service]
User={user}
ExecStart={command}
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""


def applications() -> list[str]:
    """What there is: web always (nginx, or Python where that is not installed)."""
    found = ["web", "api"]
    found += ["redis"] if shutil.which("redis-server") else []
    found += ["postgres"] if POSTGRES else []
    return found


def ports() -> list[dict[str, object]]:
    """As settings of proxyd have them."""
    rows: list[dict[str, object]] = [{"name": "http", "number": PORT, "protocol": "HTTP"}]
    for name in applications()[1:]:
        rows.append({"name": name, "number": PORTS[name], "protocol": "HTTP" if name == "api" else "TCP"})
    return rows


def serve(machine: SystemdMachine) -> None:
    """Start all there are, and at every boot."""
    write(machine, "/root/application.py", ANSWER)
    write(machine, "/root/nginx.conf", _NGINX)
    python = f"{PYTHON} /root/application.py"
    nginx = shutil.which("nginx")
    commands = {
        "web": ("root", f"{nginx} -c /root/nginx.conf" if nginx else f"{python} web {PORT}"),
        "api": ("root", f"{python} api {PORTS['api']}"),
        "redis": (
            "nobody",
            "/usr/bin/redis-server --port 6379 --bind * -::* --protected-mode no --save '' --dir /tmp",
        ),
        "postgres": ("postgres", ""),
    }
    if POSTGRES:
        commands["postgres"] = ("postgres", _postgres(machine, POSTGRES[-1].parent))
    for name in applications():
        user, command = commands[name]
        unit = f"/etc/systemd/system/app-{name}.service"
        machine.check("tee", unit, content=_UNIT.format(user=user, command=command))
    machine.check("systemctl", "daemon-reload")
    machine.check("systemctl", "enable", "--now", *(f"app-{name}.service" for name in applications()))


def _postgres(machine: SystemdMachine, programs: Path) -> str:
    """What starts one that is made here, for everybody."""
    data = "/var/cache/mesh-postgres"
    who = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
    machine.check("install", "-d", "-o", "postgres", "-g", "postgres", "-m", "700", data)
    machine.check(*who, str(programs / "initdb"), "-D", data, "-A", "trust", "--no-sync")
    machine.check(*who, "tee", "-a", f"{data}/pg_hba.conf", content="host all all all trust\n")
    return f"{programs / 'postgres'} -D {data} -k /tmp -c listen_addresses=*"


def asked(machine: SystemdMachine, name: str, host: str) -> str:
    """What the application `name` at `host` answers to a user of `machine` who is nobody in particular."""
    url = f"[{host}]" if ":" in host else host
    commands = {
        "web": ("curl", "-sg", "-m", "20", f"http://{url}:{PORT}/"),
        "api": ("curl", "-sg", "-m", "20", f"http://{url}:{PORTS['api']}/"),
        "redis": ("redis-cli", "-h", host, "ping"),
        "postgres": (str(POSTGRES[-1].with_name("psql")) if POSTGRES else "", "-h", host, "-U", "postgres",
                     "-Atc", "select 'post' || 'gres'"),
    }  # fmt: skip
    who = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "PGCONNECT_TIMEOUT=20")
    return machine.run("timeout", "60", *who, *commands[name]).stdout.strip()


ANSWERS = {
    "web": ("nginx answers", '"name": "web"'),
    "api": ('"name": "api"',),
    "redis": ("PONG",),
    "postgres": ("postgres",),
}
"""One of which is in what they answer."""


def answers(machine: SystemdMachine, name: str, host: str) -> bool:
    """Whether `name` answers at `host`."""
    told = asked(machine, name, host)
    return any(one in told for one in ANSWERS[name])
