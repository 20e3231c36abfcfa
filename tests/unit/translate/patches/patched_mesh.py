"""A small mesh with EnvoyFilters, and what its proxies get."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf.json_format import MessageToDict

from artemon.model.decode import decode, load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.model.rejected_patch import RejectedPatch
from artemon.registry.files import read_proxy, snapshot_of
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import ProxyView
from artemon.translate import messages, translate
from artemon.translate.patches.match import Setting
from artemon.translate.patches.plan import Patched, Plan, patched
from artemon.translate.patches.read import reading
from artemon.xds.resource import Resource
from artemon.xds.types import CLUSTER, EXTENSION, LISTENER, ROUTES

ROOT = "istio-system"
WEB = "web.default.svc.cluster.local"
WEB_80 = f"outbound|80||{WEB}"
SIDECAR: dict[str, Any] = {
    "labels": {"app": "web"},
    "metadata": {"ISTIO_VERSION": "1.30.0", "ZONE": "a", "ARTEMON_SERVICE": "web"},
}
ROUTER: dict[str, Any] = {"type": "router", "labels": {"istio": "ingressgateway"}}
LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"

MESH = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: web, namespace: default}}
spec:
  hosts: [{WEB}]
  addresses: [10.1.1.1]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {{number: 80, name: http, protocol: HTTP}}
  - {{number: 83, name: tcp, protocol: TCP}}
  workloadSelector: {{labels: {{app: web}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: default}}
spec:
  hosts: [web, shop.example.com]
  gateways: [mesh, shop]
  http:
  - name: first
    match: [{{uri: {{prefix: /first}}}}]
    route: [{{destination: {{host: web, port: {{number: 80}}}}}}]
  - name: gone
    match: [{{uri: {{prefix: /gone}}}}]
    redirect: {{uri: /first}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: shop, namespace: default}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - {{port: {{number: 8080, name: http, protocol: HTTP}}, hosts: [shop.example.com]}}
  - port: {{number: 8443, name: https, protocol: HTTPS}}
    hosts: [shop.example.com]
    tls: {{mode: SIMPLE, credentialName: shop}}
"""
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: default}
spec: {mtls: {mode: STRICT}}
"""


ECHO = {
    "name": "envoy.filters.network.echo",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"},
}


def static(name: str, where: dict[str, Any]) -> dict[str, Any]:
    """A cluster of one address."""
    endpoint = {"lb_endpoints": [{"endpoint": {"address": where}}]}
    assignment = {"cluster_name": name, "endpoints": [endpoint]}
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment}


def address(port: int, host: str = "127.0.0.1") -> dict[str, Any]:
    """A TCP address."""
    return {"socket_address": {"address": host, "port_value": port}}


def listening(port: int) -> dict[str, Any]:
    """A listener on all addresses."""
    return {"name": "mine", "address": address(port, "0.0.0.0"), "filter_chains": [{"filters": [ECHO]}]}


def script(code: str) -> dict[str, Any]:
    """An HTTP filter that runs Lua."""
    source = {"inline_string": code}
    return {"name": "lua", "typed_config": {"@type": LUA, "default_source_code": source}}


def patch(apply_to: str, operation: str, value: Any = None, **match: Any) -> dict[str, Any]:
    """One entry of `configPatches`; `match` by its fields."""
    made: dict[str, Any] = {"applyTo": apply_to, "patch": {"operation": operation}}
    if value is not None:
        made["patch"]["value"] = value
    return made | ({"match": match} if match else {})


def envoy_filter(*patches: dict[str, Any], name: str = "f", namespace: str = ROOT, **fields: Any) -> str:
    """An EnvoyFilter as text; `annotations` and `created` are of its metadata, the rest of its spec."""
    meta: dict[str, Any] = {"name": name, "namespace": namespace}
    meta["annotations"] = fields.pop("annotations", {})
    meta["creationTimestamp"] = fields.pop("created", "2026-01-01T00:00:00Z")
    spec = {"configPatches": list(patches), **fields}
    kind = {"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter"}
    return json.dumps({**kind, "metadata": meta, "spec": spec})


def view(
    *objects: str, proxy: Mapping[str, Any] = SIDECAR, mesh: Mapping[str, Any] | None = None
) -> ProxyView:
    """What a proxy sees of the mesh with these objects in it."""
    found = [one for text in (MESH, *objects) for one in load_yaml(text)]
    return snapshot_of(found, MeshConfig.model_validate(mesh or {})).view(read_proxy(proxy))


@dataclass(frozen=True)
class Made:
    """Plain values of what a proxy gets, with connection managers opened, and what was left out."""

    clusters: dict[str, Any]
    listeners: dict[str, Any]
    routes: dict[str, Any]
    extensions: dict[str, Any]
    rejected: tuple[RejectedPatch, ...]

    def chains(self, listener: str) -> list[Any]:
        """The filter chains of a listener."""
        return list(self.listeners[listener]["filterChains"])

    def http_filters(self, listener: str, chain: int = 0) -> list[str]:
        """The names of HTTP filters, in order."""
        return [one["name"] for one in self.manager(listener, chain)["httpFilters"]]

    def manager(self, listener: str, chain: int = 0) -> dict[str, Any]:
        """A connection manager."""
        filters = self.chains(listener)[chain]["filters"]
        return next(one["typedConfig"] for one in filters if "httpFilters" in one["typedConfig"])

    def virtual_hosts(self, name: str) -> dict[str, Any]:
        """The virtual hosts of a route configuration, by name."""
        return {one["name"]: one for one in self.routes[name]["virtualHosts"]}


@cache
def _made(objects: tuple[str, ...], proxy: str) -> Made:
    seen = view(*objects, proxy=json.loads(proxy))
    found = messages(seen)
    plain = {url: {name: MessageToDict(one) for name, one in found.get(url, {}).items()} for url in found}
    parts = [plain.get(url, {}) for url in (CLUSTER, LISTENER, ROUTES, EXTENSION)]
    return Made(*parts, rejected=translate(seen).rejected)


def made(*objects: str, proxy: Mapping[str, Any] = SIDECAR) -> Made:
    """What a proxy gets of the mesh with these objects in it."""
    return _made(objects, json.dumps(proxy))


def reasons(*objects: str, proxy: Mapping[str, Any] = SIDECAR) -> list[str]:
    """Why patches were left out."""
    return [one.reason for one in made(*objects, proxy=proxy).rejected]


def applied(message: Any, url: str, *objects: str, setting: Setting) -> Patched:
    """One resource that the mesh made, patched by EnvoyFilters."""
    filters = [decode(json.loads(one)) for one in objects]
    read = reading(filters, ROOT)  # type: ignore[arg-type]
    plan = Plan(read, MeshConfig(), setting, tuple(range(len(read.patches))))
    return Memo().get(patched, Resource.of(message.name, url, message), plan, by=(url,))


def manager_of(listener: Any, chain: int = 0) -> HttpConnectionManager:
    """The connection manager that ends a filter chain."""
    out = HttpConnectionManager()
    assert listener.filter_chains[chain].filters[-1].typed_config.Unpack(out)
    return out
