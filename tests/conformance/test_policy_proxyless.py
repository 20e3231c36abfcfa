"""gRPC servers without a proxy enforce AuthorizationPolicy as it is defined: every field, wanted and
unwanted, in every action, and fields together. Real gRPC servers, and the definition of policies.

Some of them, the same ones each time; all single fields and many pairs and triples with ARTEMON_TRUTH_TABLE
(`make truth-table`).
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from policy_calls import said
from policy_draws import ACTIONS, HTTP, HTTPS, VALUES, Case, Draws, fields_for
from policy_grpc_feed import TEMPLATE, serving
from policy_http2 import EMPTY_MESSAGE
from policy_reference import DOMAINS, Alternatives, Asked, Term, Written, decided
from policy_rig import App, Caller, Issuer, Realm, Rig
from policy_spellings import HEADERS, HOSTS

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of
from artemon.translate.grpc.servers import server_listeners

EVERY = bool(os.environ.get("ARTEMON_TRUTH_TABLE"))
SEED, BATCH, MOST = 5, 100, 8
SHARE = 1 if EVERY else 7
"""One of so many."""
PLAIN, MUTUAL = HTTP, HTTPS


def cases() -> list[Case]:
    draws = Draws(SEED)
    single = [
        (action, (Term(name, (value,), negated),))
        for action in ACTIONS
        for name in fields_for(action)
        for value in VALUES[name]
        for negated in (False, True)
    ]
    found = [*single[::SHARE], *draws.combinations()[: 400 if EVERY else 20]]
    return [
        Case(number % BATCH, False, (Written(action, (draws.rule(action, terms),), "nobody"),))
        for number, (action, terms) in enumerate(found)
    ]


def listeners(many: Sequence[Case]) -> Iterator[tuple[str, bytes]]:
    """Of two servers for each case: one takes plaintext, one mutual TLS alone."""
    strict = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
              "metadata": {"name": "strict", "namespace": "default"},
              "spec": {"selector": {"matchLabels": {"speaks": "grpc"}}, "mtls": {"mode": "STRICT"},
                       "portLevelMtls": {PLAIN: {"mode": "PERMISSIVE"}}}}  # fmt: skip
    objects = [strict, *(policy for case in many for policy in case.objects)]
    mesh = MeshConfig.model_validate({"trustDomain": DOMAINS[0], "trustDomainAliases": list(DOMAINS[1:])})
    snapshot = snapshot_of(load_yaml("\n---\n".join(map(json.dumps, objects))), mesh)
    ports = [{"number": number, "name": f"grpc-{number}", "protocol": "GRPC", "listenPort": number}
             for number in (PLAIN, MUTUAL)]  # fmt: skip
    for case in many:
        proxy = {"namespace": "default", "ipAddresses": [case.address],
                 "labels": {"app": case.label, "speaks": "grpc"},
                 "metadata": {"GENERATOR": "grpc", "ARTEMON_PORTS": ports}}  # fmt: skip
        for one in server_listeners(snapshot.view(read_proxy(proxy))):
            yield one.name, one.body


def as_grpc_sees(one: Asked) -> Asked:
    """The same question to a gRPC server: it takes no word of others for where a call comes from."""
    port = MUTUAL if one.identity else PLAIN
    return replace(one, http=True, over="grpc", by_grpc=True, method="POST", port=port, client=one.source)


def judge(rig: Rig, issuer: Issuer, case: Case, draws: Draws, seen: Counter[Any]) -> Iterator[Any]:
    """What differs."""

    def decides(one: Asked) -> bool:
        return decided(case.policies, as_grpc_sees(one), identified=True, asked=lambda *_: False)

    for drawn in draws.asked(case, decides, most=MOST):
        one = as_grpc_sees(drawn)
        wanted = decides(one)
        seen[case.policies[0].action, wanted] += 1
        if said(rig, issuer, one, 200, 403) != wanted:
            yield case, one, wanted


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_grpc_servers_let_in_whom_policies_let_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every, draws, issuer, realm = cases(), Draws(SEED), Issuer(), Realm(tmp_path)
    wrong: list[Any] = []
    seen: Counter[tuple[str, bool]] = Counter()
    for start in range(0, len(every), BATCH):
        many = every[start : start + BATCH]
        known = dict(listeners(many))
        places = [(case.address, port) for case in many for port in (PLAIN, MUTUAL)]
        assert {TEMPLATE % f"{address}:{port}" for address, port in places} <= known.keys()
        rig = Rig(realm, App())
        with serving(places, known, realm):
            for case in many:
                wrong += judge(rig, issuer, case, draws, seen)
                rig.close()
        rig.app.close()
    capsys.readouterr()
    with capsys.disabled():
        sys.stdout.writelines(report(len(every), seen, len(wrong)))
    assert wrong == [], f"{len(wrong)} answers differ"
    assert set(seen) == set(product(ACTIONS, (False, True)))


SPELLED = (
    Alternatives(conditions=(Term("request.headers[x-role]", ("admin",)),)),
    Alternatives(operations=((Term("hosts", ("secret.example",)),),)),
    Alternatives(operations=((Term("paths", ("/admin.Keys/*",)),),)),
)


def test_t28_no_spelling_gets_past_grpc(tmp_path: Path) -> None:
    realm, case = Realm(tmp_path), Case(0, False, (Written("DENY", SPELLED),))
    rig, place = Rig(realm, App()), (case.address, PLAIN)
    base = [(b":method", b"POST"), (b":scheme", b"http"), (b"te", b"trailers"),
            (b"content-type", b"application/grpc")]  # fmt: skip
    asked = [[(b":path", b"/a.B/C"), (b":authority", host.encode())] for host in HOSTS]
    asked += [
        [(b":path", b"/a.B/C"), (b":authority", b"a"),
         *((name.lower().encode(), value.encode("latin-1")) for name, value in pairs)]
        for pairs in HEADERS
    ]  # fmt: skip
    asked += [
        [(b":path", path), (b":authority", b"a")]
        for path in (b"/admin.Keys/Get", b"/admin.Keys/Get?x", b"/admin.Keys/\xff")
    ]
    with serving([place], dict(listeners([case])), realm):
        past = []
        for headers in asked:
            reply = rig.http2(*place, [*base[:2], *headers, *base[2:]], Caller(), EMPTY_MESSAGE)
            past += [(headers, reply)] if reply.grpc == "OK" else []
        fine = [*base[:2], (b":path", b"/a.B/C"), (b":authority", b"a"), *base[2:]]
        assert rig.http2(*place, fine, Caller(), EMPTY_MESSAGE).grpc == "OK"
        rig.close()
    rig.app.close()
    assert past == []


def report(policies: int, seen: Counter[tuple[str, bool]], wrong: int) -> Iterator[str]:
    """Lines about what was asked."""
    yield f"\n{policies} gRPC servers without a proxy, {sum(seen.values())} calls: {wrong} answers differ\n"
    for (action, wanted), count in sorted(seen.items()):
        yield f"  {action:6} {'let in' if wanted else 'refused'}: {count}\n"
