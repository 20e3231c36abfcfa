"""Every field of AuthorizationPolicy, wanted and unwanted, in every action, on requests over HTTP/1.1, HTTP/2
and gRPC and on connections: a real Envoy and the definition of policies give the same answers, and so does
the simulator.

Each request is written in one way, in turn; in every way with ARTEMON_TRUTH_TABLE (`make truth-table`).
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from policy_calls import call_of, said
from policy_draws import HTTP, OVER, TCP, WAYS, over, served
from policy_fields import CONDITIONS, OPERATIONS, SOURCES
from policy_http2 import GrpcApp
from policy_reference import DOMAINS, IDENTITIES, Asked, allowed
from policy_rig import ISSUER, App, Issuer, running

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of
from artemon.snapshot.view import ProxyView
from meshctl.commands.authz import judged
from meshctl.commands.explain import configuration

pytestmark = pytest.mark.envoy
EVERY = bool(os.environ.get("ARTEMON_TRUTH_TABLE"))
WEB, OTHER = "cluster.local/ns/default/sa/web", "old.example/ns/far/sa/other"
ACTIONS = ("ALLOW", "DENY", "CUSTOM")
TOKENS = {"requestPrincipals", "request.auth.principal", "request.auth.audiences", "request.auth.presenter",
          "request.auth.claims[groups]", "request.auth.claims[a][b]"}  # fmt: skip
CLAIMS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"iss": ISSUER, "sub": "alice", "aud": "api", "azp": "app", "groups": ["dev", "admin"], "a": {"b": "c"}},
    {"iss": ISSUER, "sub": "bob", "aud": ["x"], "azp": "y", "groups": "dev"},
    {"iss": ISSUER, "sub": "team/alice", "aud": "api", "azp": "app", "groups": [True], "a": {"b": 7}},
    {"iss": ISSUER, "sub": "carol", "aud": "api", "azp": "app", "groups": True, "a": {"b": {"c": "7"}}},
)
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "hosts": [{"host": name} for name in ("a.example", "A.Example:8080", "b.example", "a.test", "c")],
    "methods": [{"method": name} for name in ("GET", "POST", "PUT", "DELETE")],
    "paths": [{"path": one} for one in ("/exact", "/exact?x", "/prefix/", "/x/suffix", "/a/b/b", "/a/b/c/b",
                                        "/a/", "/")],
    "request.headers[x-user]": [{"headers": {"x-user": one}} for one in ("alice", "al", "malice", "bob")],
    "remoteIpBlocks": [{"client": "10.1.1.1", "headers": {"x-forwarded-for": "10.1.1.1"}},
                       {"client": "192.0.2.1", "headers": {"x-forwarded-for": "10.1.1.1, 192.0.2.1"}},
                       {"client": "::ffff:10.1.1.1", "headers": {"x-forwarded-for": "::ffff:10.1.1.1"}}],
    "ipBlocks": [{"source": "127.0.0.9", "client": "127.0.0.9"}],
}  # fmt: skip
VARIANTS |= {"remote.ip": VARIANTS["remoteIpBlocks"], "source.ip": VARIANTS["ipBlocks"]}
VARIANTS |= {name: [{"claims": claims} for claims in CLAIMS] for name in TOKENS}


@dataclass(frozen=True)
class Case:
    """One workload with one policy of one field."""

    number: int
    action: str
    name: str
    value: str
    negated: bool

    @property
    def address(self) -> str:
        return f"127.2.{self.number // 200}.{self.number % 200 + 1}"

    @property
    def rule(self) -> dict[str, Any]:
        key = f"not{self.name[0].upper()}{self.name[1:]}" if self.negated else self.name
        if self.name in SOURCES:
            return {"from": [{"source": {key: [self.value]}}]}
        if self.name in OPERATIONS:
            return {"to": [{"operation": {key: [self.value]}}]}
        return {"when": [{"key": self.name, "notValues" if self.negated else "values": [self.value]}]}

    @property
    def policy(self) -> dict[str, Any]:
        spec = {"action": self.action, "rules": [self.rule], "selector": {"matchLabels": {"app": self.label}}}
        if self.action == "CUSTOM":
            spec["provider"] = {"name": "nobody"}
        return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
                "metadata": {"name": self.label, "namespace": "default"}, "spec": spec}  # fmt: skip

    @property
    def label(self) -> str:
        return f"case-{self.number}"

    @property
    def asked(self) -> Iterator[Asked]:
        """Requests and connections that differ in what the case is about."""
        base = Asked(http=True, port=HTTP, address=self.address)
        callers = (None, WEB, OTHER) if self.name in IDENTITIES else (WEB,)
        requests = [replace(base, **change) for change in VARIANTS.get(self.name, [{}])]
        requests += [replace(base, identity=identity) for identity in callers]
        for number, one in enumerate(requests, self.number):
            for way, port in WAYS if EVERY else (WAYS[number % len(WAYS)],):
                yield over(one, way, port)
        for identity in callers:
            yield replace(base, http=False, port=TCP, identity=identity)
        yield replace(base, http=False, port=TCP, source="127.0.0.9")


def cases() -> list[Case]:
    values = {**SOURCES, **OPERATIONS, **CONDITIONS}
    made = [
        (action, name, value.replace("8080", str(HTTP)) if "port" in name else value, negated)
        for name, many in values.items()
        for value in many
        for action in ACTIONS
        if " " not in value and (action != "CUSTOM" or name not in IDENTITIES | TOKENS)
        for negated in (False, True)
    ]
    return [Case(number, *one) for number, one in enumerate(made)]


def views(app: App, grpc: GrpcApp, issuer: Issuer) -> Iterator[tuple[Case, ProxyView]]:
    many = cases()
    tokens = {"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
              "metadata": {"name": "tokens", "namespace": "default"},
              "spec": {"jwtRules": [{"issuer": ISSUER, "jwks": issuer.jwks}]}}  # fmt: skip
    objects = [tokens, *(one.policy for one in many)]
    mesh = MeshConfig.model_validate({"trustDomain": DOMAINS[0], "trustDomainAliases": list(DOMAINS[1:])})
    snapshot = snapshot_of(load_yaml("\n---\n".join(map(json.dumps, objects))), mesh)
    for case in many:
        metadata = {"INTERCEPTION_MODE": "NONE", "ARTEMON_PORTS": served(app.port, grpc.port)}
        proxy = {"namespace": "default", "ipAddresses": [case.address], "labels": {"app": case.label}}
        yield case, snapshot.view(read_proxy({**proxy, "metadata": metadata}))


def foretold(view: ProxyView, known: Any, one: Asked) -> bool:
    """What the simulator says."""
    found: bool = judged(view, call_of(one), known)["allowed"]
    return found


@pytest.mark.timeout(3600)
def test_the_truth_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app, grpc, issuer = App(), GrpcApp(), Issuer()
    made = list(views(app, grpc, issuer))
    wrong: list[Any] = []
    seen: Counter[tuple[str, str, bool]] = Counter()
    with running([view for _, view in made], tmp_path, (made[-1][0].address, TCP), app=app) as rig:
        for case, view in made:
            known = configuration(view)
            for one in case.asked:
                wanted = allowed(case.action, [(case.name, [case.value], case.negated)], one)
                answers = (said(rig, issuer, one, 200, 403), foretold(view, known, one))
                seen[case.action, one.over if one.http else "tcp", wanted] += 1
                if answers != (wanted, wanted):
                    wrong.append((case, one, wanted, answers))
            rig.close()
    grpc.close()
    total = sum(seen.values())
    capsys.readouterr()
    with capsys.disabled():
        sys.stdout.writelines(report(seen, len(made), len(wrong)))
    assert wrong == [], f"{len(wrong)} of {total} answers differ, {len(made)} policies"
    assert total > 2000
    assert set(seen) == set(product(ACTIONS, (*OVER, "tcp"), (False, True)))


def report(seen: Counter[tuple[str, str, bool]], policies: int, wrong: int) -> Iterator[str]:
    """Lines about what was asked."""
    yield f"\n{policies} policies of one field, {sum(seen.values())} questions: {wrong} answers differ\n"
    for (action, way, wanted), count in sorted(seen.items()):
        yield f"  {action:6} {way:8} {'let in' if wanted else 'refused'}: {count}\n"
