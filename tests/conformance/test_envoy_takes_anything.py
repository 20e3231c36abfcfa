"""Whatever validation accepts, Envoy takes; and the order in which objects came changes nothing.

Objects are drawn one by one and judged together, many to an Envoy; of a refusal, the smallest set of objects
that causes it is shown. By default always the same 200 are drawn; ARTEMON_EXAMPLES draws as many new ones
(`make property`).
"""

from __future__ import annotations

import os
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from plausible_objects import plausible, write_files
from real_envoy import complaint, envoy, self_signed

from artemon.errors import Refused
from artemon.model.decode import decode
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of
from artemon.snapshot.view import ProxyView
from artemon.translate import messages
from artemon.validate import problems

EXAMPLES = int(os.environ.get("ARTEMON_EXAMPLES", "200"))
FIXED = "ARTEMON_EXAMPLES" not in os.environ
BATCH = 100
MOST = 10
"""Refusals that are shown."""
Object = dict[str, Any]

WORLD = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviewsN, namespace: default}
spec:
  hosts: [reviewsN.default.svc.cluster.local]
  addresses: [10.200.0.N]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP}
  - {number: 9000, name: tcp, protocol: TCP}
  - {number: 443, name: tls, protocol: TLS}
  endpoints:
  - {address: 10.0.0.1, labels: {version: v1, security.istio.io/tlsMode: istio}, locality: r1/z1}
  - {address: 10.0.0.2, labels: {version: v2}, locality: r2/z1}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: webN, namespace: default}
spec:
  hosts: [webN.default.svc.cluster.local, shopN.example.com]
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: https, protocol: HTTPS}]
"""
"""What object N refers to. Objects for the same host would hide each other."""
OWN = re.compile(r"reviews|web(?=\.default)|shop(?=\.example)|\*(?=\.example)")
SHARED = frozenset({"labels", "matchLabels", "sourceLabels", "selector"})
PORT = '[{"name":"http","number":80,"protocol":"HTTP","listenPort":8080,"appPort":8081}]'
PROXIES: dict[str, dict[str, Any]] = {
    "sidecar": {"labels": {"app": "client", "version": "v1"}, "ipAddresses": ["10.0.0.7"]},
    "sidecar without interception": {
        "labels": {"app": "reviews"},
        "ipAddresses": ["127.0.0.9"],
        "metadata": {"INTERCEPTION_MODE": "NONE", "HTTP_PROXY_PORT": "15080", "ARTEMON_PORTS": PORT},
    },
    "gateway": {"type": "router", "labels": {"istio": "ingressgateway"}},
}


def accepted(obj: Object) -> bool:
    """Whether the object would get in."""
    try:
        return all(one.level != "error" for one in problems(decode(obj)))
    except Refused:
        return False


def named(objects: Sequence[Object]) -> list[Object]:
    """Every object with a name of its own but the first Gateway, which rules refer to; and its own hosts."""
    return [_named(one, number) for number, one in enumerate(objects)]


def _named(one: Object, number: int) -> Object:
    name = f"{one['kind'].lower()}-{number}" if number else "front"
    return {**one, "metadata": {**one["metadata"], "name": name}, "spec": _renamed(one["spec"], number)}


def _renamed(value: Any, number: int) -> Any:
    if isinstance(value, str):
        return OWN.sub(lambda found: f"*.x{number}" if found[0] == "*" else f"{found[0]}{number}", value)
    if isinstance(value, list):
        return [_renamed(one, number) for one in value]
    if isinstance(value, dict):
        return {key: one if key in SHARED else _renamed(one, number) for key, one in value.items()}
    return value


def view(objects: Sequence[Object], proxy: str) -> ProxyView:
    """What a proxy sees of the world with these objects."""
    numbers = {
        int(one["metadata"]["name"].rpartition("-")[2])
        for one in objects
        if one["metadata"]["name"] != "front"
    }
    around = [
        one
        for number in sorted({0, *numbers})
        for one in yaml.safe_load_all(re.sub(r"N\b", str(number), WORLD))
    ]
    return snapshot_of([*around, *objects], MeshConfig()).view(read_proxy({"name": "it", **PROXIES[proxy]}))


def drawn(examples: int) -> list[Object]:
    found: list[Object] = []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=FIXED,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(plausible())
    def draw(obj: Object) -> None:
        assume(accepted(obj))
        found.append(obj)

    draw()
    return found


@pytest.mark.envoy
@pytest.mark.timeout(60 + EXAMPLES)
def test_envoy_takes_what_validation_accepts(tmp_path: Path) -> None:
    envoy()
    own = self_signed()
    write_files(own.chain, own.key)
    objects = sorted(drawn(EXAMPLES), key=lambda one: one["kind"] != "Gateway")
    assert len(objects) >= EXAMPLES // 2
    found = [
        one
        for start in range(0, len(objects), BATCH)
        for one in refusals(objects[start : start + BATCH], tmp_path)
    ]
    assert not found, "\n\n".join(found[:MOST])
    kinds = Counter(one["kind"] for one in objects)
    sys.stdout.write(f"Envoy took {len(objects)} objects ({kinds}) as {', '.join(PROXIES)}\n")


def refusals(objects: list[Object], folder: Path) -> Iterator[str]:
    """What Envoy says of the objects, each reason with those that cause it."""
    batch = named(objects)
    for proxy in PROXIES:
        while complaint(view(batch, proxy), folder):
            culprits = smallest(batch, proxy, folder)
            why = complaint(view(culprits, proxy), folder)
            yield f"{proxy}: ...{why[-600:]}\n{yaml.safe_dump_all(culprits)}"
            batch = [one for one in batch if one not in culprits]


def smallest(objects: list[Object], proxy: str, folder: Path) -> list[Object]:
    """As few of the objects as still make Envoy refuse."""
    size = len(objects) // 2
    while size:
        for start in range(0, len(objects), size):
            rest = objects[:start] + objects[start + size :]
            if complaint(view(rest, proxy), folder):
                objects = rest
                break
        else:
            size //= 2
    return objects


@pytest.mark.timeout(60 + EXAMPLES)
@settings(
    max_examples=EXAMPLES // 8,
    deadline=None,
    database=None,
    derandomize=FIXED,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(plausible().filter(accepted), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_order_of_objects_changes_nothing(objects: list[Object], chance: random.Random) -> None:
    listed = named(objects)
    shuffled = chance.sample(listed, len(listed))
    for proxy in PROXIES:
        assert messages(view(listed, proxy)) == messages(view(shuffled, proxy)), proxy
