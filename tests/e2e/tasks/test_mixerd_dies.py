"""mixerd is killed under load: what was not to be checked goes on, the rest is open or closed as its rule
says; and two mixerds count one quota together."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from servers import dying_with_parent
from task_page import NETWORK

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not all(map(shutil.which, ("openssl", "curl"))), reason="needs openssl and curl"),
]
PATIENCE = 90.0
DEAD_SECONDS = 6.0
MOST_GROWTH = 64_000_000
DETAILS = f"{NETWORK}12"
ASKED: list[str] = []
"""Requests that were answered, by the threads of all loads."""
PATHS = {"unchecked": "/details/1", "checked": "/details/81", "counted": "/details/91"}


def of(kind: str, name: str, spec: dict[str, Any], namespace: str = "bookinfo") -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "config.istio.io/v1alpha2", "kind": kind, "metadata": meta, "spec": spec}


def rule(name: str, path: str, template: str, params: dict[str, Any], adapter: str, **handler: Any) -> Any:
    match = f'destination.service.name == "details" && match(request.path, "{path}*")'
    return [
        of("rule", name, {"match": match, "actions": [{"handler": name, "instances": [name]}]}),
        of("instance", name, {"compiledTemplate": template, "params": params}),
        of("handler", name, {"compiledAdapter": adapter, "params": handler}),
    ]


READER = 'request.headers["x-reader"] | "nobody"'
CHECK = rule("dies-check", "/details/8", "listentry", {"value": READER}, "listchecker", overrides=["ann"])


def quota(most: int) -> Any:
    limits = [{"name": "dies-quota", "max_amount": most, "valid_duration": "3600s"}]
    dimensions = {"dimensions": {"reader": READER}}
    return rule("dies-quota", "/details/9", "quota", dimensions, "memquota", quotas=limits)


@contextmanager
def applied(environment: Mapping[str, str], *objects: dict[str, Any]) -> Iterator[None]:
    text = yaml.safe_dump_all(objects)
    meshctl(environment, "apply", "-f", "-", "--wait", stdin=text)
    try:
        yield
    finally:
        meshctl(environment, "delete", "-f", "-", stdin=text)


def meshctl(environment: Mapping[str, str], *arguments: str, stdin: str = "") -> str:
    command = [sys.executable, "-m", "meshctl", *arguments]
    done = subprocess.run(
        command, env=environment, input=stdin, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ask(path: str, reader: str = "ann") -> int:
    """Status of a request of productpage's to details; 0 when there is none."""
    connection = http.client.HTTPConnection(f"{NETWORK}11", 15002, timeout=20)
    try:
        connection.request("GET", f"http://details:9080{path}", headers={"x-reader": reader})
        answer = connection.getresponse()
        answer.read()
        ASKED.append(path)
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def pid(environment: Mapping[str, str], name: str) -> int:
    found = json.loads(Path(environment["MESH"], "state.json").read_text())
    return next(int(one["pid"]) for one in found if one["name"] == name)


class Load:
    """Requests of one kind, one after the other, until it ends."""

    def __init__(self, path: str) -> None:
        self.answers: list[tuple[float, int]] = []
        self._path, self._end = path, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.is_set():
            begun = time.monotonic()
            self.answers.append((begun, ask(self._path)))

    def end(self) -> None:
        self._end.set()
        self._thread.join(30)

    def between(self, begin: float, end: float) -> set[int]:
        return {status for at, status in self.answers if begin <= at <= end}


def envoy_stats(*wanted: str) -> dict[str, int]:
    connection = http.client.HTTPConnection(DETAILS, 15000, timeout=20)
    connection.request("GET", "/stats?filter=access_log|memory_physical|server.memory_allocated")
    lines = connection.getresponse().read().decode().splitlines()
    found = dict(line.split(": ") for line in lines if ": " in line)
    return {name: int(found[name]) for name in wanted}


WRITTEN, LOST = (f"access_logs.grpc_access_log.logs_{what}" for what in ("written", "dropped"))
MEMORY = "server.memory_allocated"


