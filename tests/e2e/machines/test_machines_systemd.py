"""A whole mesh by its units on a machine that systemd runs: join, a killed proxyd, flushed rules, a reboot,
leave."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine_daemons import JOINING, control_plane, start
from machine_site import ANSWER, NAMESPACE, PORT, wait
from netns import hosts, missing
from systemd_machine import SystemdMachine, missing_systemd
from task_page import run_page

REASON = missing() or missing_systemd()
pytestmark = [
    pytest.mark.root,
    pytest.mark.envoy,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(REASON), reason=REASON or "-"),
]
APPLICATION = "/root/application.py"
GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {{name: {service}, namespace: {namespace}}}
spec: {{template: {{serviceAccount: {service}, ports: {{http: {port}}}}}}}
"""
WEB = f"""
[Service]
ExecStart={sys.executable} {APPLICATION} web {PORT}
[Install]
WantedBy=multi-user.target
"""
ONE_QUERY = f"""
import dns.message, dns.query
asked = dns.message.make_query("web.{NAMESPACE}.svc.cluster.local", "A")
answer = dns.query.udp(asked, "127.0.0.1", port=15053, timeout=100)
print(*(one.address for row in answer.answer for one in row))
"""
"""Asked once; what it prints."""
SERVICES = {"cart": 8181, "bill": 8182}
STATE, CONFIGS = "/var/lib/artemon", "/etc/artemon/proxyd"
STRICT = f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default, namespace: {NAMESPACE}}}
spec: {{mtls: {{mode: STRICT}}}}
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[SystemdMachine]:
    with tempfile.TemporaryDirectory() as name, hosts(1) as (_, one):
        made = SystemdMachine(Path(name), one)
        try:
            made.boot()
            made.check("tee", APPLICATION, content=ANSWER)
            control_plane(made)
            yield made
        finally:
            made.clean()


def serve(machine: SystemdMachine) -> None:
    machine.check("tee", "/etc/systemd/system/web.service", content=WEB)
    machine.check("systemctl", "daemon-reload")
    machine.check("systemctl", "enable", "--now", "web.service")


def the_unit_decides(machine: SystemdMachine) -> None:
    """Peers are told before the application is stopped, at once when it fails, and when it is back."""
    becomes(machine, "HEALTHY")
    machine.check("systemctl", "stop", "web.service")
    becomes(machine, "DRAINING")
    drained = moment(machine, "artemon-drain.service", "InactiveEnterTimestampMonotonic")
    assert drained <= moment(machine, "web.service", "ActiveExitTimestampMonotonic")
    machine.check("systemctl", "start", "web.service")
    becomes(machine, "HEALTHY")
    machine.check("systemctl", "kill", "-s", "KILL", "web.service")
    becomes(machine, "UNHEALTHY")
    machine.check("systemctl", "start", "web.service")
    becomes(machine, "HEALTHY")


def fields_in_the_journal(machine: SystemdMachine) -> None:
    told = ("journalctl", "-o", "json", "-u", "artemon-pilotd.service", "ARTEMON_EVENT=serving_xds")
    entry = json.loads(machine.check(*told).splitlines()[0])
    assert (entry["SYSLOG_IDENTIFIER"], entry["PRIORITY"]) == ("pilotd", "6")
    assert entry["ARTEMON_PORT"] == "15012"


def assert_sealed(machine: SystemdMachine) -> None:
    """By what a credential says, which nobody but root and systemd can read."""
    keys = machine.check("sh", "-c", f"cat {STATE}/citadeld/*key*.pem")
    assert keys.count("ENCRYPTED") == 2 * keys.count("-----END")


def dies(machine: SystemdMachine, unit: str) -> None:
    """Its process is gone; another may be there by now."""
    before = machine.check("systemctl", "show", "-p", "MainPID", "--value", unit)
    machine.check("systemctl", "kill", "-s", "KILL", "--kill-whom=main", unit)
    wait(lambda: machine.check("systemctl", "show", "-p", "MainPID", "--value", unit) != before,
         lambda: f"{unit} does not die")  # fmt: skip


def moment(machine: SystemdMachine, unit: str, what: str) -> int:
    """Microseconds."""
    return int(machine.check("systemctl", "show", "-p", what, "--value", unit))


def becomes(machine: SystemdMachine, health: str) -> None:
    def seen() -> str:
        entry = ("workloadentry", f"web-{machine.host.ipv4}", "-n", NAMESPACE, "-o", "json")
        return str(json.loads(meshctl(machine, "get", *entry))["status"]["conditions"][0]["reason"])

    wait(lambda: seen() == health, lambda: f"{seen()} {journal(machine)}")


def meshctl(machine: SystemdMachine, *arguments: str, content: str = "") -> str:
    where = ("--server", f"https://{machine.host.ipv4}:15014", "--token-file", f"{STATE}/galleyd/admin.token")
    return machine.check("meshctl", *arguments, *where, "--ca", f"{STATE}/citadeld/root-cert.pem",
                         content=content)  # fmt: skip


