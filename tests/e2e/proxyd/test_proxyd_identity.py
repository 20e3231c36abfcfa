"""proxyd with a real citadeld: joining once, serving the identity to Envoy, renewing it."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from meshlet import ROOT, Agent, Ca, Pilot
from meshlet_net import eventually, fetch, loopback
from worlds import world

from artemon.daemon.files import make_private_dir, write_public, write_secret
from proxyd import lastgood

pytestmark = pytest.mark.envoy
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Citadel:
    address: str
    socket: Path
    root: Path

    def token(self, path: Path) -> Path:
        command = [sys.executable, "-m", "citadeld", "token", "create", "--socket", str(self.socket)]
        who = ["--namespace", "bookinfo", "--service-account", "bookinfo-reviews"]
        made = subprocess.run([*command, *who], env=ENVIRONMENT, capture_output=True, check=True)
        path.write_bytes(made.stdout)
        path.chmod(0o600)
        return path


@pytest.fixture
def citadel(tmp_path: Path) -> Iterator[Citadel]:
    directory = tmp_path / "citadeld"
    directory.mkdir(mode=0o700)
    address = f"{loopback()}:15013"
    settings = {
        "data_dir": str(directory),
        "registry": f"sqlite://{directory}/registry.db",
        "listen": address,
        "socket": str(directory / "sock"),
        "leaf_seconds": 10,
    }
    config = directory / "citadeld.yaml"
    config.write_text(yaml.safe_dump(settings))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "citadeld", "--config", str(config)],
            env=ENVIRONMENT,
            stderr=log,
            stdout=log,
        )
    found = Citadel(address, directory / "sock", directory / "root-cert.pem")
    end = time.monotonic() + 20
    while not found.socket.exists():
        assert process.poll() is None, (directory / "log").read_text()
        assert time.monotonic() < end, (directory / "log").read_text()
        time.sleep(0.05)
    yield found
    process.terminate()
    process.wait(10)


def join(citadel: Citadel, tmp_path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = {
        "--token-file": str(citadel.token(tmp_path / "token")),
        "--ca-pin": str(citadel.root),
        "--data-dir": str(tmp_path / "data"),
        "--run-dir": str(tmp_path / "run"),
        "--config": str(tmp_path / "proxyd.yaml"),
        "--namespace": "bookinfo",
        "--service-account": "bookinfo-reviews",
        **dict(zip(more[::2], more[1::2], strict=True)),
    }
    command = [sys.executable, "-m", "proxyd", "join", f"https://{citadel.address}", "--no-start"]
    flags = [part for pair in arguments.items() for part in pair]
    return subprocess.run(
        [*command, *flags], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )


async def test_join_writes_settings_and_identity(citadel: Citadel, tmp_path: Path) -> None:
    done = await asyncio.to_thread(join, citadel, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews" in done.stdout
    settings = yaml.safe_load((tmp_path / "proxyd.yaml").read_text())
    assert settings["pilotd"] == [citadel.address.replace("15013", "15012")]
    assert (tmp_path / "data" / "key.pem").stat().st_mode & 0o777 == 0o600
    certificate = x509.load_pem_x509_certificate((tmp_path / "data" / "cert-chain.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews"
    ]


async def test_join_with_a_foreign_pin_is_refused(citadel: Citadel, tmp_path: Path) -> None:
    done = await asyncio.to_thread(join, citadel, tmp_path, "--ca-pin", "0" * 64)
    assert done.returncode == 1
    assert "no token was sent" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "proxyd.yaml").exists()


async def test_envoy_gets_each_renewed_certificate(citadel: Citadel, tmp_path: Path) -> None:
    pem = citadel.root.read_text()
    agent = Agent(
        tmp_path,
        None,
        [],
        citadeld=[citadel.address],
        join_token_file=str(citadel.token(tmp_path / "token")),
        ca_pin=str(citadel.root),
    )
    pilot = Pilot(Ca())
    pilot.publish(*world(agent.ip, 9, tls="default"))
    seed_last_good(agent, pilot)
    try:
        agent.start()
        await eventually(lambda: presented(agent.ip, pem), "a certificate", seconds=30)
        first = presented(agent.ip, pem)
        await eventually(lambda: presented(agent.ip, pem) not in {None, first}, "a newer one", seconds=30)
        status, text = await fetch(f"{agent.status}/metrics")
        assert status == 200
        assert 0 < float(text.split("\nistio_agent_cert_expiry_seconds ")[1].split()[0]) <= 10
    finally:
        agent.clean()


async def test_a_certificate_in_files_is_served_and_read_again_when_it_changes(
    agent: Agent, pilot: Pilot, ca: Ca, tmp_path: Path
) -> None:
    def write() -> int:
        identity = ca.identity("bookinfo", "site")
        write_public(tmp_path / "tls.crt", identity.cert_chain_pem)
        write_secret(tmp_path / "tls.key", identity.key_pem)
        return x509.load_pem_x509_certificate(identity.cert_chain_pem).serial_number

    first = write()
    roots = ca.identity("bookinfo", "site").roots_pem.decode()
    pilot.publish(*world(agent.ip, 9, tls=f"file-cert:{tmp_path}/tls.crt~{tmp_path}/tls.key"))
    agent.start()
    await eventually(lambda: presented(agent.ip, roots) == first, "the certificate in the file")
    second = write()
    await eventually(lambda: presented(agent.ip, roots) == second, "the one that replaced it")


async def test_a_secret_that_cannot_be_had_means_no_connection(agent: Agent, pilot: Pilot, ca: Ca) -> None:
    roots = ca.identity("bookinfo", "site").roots_pem.decode()
    pilot.publish(*world(agent.ip, 9, tls="file-cert:/none.crt~/none.key"))
    agent.start()
    await eventually(lambda: agent.log.exists() and agent.said("/none.crt does not exist"), "said so")
    await asyncio.sleep(0.5)
    assert presented(agent.ip, roots) is None
    assert (await fetch(f"http://{agent.ip}:28080/"))[0] == 0


async def test_proxyd_that_may_not_join_ends_and_leaves_nothing(tmp_path: Path, pilot: Pilot) -> None:
    agent = Agent(tmp_path, None, [pilot.address], join_token_file=str(tmp_path / "none"), ca_pin="0" * 64)
    try:
        agent.start()
        assert agent.process
        assert await asyncio.to_thread(agent.process.wait, 20) == 1
        assert agent.said("does not exist") == 1
        assert "Traceback" not in agent.log.read_text()
        await eventually(lambda: not agent.envoys(), "no Envoy is left")
    finally:
        agent.clean()


def seed_last_good(agent: Agent, pilot: Pilot) -> None:
    """Configuration from an earlier life, so that no pilotd is needed."""
    make_private_dir(agent.data)
    node = f"sidecar~{agent.ip}~reviews-1.bookinfo~bookinfo.svc.cluster.local"
    lastgood.save(agent.data / lastgood.FILE, node, pilot.items())


def presented(ip: str, roots: str) -> int | None:
    """The serial of the certificate that Envoy shows on port 28080, verified against `roots`."""
    context = ssl.create_default_context(cadata=roots)
    context.check_hostname = False
    try:
        with socket.create_connection((ip, 28080), timeout=1) as plain, context.wrap_socket(plain) as tls:
            der = tls.getpeercert(binary_form=True)
    except OSError:
        return None
    return x509.load_der_x509_certificate(der or b"").serial_number
