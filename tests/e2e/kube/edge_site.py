"""A gateway of the cluster's edge: a proxy in namespace shop that Ingresses and Gateways select."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from attestation_site import account, pod, token
from cluster_site import NS, ClusterMesh
from cryptography import x509
from servers import dying_with_parent, free_ports

LABELS = {"istio": "ingressgateway", "gateway.networking.k8s.io/gateway-name": "edge"}
INGRESSES = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses"
GATEWAYS = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/gateways"
HTTP_ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes"
ADDRESS = "203.0.113.7"


def written(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    group = "networking.k8s.io/v1" if kind == "Ingress" else "gateway.networking.k8s.io/v1"
    meta = {"name": name, "namespace": "shop"}
    return {"apiVersion": group, "kind": kind, "metadata": meta, "spec": spec}


def balanced(mesh: ClusterMesh, namespace: str, name: str, **labels: str) -> None:
    """A Service of type LoadBalancer that was given an address."""
    path = f"/api/v1/namespaces/{namespace}/services"
    spec = {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80}]}
    made = mesh.kube.create(path, {"metadata": {"name": name, "labels": labels}, "spec": spec})
    made["status"] = {"loadBalancer": {"ingress": [{"ip": ADDRESS}]}}
    mesh.kube.call("PUT", f"{path}/{name}/status", made)


class EdgeGateway:
    """The proxy, by the name of its account. Ports 80, 8080 and 443 are open on free ones."""

    def __init__(self, mesh: ClusterMesh, folder: Path, name: str = "gateway") -> None:
        self.mesh, self.folder, self.name = mesh, folder, name
        self.ports = dict(zip((80, 8080, 443), free_ports(3), strict=True))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """It joins by the token of its pod."""
        own = f"{self.name}-1"
        account(self.mesh.kube, "shop", self.name)
        pod(self.mesh.kube, "shop", own, account=self.name, node="n1")
        shown = self.folder / "pod.token"
        shown.write_text(token(self.mesh.kube, "shop", self.name, pod=own))
        shown.chmod(0o600)
        listed = [
            {"name": f"p{number}", "number": number, "protocol": "TCP", "listen_port": port}
            for number, port in self.ports.items()
        ]
        config = self.folder / "proxyd.yaml"
        settings = {
            **self.mesh.proxy_settings(self.folder, shown),
            "type": "router",
            "node": self.name,
            "service_account": self.name,
            "labels": LABELS,
            "ip_address": "127.0.0.1",
            "gateway_bind": "127.0.0.1",
            "ports": listed,
            "drain_seconds": 0,
        }
        config.write_text(json.dumps(settings))
        command = dying_with_parent(sys.executable, "-m", "proxyd", "run", "--config", str(config))
        with (self.folder / "proxyd.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(30)

    def get(self, host: str, path: str = "/", *, port: int = 80) -> tuple[int, str]:
        """Status and text; (0, "") for nothing."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=5)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode() or str(answer.getheader("location") or "")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def is_open(self, port: int) -> bool:
        """Whether somebody listens."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports[port])) == 0

    def envoy(self) -> list[int]:
        """The process that serves."""
        assert self._process
        return [one.pid for one in psutil.Process(self._process.pid).children() if "envoy" in one.name()]

    def shown(self, host: str) -> x509.Certificate | None:
        """The certificate that a client of `host` is shown on port 443; None when it is refused."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with (
                socket.create_connection(("127.0.0.1", self.ports[443]), timeout=5) as plain,
                context.wrap_socket(plain, server_hostname=host) as secured,
            ):
                return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
        except OSError:
            return None


def status_of(mesh: ClusterMesh, path: str) -> dict[str, Any]:
    found: dict[str, Any] = mesh.kube.call("GET", path).get("status") or {}
    return found


def events_about(mesh: ClusterMesh, name: str) -> list[str]:
    found = mesh.kube.call("GET", f"{NS}/events")["items"]
    return [one["message"] for one in found if one["involvedObject"]["name"] == name]


def in_words(conditions: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in conditions}
