"""injectord as a process: its doors, its limits, its counts, its settings."""

from __future__ import annotations

import base64
import json
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from gateway_certificates import Certificates
from kube_server import until
from servers import dying_with_parent, free_ports
from test_injectord_review import POD, review

from artemon.daemon.run import daemon
from injectord.app import app
from injectord.settings import InjectorSettings

pytestmark = pytest.mark.slow

HOST = "injector.test"


class Injectord:
    """One injectord with a certificate of the site's own."""

    def __init__(self, folder: Path) -> None:
        self.site = Certificates()
        self.chain, self.key = self.site.issue(HOST).save(folder)
        self.roots, self.values = folder / "roots.pem", folder / "values.yaml"
        self.roots.write_bytes(self.site.roots)
        self.values.write_text("global: {hub: one.test}\n")
        self.port, self.http = free_ports(2)
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"

    def start(self) -> Injectord:
        command = dying_with_parent(
            *(sys.executable, "-m", "injectord", "--listen", f"127.0.0.1:{self.port}"),
            *("--http", f"127.0.0.1:{self.http}", "--inject-config", str(self.values)),
            *("--tls-cert", str(self.chain), "--tls-key", str(self.key), "--tls-ca", str(self.roots)),
        )
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log)
        until(lambda: self.plain("/readyz"), "injectord")
        return self

    def plain(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def post(self, path: str, body: bytes, media: str = "application/json") -> tuple[int, Any]:
        context = ssl.create_default_context(cadata=self.site.roots.decode())
        context.check_hostname = False  # the certificate is for its name, the test knows its address
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}", data=body, headers={"Content-Type": media}
        )
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def image(self) -> str:
        patch = base64.b64decode(self.post("/inject", review())[1]["response"]["patch"])
        init = next(one["value"] for one in json.loads(patch) if one["path"] == "/spec/initContainers")
        return str(init[0]["image"])


@pytest.fixture(scope="module")
def injectord(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Injectord]:
    made = Injectord(tmp_path_factory.mktemp("injectord")).start()
    yield made
    assert made.process is not None
    made.process.terminate()
    assert made.process.wait(30) == 0
    assert "Traceback" not in made.log.read_text()


def test_a_review_is_answered(injectord: Injectord) -> None:
    status, body = injectord.post("/inject", review())
    assert (status, body["response"]["uid"], body["response"]["allowed"]) == (200, "u1", True)


@pytest.mark.parametrize(
    ("path", "body", "media", "status"),
    [
        pytest.param("/inject", b"{", "application/json", 400, id="no-json"),
        pytest.param("/inject", b"[]", "application/json", 400, id="no-review"),
        pytest.param("/inject", b"", "application/json", 400, id="empty"),
        pytest.param("/inject", review(), "text/plain", 415, id="media"),
        pytest.param("/inject", b" " * (3 * 1024 * 1024 + 1), "application/json", 413, id="large"),
        pytest.param("/inject/env/x", review(), "application/json", 404, id="place"),
        pytest.param("/inject/cluster", review(), "application/json", 404, id="half-a-place"),
        pytest.param("/inject/cluster/%22x", review(), "application/json", 404, id="wrong-place"),
    ],
)
def test_bad_requests(injectord: Injectord, path: str, body: bytes, media: str, status: int) -> None:
    assert injectord.post(path, body, media)[0] == status


def test_three_megabytes_are_taken(injectord: Injectord) -> None:
    large = {**POD, "metadata": {"name": "a", "annotations": {"note": "x" * (2 * 1024 * 1024)}}}
    assert injectord.post("/inject", review(object=large))[0] == 200


def test_the_url_may_name_cluster_and_network(injectord: Injectord) -> None:
    status, body = injectord.post("/inject/cluster/east/net/n1", review())
    assert status == 200
    assert len(body["response"]["patch"]) > 100


def test_what_happened_is_counted(injectord: Injectord) -> None:
    def counts() -> dict[str, float]:
        lines = injectord.plain("/metrics").splitlines()
        return {
            key: float(value) for key, _, value in (line.partition(" ") for line in lines if line[0] != "#")
        }

    before = counts()
    injectord.post("/inject", review())
    injectord.post("/inject", review(namespace="kube-system"))
    injectord.post("/inject", b"nonsense")
    after = counts()
    found = {
        name: after[f"sidecar_injection_{name}_total"] - before[f"sidecar_injection_{name}_total"]
        for name in ("requests", "success", "skip", "failure")
    }
    assert found == {"requests": 3, "success": 1, "skip": 1, "failure": 1}
    assert after["sidecar_injection_time_seconds_count"] == before["sidecar_injection_time_seconds_count"] + 3


def test_configuration_is_read_again(injectord: Injectord) -> None:
    assert injectord.process is not None
    injectord.values.write_text("global: {hub: two.test}\n")
    injectord.process.send_signal(signal.SIGHUP)
    until(lambda: injectord.image().startswith("two.test/"), "the new image")
    injectord.values.write_text("globl: {}\n")
    injectord.process.send_signal(signal.SIGHUP)
    until(lambda: "not_reloaded" in injectord.log.read_text(), "the refusal")
    assert injectord.image().startswith("two.test/")


def check(*flags: str) -> tuple[int, str]:
    done = CliRunner().invoke(daemon("injectord", InjectorSettings, app), ["--check-config", *flags])
    return done.exit_code, done.output


def test_settings_are_checked(tmp_path: Path) -> None:
    wrong = tmp_path / "values.yaml"
    wrong.write_text("globl: {}\n")
    good = ("--citadeld", "127.0.0.1:15013")
    assert check(*good) == (0, "")
    assert "the webhook needs TLS" in check()[1]
    assert "globl: unknown" in check(*good, "--inject-config", str(wrong))[1]
    assert "is not an address" in check(*good, "--listen", "nowhere")[1]
    assert check(*good, "--mesh-config", str(tmp_path / "absent"))[0] == 2
