"""What single fields become in Envoy's configuration: the tables in fields/*.yaml.

A row writes one field; `gives` must then be somewhere in what the proxy gets, and must not be there without.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from quick_yaml import read_documents, read_yaml

from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of
from artemon.translate import messages

TABLES = Path(__file__).parent / "fields"
Object = dict[str, Any]
WORLD = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: default}
spec:
  hosts: [web.default.svc.cluster.local]
  addresses: [10.1.1.1]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP}
  - {number: 90, name: tcp, protocol: TCP}
  - {number: 443, name: tls, protocol: TLS}
  endpoints:
  - {address: 10.0.0.1, labels: {version: v1}, locality: r1/z1}
  - {address: 10.0.0.2, labels: {version: v2}, locality: r1/z2}
  - {address: 10.0.0.3, labels: {version: v3}, locality: r2/z1}
"""
PROXIES: Mapping[str, Object] = {
    "sidecar": {
        "labels": {
            "app": "client",
            "topology.kubernetes.io/region": "r1",
            "topology.kubernetes.io/zone": "z1",
        },
        "locality": "r1/z1",
        "network": "n1",
        "ipAddresses": ["10.0.0.9"],
    },
    "direct": {
        "labels": {"app": "client"},
        "ipAddresses": ["127.0.0.9"],
        "metadata": {"INTERCEPTION_MODE": "NONE"},
    },
    "gateway": {"type": "router", "labels": {"istio": "ingressgateway"}},
}


def rows() -> Iterator[Any]:
    for file in sorted(TABLES.glob("*.yaml")):
        for number, row in enumerate(read_yaml(file.read_text())):
            if "field" in row:
                yield pytest.param(row, id=f"{file.stem}-{number}-{row['field'].rpartition('.')[2]}")


def objects(row: Object) -> tuple[list[Object], list[Object]]:
    """The world with what a row writes, and without; `policy` and `server` are short for objects."""
    before = [*read_documents(WORLD), *(copy.deepcopy(one) for one in row.get("given", ()))]
    if "policy" in row:
        spec: Object = {"host": "web", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}
        before.append(written("DestinationRule", spec))
        return [*before[:-1], written("DestinationRule", {**spec, "trafficPolicy": row["policy"]})], before
    if "server" in row:
        route = {"hosts": ["*"], "gateways": ["it"]}
        http = [{"route": [{"destination": {"host": "web", "port": {"number": 80}}}]}]
        before.append(written("VirtualService", {**route, "http": http}))
        server = {"port": {"number": 8443, "name": "https", "protocol": "HTTPS"}, "hosts": ["a.example.com"]}
        gateway = {"selector": {"istio": "ingressgateway"}, "servers": [{**server, **row["server"]}]}
        return [*before, written("Gateway", gateway)], before
    return [
        *before,
        *(written(one["kind"], one["spec"], **one.get("metadata", {})) for one in row["objects"]),
    ], before


def written(kind: str, spec: Object, **meta: Any) -> Object:
    group = "security" if kind == "PeerAuthentication" else "networking"
    named = {"name": "it", "namespace": "default", **meta}
    return {"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": named, "spec": spec}


def configuration(world: list[Object], proxy: str) -> list[Any]:
    """Everything a proxy gets, as JSON."""
    return _configuration(json.dumps(world), proxy)


@cache
def _configuration(world: str, proxy: str) -> list[Any]:
    view = snapshot_of(json.loads(world), MeshConfig()).view(read_proxy(PROXIES[proxy]))
    return [MessageToDict(one) for kind in messages(view).values() for one in kind.values()]


def has(found: Any, wanted: Any) -> bool:
    """Whether a value says at least what is wanted."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            key in found and has(found[key], one) for key, one in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and all(any(has(item, one) for item in found) for one in wanted)
    return bool(found == wanted)


def anywhere(found: Any, wanted: Any) -> bool:
    """Whether some part of a value says what is wanted."""
    if has(found, wanted):
        return True
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return any(anywhere(one, wanted) for one in inner)


@pytest.mark.parametrize("row", list(rows()))
def test_a_field_has_its_effect(row: Object) -> None:
    with_it, without = objects(row)
    proxy = row.get("proxy", "gateway" if "server" in row else "sidecar")
    assert anywhere(configuration(with_it, proxy), row["gives"])
    assert not anywhere(configuration(without, proxy), row["gives"])