def join(machine: SystemdMachine, service: str, port: int, *flags: str) -> str:
    """What `proxyd join` prints."""
    group = GROUP.format(service=service, port=port, namespace=NAMESPACE)
    meshctl(machine, "apply", "-f", "-", content=group)
    bundle = f"/root/{service}.yaml"
    meshctl(machine, "vm", "bootstrap", "--group", service, "-n", NAMESPACE, "--out", bundle)
    joined = machine.run("proxyd", "join", "--bundle", bundle, "--ip-address", machine.host.ipv4, *flags)
    assert joined.returncode == 0, joined.stdout + joined.stderr + journal(machine)
    return joined.stdout


def test_units_keep_a_machine_in_the_mesh(machine: SystemdMachine) -> None:
    before = machine.check("nft", "list", "ruleset")
    serve(machine)
    told = join(machine, "web", PORT, "--exclude-inbound-ports", "15012,15013,15014,15016",
                "--application-unit", "web.service", "--dns-listen", "127.0.0.1:15053")  # fmt: skip
    assert "artemon-proxy.service is ready" in told
    assert "which answered HTTP 200" in told
    assert "artemon-intercept.service brings this back at boot" in told
    fields_in_the_journal(machine)
    assert_sealed(machine)
    the_unit_decides(machine)
    envoy = envoys(machine)
    dies(machine, "artemon-galleyd.service")
    url = f"https://{machine.host.ipv4}:15014/healthz"
    asked = machine.check("curl", "-sk", "-m", "100", "-o", "/dev/null", "-w", "%{http_code}", url)
    assert asked == "200", "who asks while galleyd is started again waits"
    dies(machine, "artemon-proxy.service")
    assert machine.check(sys.executable, "-c", ONE_QUERY).split() == [machine.host.ipv4], "as does a query"
    wait(lambda: active(machine) and restarts(machine) == 1, lambda: journal(machine))
    wait(lambda: envoys(machine) == envoy, lambda: f"{envoy} went on, alone: {envoys(machine)}")
    machine.check("nft", "flush", "ruleset")
    machine.check("systemctl", "restart", "artemon-intercept.service")
    assert "table inet artemon" in machine.check("nft", "list", "ruleset")
    machine.power_off()
    machine.host.check("nft", "flush", "ruleset")
    machine.host.check("ip", "-6", "addr", "del", "::6/128", "dev", "lo")
    machine.boot()
    assert "table inet artemon" in machine.check("nft", "list", "ruleset")
    start(machine, *(f"artemon-{name}.service" for name in ("citadeld", *JOINING)))
    wait(lambda: active(machine), lambda: journal(machine))
    wait(lambda: "which answered HTTP 200" in machine.run("proxyd", "check").stdout, lambda: journal(machine))
    machine.check("proxyd", "leave")
    assert machine.check("nft", "list", "ruleset") == before
    assert not active(machine)
    assert machine.run("ls", "/etc/artemon/proxyd.yaml", "/var/lib/artemon/proxyd").stdout == ""
    assert envoys(machine) == []


def test_several_services_each_have_an_identity(machine: SystemdMachine, tmp_path: Path) -> None:
    """Separated by their users: what one says to the other passes both proxies, also on one machine. Then the
    page on it is run: both join again, and leave."""
    before = machine.check("nft", "list", "ruleset")
    for service, port in SERVICES.items():
        machine.check("useradd", "--system", f"svc-{service}")
        runs_in_its_slice(machine, service, f"svc-{service}")
        join(machine, service, port, "--name", service, "--include-users", f"svc-{service}")
    meshctl(machine, "apply", "-f", "-", "--wait", content=STRICT)
    for caller, called in (("cart", "bill"), ("bill", "cart")):
        wait(lambda a=caller, b=called: f"/sa/{a}" in ask(machine, a, b), lambda: journal(machine))
        port = SERVICES[called]
        around = ask(machine, caller, called, f"http://127.0.0.1:{port}/")
        assert around == "", "a service reaches its neighbour past mutual TLS"
        own = machine.check("curl", "-s", "-m", "10", f"http://127.0.0.1:{port}/")
        assert json.loads(own)["name"] == called, "root and monitoring go on as before"
    refused = machine.run("proxyd", "join", "--bundle", "/root/cart.yaml", "--name", "third",
                          "--ip-address", machine.host.ipv4, "--include-users", "svc-cart")  # fmt: skip
    assert refused.returncode == 1
    assert "cart has that already" in refused.stderr
    rules = machine.check("nft", "-s", "list", "ruleset")
    machine.check("systemctl", "restart", "artemon-intercept.service")
    assert machine.check("nft", "-s", "list", "ruleset") == rules
    run_page("vm-several.md", tmp_path, tools(machine, tmp_path / "bin"))
    assert machine.check("nft", "list", "ruleset") == before
    assert (
        machine.run("ls", "-d", "/etc/artemon/proxyd", f"{STATE}/proxies", f"{STATE}/intercept").stdout == ""
    )
    assert machine.run("getent", "passwd", "artemon-proxy-cart", "artemon-proxy-bill").stdout == ""
    assert envoys(machine) == []


