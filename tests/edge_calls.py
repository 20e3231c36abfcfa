"""A mesh with objects of the edge, and what its gateway does with requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of
from artemon.simulate import read_call, simulate
from artemon.snapshot.edge.derive import Derived
from artemon.snapshot.snapshot import Snapshot
from meshctl.commands.explain import configuration

Fields = Mapping[str, Any]
INGRESS_GATEWAY = {
    "type": "router",
    "namespace": "istio-system",
    "labels": {"istio": "ingressgateway"},
}


def service(name: str, namespace: str = "shop", **ports: int) -> dict[str, Any]:
    """A Service of Kubernetes; by name of its ports, http on 80 without any."""
    listed = [{"name": key, "port": value} for key, value in (ports or {"http": 80}).items()]
    spec = {"clusterIP": "10.0.0.1", "ports": listed}
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


class Edge:
    """Objects (YAML, or as they are) and the proxy that is asked."""

    def __init__(
        self, text: str, *services: Fields, proxy: Fields = INGRESS_GATEWAY, mesh: Fields | None = None
    ) -> None:
        objects: Iterable[Fields] = [*load_yaml(text), *services]
        self.snapshot: Snapshot = snapshot_of(objects, MeshConfig.model_validate(mesh or {}))
        self._configuration = configuration(self.snapshot.view(read_proxy(proxy)))

    @property
    def derived(self) -> Derived:
        """What the objects came to."""
        return self.snapshot.config.edge

    def ask(self, url: str, *, port: int = 80, mode: str = "gateway", **call: Any) -> dict[str, Any]:
        """What becomes of a request for `host/path`."""
        host, _, path = url.partition("/")
        fields = {"port": port, "protocol": "http", "host": host, "path": f"/{path}", "mode": mode, **call}
        return simulate(self._configuration, read_call(fields)).fields()

    def reaches(self, url: str, **call: Any) -> str:
        """`service:port` (with the namespace where it is not shop), or the status of Envoy's own answer."""
        found = self.ask(url, **call)
        if not found.get("cluster"):
            return str(found["response"]["status"])
        _, port, _, host = found["cluster"].split("|")
        name, namespace = host.split(".")[:2]
        return f"{name}:{port}" if namespace == "shop" else f"{name}.{namespace}:{port}"
