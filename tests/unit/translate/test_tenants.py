"""T20: what a namespace keeps to itself changes nothing for any other, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from translate_mesh import service_entry

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of
from artemon.translate import Translator
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES

PAY = "pay.bank.svc.cluster.local"
BANK = service_entry(PAY, [(80, "http")], "bank", endpoints=[{"address": "10.0.0.1"}])


def resources(*objects: str, namespace: str) -> dict[tuple[str, str], bytes]:
    """Everything that a sidecar of a namespace gets."""
    snapshot = snapshot_of(load_yaml("\n---\n".join(objects)), MeshConfig())
    translated = Translator().translate(snapshot.view(read_proxy({"namespace": namespace})))
    return {
        (url, name): resource.body
        for url in (CLUSTER, ENDPOINTS, LISTENER, ROUTES)
        for name, resource in translated[url].items.items()
    }


def obj(kind: str, spec: dict[str, Any]) -> str:
    meta = {"name": "x", "namespace": "shop"}
    api = "networking.istio.io/v1"
    return json.dumps({"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec})


ROUTE = {"route": [{"destination": {"host": "thief.shop.svc.cluster.local"}}]}
TLS = {"tls": {"mode": "DISABLE"}}


@pytest.mark.parametrize(
    "one",
    [
        *(
            pytest.param(
                obj("VirtualService", {"hosts": [host], "http": [ROUTE], "exportTo": ["."]}), id=host
            )
            for host in (PAY, "PAY.bank.svc.cluster.local", "pay.bank", "*.bank.svc.cluster.local", "*.local")
        ),
        pytest.param(
            service_entry(PAY, [(80, "http")], "shop", exportTo=["."], endpoints=[{"address": "10.6.6.6"}]),
            id="service-entry",
        ),
        *(
            pytest.param(
                obj("DestinationRule", {"host": host, "trafficPolicy": TLS, **export}), id=f"rule-{n}"
            )
            for n, (host, export) in enumerate(
                [(PAY, {}), (PAY, {"exportTo": ["*"]}), ("*.cluster.local", {}), ("*", {"exportTo": ["*"]})]
            )
        ),
    ],
)
def test_t20_others_keep_their_configuration(one: str) -> None:
    thief = service_entry("thief.shop.svc.cluster.local", [(80, "http")], "shop", exportTo=["."])
    for namespace in ("bank", "third"):
        before = resources(BANK, thief, namespace=namespace)
        assert resources(BANK, thief, one, namespace=namespace) == before


def test_what_a_namespace_keeps_to_itself_acts_there() -> None:
    one = obj("VirtualService", {"hosts": [PAY], "http": [ROUTE], "exportTo": ["."]})
    assert resources(BANK, one, namespace="shop") != resources(BANK, namespace="shop")
