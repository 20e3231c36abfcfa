"""A machine joins by one command, is reached by mutual TLS, and leaves without a trace."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from control_plane import ControlPlane
from machine_site import ANSWER, NAMESPACE, PORT, wait
from netns import APP_UID, PROXY_UID, ROOT, Host, hosts, missing
from task_page import run_page

pytestmark = [
    pytest.mark.root,
    pytest.mark.envoy,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]
GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: web, namespace: shop}
spec:
  metadata: {labels: {app: web, version: v1}}
  template: {serviceAccount: web, ports: {http-web: 8080}, locality: north/a, network: ""}
"""


def proxy_user() -> str:
    """Whom the proxy runs as: a user of its own, where that may read this installation."""
    who = ["setpriv", f"--reuid={PROXY_UID}", f"--regid={PROXY_UID}", "--clear-groups"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*who, sys.executable, "-c", "import proxyd.app"]
    done = subprocess.run(command, capture_output=True, check=False, cwd="/", env=environment)
    return str(PROXY_UID if done.returncode == 0 else 0)


class Joining:
    """A machine with an application that may join."""

    def __init__(self, folder: Path, host: Host, name: str) -> None:
        self.folder, self.host, self.name = folder / name, host, name
        self.folder.mkdir(mode=0o755)
        self.config = self.folder / "etc" / "proxyd.yaml"
        log = folder / f"{name}.log"
        host.start(sys.executable, "-c", ANSWER, name, str(PORT), log=log, uid=APP_UID)
        wait(lambda: f":{PORT}" in host.check("ss", "-Hltn"), log.read_text)

    def places(self) -> dict[str, str]:
        """Settings that keep machines of a test apart."""
        return {
            "data_dir": str(self.folder / "data"),
            "run_dir": str(self.folder / "run"),
            "intercept_dir": str(self.folder / "state"),
            "ip_address": self.host.ipv4,
            "node": self.name,
            "proxy_user": proxy_user(),
            "drain_seconds": "1",
        }

    def join(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        flags = [
            part for key, value in self.places().items() for part in (f"--{key.replace('_', '-')}", value)
        ]
        return self.host.proxyd("join", *arguments, "--config", str(self.config), *flags)

    def proxyd(self, command: str) -> subprocess.CompletedProcess[str]:
        return self.host.proxyd(command, "--config", str(self.config))

    def traces(self) -> list[str]:
        """Everything that joining could leave behind."""
        rules = self.host.check("nft", "list", "ruleset")
        addresses = self.host.check("ip", "-o", "addr", "show", "dev", "lo")
        routing = self.host.check("ip", "rule") + self.host.check("ip", "-6", "rule")
        listening = sorted(line.split()[3] for line in self.host.check("ss", "-Hltn").splitlines())
        files = sorted(str(path) for path in self.folder.rglob("*"))
        return [rules, addresses, routing, *listening, *files]

    def get(self, to: str, host: str) -> tuple[int, dict[str, str]]:
        command = (
            "curl",
            "-s",
            "-m",
            "10",
            "-w",
            "\n%{http_code}",
            "-H",
            f"Host: {host}",
            f"http://{to}:{PORT}/",
        )
        body, _, status = self.host.run(*command, uid=APP_UID).stdout.rpartition("\n")
        return int(status or 0), json.loads(body) if body.startswith("{") else {}


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[ControlPlane, Joining, Joining]]:
    with tempfile.TemporaryDirectory() as name, hosts(2) as (switch, one, two):
        folder = Path(name)
        folder.chmod(0o755)
        control = ControlPlane(folder / "control", switch)
        control.start()
        yield control, Joining(folder, one, "client"), Joining(folder, two, "web")


def test_the_page_on_machines_does_what_it_says(site: tuple[ControlPlane, Joining, Joining]) -> None:
    control, client, web = site
    empty = web.traces()
    tools = control.folder / "bin"
    tools.mkdir(exist_ok=True)
    meshctl = control.host.argv([sys.executable, "-m", "meshctl"])
    proxyd = web.host.argv([sys.executable, "-m", "proxyd"])
    for name, line in (
        ("meshctl", f'{shlex.join(meshctl)} "$@"'),
        ("proxyd", f'{shlex.join(proxyd)} "$@" --config {web.config}'),
        ("curl", f'{shlex.join(web.host.argv(["/usr/bin/curl"], uid=APP_UID))} "$@"'),
    ):
        (tools / name).write_text(f"#!/bin/sh\nexec {line}\n")
        (tools / name).chmod(0o755)
    environment = {
        **os.environ,
        **control.environment,
        **{f"ARTEMON_PROXYD_{name.upper()}": value for name, value in web.places().items()},
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    places = {
        "/etc/artemon/proxyd.yaml": str(web.config),
        "10.0.0.5": web.host.ipv4,
        "10.0.0.9": web.host.ipv4,
        "10.0.0.20": client.host.ipv4,
    }

    def adapted(text: str) -> str:
        for ours, theirs in places.items():
            text = text.replace(ours, theirs)
        return text

    run_page("vm.md", control.folder, environment, adapted=adapted)
    assert web.traces() == empty


def test_machines_meet_leave_and_come_back(site: tuple[ControlPlane, Joining, Joining]) -> None:
    control, client, web = site
    empty = web.traces()
    bundle = web.folder.parent / "web.yaml"
    control.meshctl("apply", "-f", "-", content=GROUP)
    control.meshctl("vm", "bootstrap", "--group", "web", "-n", NAMESPACE, "--out", str(bundle))
    joined = web.join("--bundle", str(bundle))
    assert joined.returncode == 0, joined.stdout + joined.stderr
    settings = yaml.safe_load(web.config.read_text())
    assert settings["labels"] == {"app": "web", "version": "v1"}
    assert settings["locality"] == "north/a"
    before = client.traces()
    used = client.join("--bundle", str(bundle))
    assert used.returncode == 1
    assert "the join token is not valid: it is unknown, expired or used up" in used.stderr
    assert client.traces() == before
    join_by_url(control, client)
    host = f"web.{NAMESPACE}:{PORT}"
    wait(lambda: client.get(web.host.ipv4, host)[0] == 200, lambda: "web is not reached")
    _, answer = client.get(web.host.ipv4, host)
    assert f"URI=spiffe://cluster.local/ns/{NAMESPACE}/sa/client" in answer["caller"]
    again = web.join("--bundle", str(bundle))
    assert again.returncode != 0
    assert "token" in again.stderr
    assert web.proxyd("check").returncode == 0, "what had joined goes on"
    for machine in (web, client):
        left = machine.proxyd("leave")
        assert left.returncode == 0, left.stdout + left.stderr
    assert web.traces() == empty


def join_by_url(control: ControlPlane, client: Joining) -> None:
    """With a token file and a pin, against a machine that is told them by hand."""
    token = client.folder.parent / "token"
    create = ("join-token", "create", "-n", NAMESPACE, "--service-account", "client")
    token.write_text(control.meshctl(*create))
    token.chmod(0o600)
    url = control.layout.server
    who = ("--namespace", NAMESPACE, "--service-account", "client", "--interception", "REDIRECT")
    before = client.traces()
    wrong = client.join(url, "--token-file", str(token), "--ca-pin", "0" * 64, *who)
    assert wrong.returncode == 1
    assert "no token was sent" in wrong.stderr
    assert client.traces() == before
    joined = client.join(url, "--token-file", str(token), "--ca-pin", str(control.layout.roots), *who)
    assert joined.returncode == 0, joined.stdout + joined.stderr
    assert "/sa/client met spiffe://cluster.local/ns/artemon-system/sa/pilotd" in joined.stdout
