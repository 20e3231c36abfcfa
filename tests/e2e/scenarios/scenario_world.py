"""All scenarios in one mesh, and a running Envoy for each of a few proxies in it.

Interception without privileges: the Envoy of a sidecar takes connections on its `virtualOutbound` listener
with a PROXY protocol header that says where the application connected to, in place of the kernel's answer to
the same question; everything after that (which listener, which chain) is Envoy's own.
"""

from __future__ import annotations

import copy
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway_certificates import Certificates
from real_envoy import bootstrap_of, envoy
from scenario_servers import ADDRESSES
from scenario_table import Object, Scenario, ports
from servers import dying_with_parent, free_ports

from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of
from artemon.snapshot.view import ProxyView
from artemon.translate.bootstrap import Credentials

PROXIES: Mapping[str, dict[str, Any]] = {
    "client": {"namespace": "default", "labels": {"app": "client", "version": "v1"}},
    "other": {"namespace": "other", "labels": {"app": "other", "version": "v2"}},
    "strict": {"namespace": "strict", "labels": {"app": "strict"}},
    "gateway": {
        "type": "router",
        "namespace": "default",
        "labels": {"istio": "ingressgateway"},
        "serviceAccount": "gateway",
    },
    "lookup": {"namespace": "default", "labels": {"app": "lookup"}},
    "resolver": {
        "namespace": "default",
        "labels": {"app": "resolver"},
        "metadata": {"DNS_CAPTURE": "true"},
    },
    "closed": {"namespace": "default", "labels": {"app": "closed"}},
    "proxied": {"namespace": "proxied", "labels": {"app": "proxied"}},
}
"""Whose Envoys run. `strict` may only call what the mesh knows; `proxied` calls all
else by a proxy; `resolver` gives its application virtual addresses."""
MESHES: Mapping[str, dict[str, Any]] = {
    "lookup": {"outboundTrafficPolicy": {"mode": "ALLOW_ANY_DYNAMIC_DNS"}},
    "closed": {
        "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
        "defaultHttpRetryPolicy": {"attempts": 3, "retryOn": "503"},
    },
}
"""Who lives in a mesh with other settings."""
SEEN_AS = {name: f"127.0.89.{number}" for number, name in enumerate(PROXIES, 31)}
GATEWAY_PORTS = {"http": 8080, "http2": 8081, "https": 8443, "tls": 8444, "tcp": 9000}
SURROUNDINGS: list[Object] = [
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "default", "namespace": "strict"},
        "spec": {
            "egress": [{"hosts": ["default/*"]}],
            "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
        },
    },
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "default", "namespace": "proxied"},
        "spec": {
            "egress": [{"hosts": ["default/*"]}],
            "outboundTrafficPolicy": {
                "mode": "ALLOW_ANY",
                "egressProxy": {"host": "egress-proxy.default.svc.cluster.local", "port": {"number": 80}},
            },
        },
    },
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "egress", "namespace": "default"},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [
                {
                    "port": {"number": 8450, "name": "tls", "protocol": "TLS"},
                    "hosts": ["default/*"],
                    "tls": {"mode": "ISTIO_MUTUAL"},
                }
            ],
        },
    },
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {"name": "gateway", "namespace": "default"},
        "spec": {
            "address": SEEN_AS["gateway"],
            "labels": {"istio": "ingressgateway"},
            "serviceAccount": "gateway",
        },
    },
]
_PROXY_PROTOCOL = {
    "name": "envoy.filters.listener.proxy_protocol",
    "typedConfig": {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
    },
}


def objects_of(scenarios: Iterable[Scenario]) -> list[Object]:
    """The whole mesh."""
    found = [one for scenario in scenarios for one in copy.deepcopy(scenario.objects)]
    for one in found:
        if one["kind"] == "ServiceEntry":
            one["spec"] = _with_instances(one["spec"])
    return [*SURROUNDINGS, *found]


def _with_instances(spec: dict[str, Any]) -> dict[str, Any]:
    """Endpoints that are named by their version, as they are on this machine."""
    serving = {one["name"]: ports().get(one["name"].partition("-")[0], 0) for one in spec["ports"]}
    endpoints = [
        {"address": ADDRESSES[one], "ports": serving, "labels": {"version": one}}
        if isinstance(one, str)
        else one
        for one in spec.get("endpoints", ())
    ]
    out = {**spec, "endpoints": endpoints}
    if not endpoints:
        del out["endpoints"]
    return out


def views_of(objects: Iterable[Object]) -> dict[str, ProxyView]:
    """What each proxy is given."""
    everything = list(objects)
    usual = snapshot_of(everything, MeshConfig())
    snapshots = {
        name: snapshot_of(everything, MeshConfig.model_validate(mesh)) for name, mesh in MESHES.items()
    }
    return {
        name: snapshots.get(name, usual).view(read_proxy({"name": name, **fields}))
        for name, fields in PROXIES.items()
    }


@dataclass(frozen=True, slots=True)
class Envoy:
    """A running proxy. outbound: where it takes connections that the application made."""

    name: str
    address: str
    outbound: int
    admin: int
    process: subprocess.Popen[bytes]

    @property
    def is_gateway(self) -> bool:
        return self.name == "gateway"


def start(name: str, view: ProxyView, folder: Path, authority: Certificates) -> Envoy:
    """An Envoy with the configuration of a proxy, listening on an address of its own."""
    outbound, admin = free_ports(2)
    proxy = view.proxy
    own = authority.issue(f"spiffe://cluster.local/ns/{proxy.namespace}/sa/{proxy.service_account}")
    credentials = Credentials(chain=own.chain, key=own.key, roots=authority.roots)
    address, bootstrap = SEEN_AS[name], bootstrap_of(view, credentials)
    bootstrap["admin"]["address"]["socketAddress"]["portValue"] = admin  # type: ignore[index]
    _reachable(bootstrap, address, outbound)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(bootstrap))
    options = ["--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            dying_with_parent(str(envoy()), "-c", str(path), *options), stderr=log, stdout=log
        )
    return Envoy(name, address, outbound, admin, process)


def _reachable(bootstrap: dict[str, Any], address: str, outbound: int) -> None:
    kept = []
    for one in bootstrap["staticResources"].get("listeners", []):
        place = one["address"].get("socketAddress", {})
        if one.get("name") == "virtualOutbound":
            place.update({"address": address, "portValue": outbound})
            one["listenerFilters"] = [_PROXY_PROTOCOL, *one.get("listenerFilters", [])]
        elif one.get("name") == "virtualInbound":
            continue
        elif one.get("bindToPort", True):
            place["address"] = address
        kept.append(one)
    bootstrap["staticResources"]["listeners"] = kept


def wait_ready(running: Iterable[Envoy], folder: Path) -> None:
    """Return when all serve. Raises RuntimeError with what the first that does not has to say."""
    deadline = time.monotonic() + 60
    for one in running:
        while not _is_ready(one):
            if one.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{one.name}: {(folder / f'{one.name}.log').read_text()[-3000:]}")
            time.sleep(0.05)


def _is_ready(one: Envoy) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{one.admin}/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