def runs_in_its_slice(machine: SystemdMachine, service: str, user: str) -> None:
    command = (sys.executable, APPLICATION, service, str(SERVICES[service]))
    where = (f"--unit={service}", f"--slice=shop-{service}.slice", f"--uid={user}")
    machine.check("systemd-run", "--quiet", "--collect", *where, *command)


def test_services_of_one_user_are_told_apart_by_their_slices(machine: SystemdMachine) -> None:
    """Also after a slice, and the machine, were stopped and started."""
    before = machine.check("nft", "list", "ruleset")
    units = machine.check("ls", "-R", "/etc/systemd/system")
    machine.check("useradd", "--system", "svc-shop")
    machine.run("systemctl", "stop", "shop.slice")
    for service, port in SERVICES.items():
        runs_in_its_slice(machine, service, "svc-shop")
        join(machine, service, port, "--name", service, "--include-cgroups", f"shop-{service}.slice")
    sees(machine, "cart", "bill")
    sees(machine, "bill", "cart")
    machine.check("systemctl", "stop", "shop.slice")
    assert "stale" in machine.check("proxyd", "intercept", "status", "--config", f"{CONFIGS}/cart.yaml")
    for service in SERVICES:
        runs_in_its_slice(machine, service, "svc-shop")
    sees(machine, "cart", "bill")
    machine.power_off()
    machine.remove_control_groups()
    machine.host.check("nft", "flush", "ruleset")
    machine.boot()
    machine.check("systemctl", "is-active", *(f"shop-{service}.slice" for service in SERVICES))
    rules = machine.check("nft", "list", "table", "inet", "artemon")
    assert all(f'level 2 "shop.slice/shop-{service}.slice"' in rules for service in SERVICES), rules
    for service in SERVICES:
        machine.check("proxyd", "leave", "--name", service)
    assert machine.check("nft", "list", "ruleset") == before
    assert machine.check("ls", "-R", "/etc/systemd/system") == units


def sees(machine: SystemdMachine, caller: str, called: str) -> None:
    """The service `called` sees who asks: the other one, of the same user, in a slice of its own."""
    port = SERVICES[called]
    run = ("systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--uid=svc-shop")
    curl = ("curl", "-sf", "-m", "10", "-H", f"Host: {called}.{NAMESPACE}:{port}")
    asked = (*run, f"--slice=shop-{caller}.slice", *curl, f"http://{machine.host.ipv4}:{port}/")
    wait(lambda: f"/sa/{caller}" in machine.run(*asked).stdout, lambda: journal(machine))


def tools(machine: SystemdMachine, folder: Path) -> dict[str, str]:
    """An environment in which a page's commands are the machine's."""
    folder.mkdir()
    settings = {
        "ARTEMON_SERVER": f"https://{machine.host.ipv4}:15014",
        "ARTEMON_CA": f"{STATE}/citadeld/root-cert.pem",
        "ARTEMON_TOKEN_FILE": f"{STATE}/galleyd/admin.token",
        "ARTEMON_PROXYD_IP_ADDRESS": machine.host.ipv4,
    }
    given = [f"{key}={value}" for key, value in settings.items()]
    for name in ("meshctl", "proxyd"):
        line = shlex.join(machine.argv("env", "-C", "/root", *given, name))
        (folder / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin"}


def ask(machine: SystemdMachine, caller: str, called: str, url: str = "") -> str:
    """Whom the service `called` saw when the user of `caller` asked it; empty when it refused."""
    port = SERVICES[called]
    who = (f"--reuid=svc-{caller}", f"--regid=svc-{caller}", "--clear-groups")
    host = ("-H", f"Host: {called}.{NAMESPACE}:{port}")
    where = url or f"http://{machine.host.ipv4}:{port}/"
    out = machine.run("setpriv", *who, "curl", "-sf", "-m", "10", *host, where).stdout
    return str(json.loads(out)["caller"]) if out else ""


def active(machine: SystemdMachine) -> bool:
    return machine.run("systemctl", "is-active", "artemon-proxy.service").stdout.strip() == "active"


def restarts(machine: SystemdMachine) -> int:
    shown = machine.check("systemctl", "show", "-p", "NRestarts", "--value", "artemon-proxy.service")
    return int(shown)


def envoys(machine: SystemdMachine) -> list[int]:
    return [int(one) for one in machine.run("pgrep", "-x", "envoy").stdout.split()]


def journal(machine: SystemdMachine) -> str:
    out = machine.run("journalctl", "-u", "artemon-proxy.service", "-n", "50", "-o", "cat").stdout
    return json.dumps(out)