def test_mixerd_is_killed_under_load(environment: Mapping[str, str]) -> None:
    with applied(environment, *CHECK, *quota(1_000_000)):
        until(lambda: ask("/details/81", "carl") == 404, "the check is not in force")
        before, asked = envoy_stats(WRITTEN, LOST, MEMORY), len(ASKED)
        loads = {name: Load(path) for name, path in PATHS.items()}
        supervisor = pid(environment, "supervisor")
        time.sleep(1)
        try:
            os.kill(supervisor, signal.SIGSTOP)  # or mixerd were back at once
            os.kill(pid(environment, "mixerd"), signal.SIGKILL)
            killed = time.monotonic()
            time.sleep(DEAD_SECONDS)
            back = time.monotonic()
        finally:
            os.kill(supervisor, signal.SIGCONT)
        until(lambda: ask("/details/82") == 200, "checks do not work again")
        for load in loads.values():
            load.end()
        dead = {name: load.between(killed + 0.2, back - 3) for name, load in loads.items()}
        assert dead == {"unchecked": {200}, "checked": {503}, "counted": {200}}
        for name in ("unchecked", "counted"):
            assert loads[name].between(0, back * 2) == {200}, f"{name}: never another answer"
        assert ask("/details/81", "carl") == 404
        asked = len(ASKED) - asked

        def told() -> int:
            now = envoy_stats(WRITTEN, LOST)
            return sum(now[name] - before[name] for name in now)

        until(lambda: told() >= asked, "what is neither told nor counted as lost")
        assert told() == asked
        assert envoy_stats(MEMORY)[MEMORY] - before[MEMORY] < MOST_GROWTH


def test_two_mixerds_count_one_quota(environment: Mapping[str, str], tmp_path: Path) -> None:
    first, second = f"{NETWORK}1:15004", f"{NETWORK}240:15004"
    home = Path(environment["MESH"])
    written = home / "etc" / "mixerd.yaml"
    settings: dict[str, Any] = yaml.safe_load(written.read_text())
    token = meshctl(
        environment, "join-token", "create", "-n", "artemon-system", "--service-account", "mixerd"
    )
    (tmp_path / "token").write_text(token.split()[-1])
    (tmp_path / "token").chmod(0o600)
    own = {"listen": second, "http": f"{NETWORK}240:15104", "data_dir": str(tmp_path / "data")}
    own |= {"identity_dir": str(tmp_path / "identity"), "join_token_file": str(tmp_path / "token")}
    both = {"replicas": [first, second]}
    (tmp_path / "mixerd.yaml").write_text(yaml.safe_dump({**settings, **own, **both}))
    command = [sys.executable, "-P", "-m", "mixerd", "--config", str(tmp_path / "mixerd.yaml")]
    entry = yaml.safe_load(
        meshctl(environment, "get", "serviceentry", "mixerd", "-n", "artemon-system", "-o", "yaml")
    )
    try:
        written.write_text(yaml.safe_dump({**settings, **both}))
        os.kill(pid(environment, "mixerd"), signal.SIGTERM)
        with (tmp_path / "log").open("wb") as log:
            running = subprocess.Popen(dying_with_parent(*command), stdout=log, stderr=log, env=environment)
        until(lambda: ready(f"{NETWORK}240") and ready(f"{NETWORK}1"), (tmp_path / "log").read_text())
        endpoints = [
            {**entry["spec"]["endpoints"][0], "address": one.partition(":")[0]} for one in (first, second)
        ]
        meta = {"name": "mixerd", "namespace": "artemon-system"}
        more = json.dumps({**entry, "metadata": meta, "spec": {**entry["spec"], "endpoints": endpoints}})
        meshctl(environment, "apply", "-f", "-", "--wait", stdin=more)
        with applied(environment, *quota(12)):
            until(lambda: in_force("/details/91"), "the quota is not in force")
            readers = [f"reader-{number}" for number in range(4)]
            for reader in readers:
                answers = [ask("/details/91", reader) for _ in range(20)]
                assert answers == [200] * 12 + [429] * 8, (reader, answers)
            asked = [answered(f"{NETWORK}{host}") for host in (1, 240)]
            assert min(asked) > 10, f"both were asked by proxies: {asked}"
    finally:
        meshctl(environment, "apply", "-f", "-", stdin=json.dumps({**entry, "metadata": meta}))
        running.terminate()
        running.wait(timeout=30)
        written.write_text(yaml.safe_dump(settings))
        os.kill(pid(environment, "mixerd"), signal.SIGTERM)
        until(lambda: ready(f"{NETWORK}1"), "mixerd is not back")


def in_force(path: str) -> bool:
    """Whether somebody was refused within one more than is granted."""
    return ask(path, "anybody") == 429


def page(host: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, 15104, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def ready(host: str) -> bool:
    with suppress(OSError, http.client.HTTPException):
        return page(host, "/readyz")[0] == 200
    return False


def answered(host: str) -> float:
    """Questions of proxies about requests that a mixerd has answered."""
    lines = [
        line for line in page(host, "/metrics")[1].splitlines() if line.startswith("mixerd_checks_total{")
    ]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
