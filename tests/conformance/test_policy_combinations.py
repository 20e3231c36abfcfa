"""Two and three fields of AuthorizationPolicy at once, wanted and unwanted, in every action, several policies
together, on sidecars and gateways: a real Envoy, the definition of policies and the simulator agree.

Some of them, the same ones each time; all of them, or as many as wanted, with ARTEMON_TRUTH_TABLE=all or a
number (`make truth-table`).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from policy_authorizers import authorizers, lets_in, providers, service
from policy_calls import call_of, said
from policy_draws import HTTP, HTTPS, OVER, TCP, TLS, Case, Draws, served
from policy_http2 import GrpcApp
from policy_reference import DOMAINS, Asked, decided, holds
from policy_rig import ISSUER, App, Issuer, Rig, running

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of
from artemon.snapshot.view import ProxyView
from meshctl.commands.authz import judged
from meshctl.commands.explain import configuration

pytestmark = pytest.mark.envoy
WANTED = os.environ.get("ARTEMON_TRUTH_TABLE", "")
SEED = int(os.environ.get("ARTEMON_SEED", "5"))
SAMPLE, BATCH, MOST = 220, 200, 8
STATUSES = (200, 401, 403, 503)
SHADOW = "%DYNAMIC_METADATA(envoy.filters.http.rbac:istio_dry_run_{}_shadow_engine_result)%"
LOG = " ".join((
    "%REQ(X-N)%", SHADOW.format("deny"), SHADOW.format("allow"),
    "%DYNAMIC_METADATA(envoy.common:access_log_hint)%",
))  # fmt: skip


@dataclass
class Tally:
    """What was asked and what differed. noted: number of a request -> what Envoy is to note beside it."""

    wrong: list[Any] = field(default_factory=list)
    seen: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    noted: dict[str, str] = field(default_factory=dict)
    cases: int = 0


def drawn() -> list[Case]:
    draws = Draws(SEED)
    found = draws.combinations()
    some = found if WANTED == "all" else found[: int(WANTED or SAMPLE)]
    places = [
        (gateway, one)
        for number, one in enumerate(some)
        for gateway in ((False, True) if WANTED else (number % 3 == 0,))
    ]
    return [
        Case(number % BATCH, gateway, draws.policies(*one)) for number, (gateway, one) in enumerate(places)
    ]


def batches(cases: Sequence[Case]) -> Iterator[list[Case]]:
    for start in range(0, len(cases), BATCH):
        yield list(cases[start : start + BATCH])


def objects(
    cases: Iterable[Case], issuer: Issuer, apps: tuple[App, GrpcApp], ports: dict[int, int]
) -> Iterator[dict[str, Any]]:
    yield {"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
           "metadata": {"name": "tokens", "namespace": "default"},
           "spec": {"jwtRules": [{"issuer": ISSUER, "jwks": issuer.jwks}]}}  # fmt: skip
    yield service(ports)
    for case in cases:
        yield from case.objects

    def networking(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        meta = {"name": name, "namespace": "default"}
        return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}

    kinds = {HTTP: "HTTP", TCP: "TCP", HTTPS: "HTTPS", TLS: "TLS"}
    servers: list[dict[str, Any]] = [
        {"hosts": ["*"], "port": {"number": n, "name": f"p-{n}", "protocol": kind}}
        for n, kind in kinds.items()
    ]
    for one in servers[2:]:
        one["tls"] = {"mode": "ISTIO_MUTUAL"}
    yield networking("Gateway", "edge", {"selector": {"is": "gateway"}, "servers": servers})
    host = "behind.default.svc.cluster.local"
    app, grpc = apps
    behind = [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": app.port},
              {"number": 81, "name": "tcp", "protocol": "TCP", "targetPort": app.port},
              {"number": 82, "name": "grpc", "protocol": "GRPC", "targetPort": grpc.port}]  # fmt: skip
    yield networking("ServiceEntry", "behind", {
        "hosts": [host], "location": "MESH_INTERNAL", "resolution": "STATIC", "ports": behind,
        "endpoints": [{"address": "127.0.0.1"}],
    })  # fmt: skip
    to = {port: [{"destination": {"host": host, "port": {"number": port}}}] for port in (80, 81, 82)}
    grpcs = {"match": [{"headers": {"content-type": {"prefix": "application/grpc"}}}], "route": to[82]}
    yield networking("VirtualService", "behind", {
        "hosts": ["*"], "gateways": ["edge"], "http": [grpcs, {"route": to[80]}], "tcp": [{"route": to[81]}],
    })  # fmt: skip


def views(
    cases: Sequence[Case], made: Iterable[dict[str, Any]], ports: list[dict[str, Any]], log: Path
) -> Iterator[ProxyView]:
    mesh = MeshConfig.model_validate({
        "trustDomain": DOMAINS[0], "trustDomainAliases": list(DOMAINS[1:]), "extensionProviders": providers(),
        "accessLogFile": str(log), "accessLogFormat": LOG,
    })  # fmt: skip
    snapshot = snapshot_of(load_yaml("\n---\n".join(map(json.dumps, made))), mesh)
    for case in cases:
        proxy = {"namespace": "default", "ipAddresses": [case.address], "labels": {"app": case.label}}
        if case.gateway:
            proxy |= {"type": "router", "labels": {"app": case.label, "is": "gateway"},
                      "metadata": {"ARTEMON_GATEWAY_BIND": case.address}}  # fmt: skip
        else:
            proxy["metadata"] = {"INTERCEPTION_MODE": "NONE", "ARTEMON_PORTS": ports}
        yield snapshot.view(read_proxy(proxy))


def foretold(view: ProxyView, known: Any, one: Asked) -> dict[str, Any]:
    """What the simulator says."""
    found: dict[str, Any] = judged(view, call_of(one), known)
    return found


def note(case: Case, one: Asked) -> str:
    """What Envoy is to write down of policies that decide nothing: results of dry runs, and of AUDIT."""
    (policy, *_), notes = case.policies, {"DENY": "-", "ALLOW": "-", "AUDIT": "-"}
    held = holds(policy, one, identified=not case.gateway)
    if policy.tried:
        notes[policy.action] = "allowed" if held == (policy.action == "ALLOW") else "denied"
    elif policy.action == "AUDIT":
        notes["AUDIT"] = str(held).lower()
    return f"{notes['DENY']} {notes['ALLOW']} {notes['AUDIT']}"


def run(cases: Sequence[Case], draws: Draws, folder: Path, tally: Tally) -> None:
    """One Envoy for all of them."""
    app, grpc, issuer = App(), GrpcApp(), Issuer()
    with authorizers() as ports, closing(grpc):
        written = objects(cases, issuer, (app, grpc), ports)
        made = list(views(cases, written, served(app.port, grpc.port), folder / "log"))
        with running(made, folder, (cases[-1].address, TCP), app=app) as rig:
            for case, view in zip(cases, made, strict=True):
                judge(rig, issuer, case, view, draws, tally)
                rig.close()
            compare_notes(folder / "log", tally)


def judge(rig: Rig, issuer: Issuer, case: Case, view: ProxyView, draws: Draws, tally: Tally) -> None:
    """Ask about one case."""
    known = configuration(view)

    def decides(one: Asked) -> bool:
        return decided(case.policies, one, identified=not case.gateway, asked=lets_in)

    for one in draws.asked(case, decides, most=MOST):
        wanted, number = decides(one), str(len(tally.noted))
        answer, simulated = said(rig, issuer, one, *STATUSES, **{"x-n": number}), foretold(view, known, one)
        agrees = simulated["allowed"] == wanted or "authorizer" in simulated
        tally.noted[number] = note(case, one) if one.http else ""
        tally.seen[case.gateway, case.policies[0].action, one.over if one.http else "tcp", wanted] += 1
        if answer != wanted or not agrees:
            tally.wrong.append((case, one, wanted, answer, simulated))
    tally.cases += 1


def compare_notes(log: Path, tally: Tally) -> None:
    """What the filters noted beside each request is what the reference says, too."""
    wanted = {f"{number} {text}" for number, text in tally.noted.items() if text}
    deadline = time.monotonic() + 60
    while True:
        found = set(log.read_text().splitlines())
        missing = wanted - found
        if not missing or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    tally.wrong += [("not noted", one) for one in missing]
    tally.noted = dict.fromkeys(tally.noted, "")


def report(tally: Tally) -> Iterator[str]:
    """Lines about what was asked."""
    total = sum(tally.seen.values())
    yield f"\n{tally.cases} workloads and gateways, {total} requests and connections, seed {SEED}: "
    yield f"{len(tally.wrong)} answers differ\n"
    for (gateway, action, way, wanted), count in sorted(tally.seen.items()):
        place = ("sidecar", "gateway")[gateway]
        yield f"  {place:8} {action:6} {way:8} {'let in' if wanted else 'refused'}: {count}\n"


@pytest.mark.timeout(7200)
def test_combinations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases, draws, tally = drawn(), Draws(SEED), Tally()
    for number, batch in enumerate(batches(cases)):
        folder = tmp_path / str(number)
        folder.mkdir()
        run(batch, draws, folder, tally)
    capsys.readouterr()
    with capsys.disabled():
        sys.stdout.writelines(report(tally))
    assert tally.wrong == [], f"{len(tally.wrong)} answers differ"
    kinds = product((False, True), ("ALLOW", "DENY", "CUSTOM"), (*OVER, "tcp"), (False, True))
    assert set(kinds) <= set(tally.seen), "a kind of answer never came"
