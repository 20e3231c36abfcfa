"""A pod as injection makes it, a machine and a gateway, as processes in network namespaces of one mesh."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from attestation_site import account, token
from cluster_site import ClusterMesh
from injected_process import Volumes, container, injected, run_in, start_in
from kube_server import until
from machine_site import ANSWER, wait
from netns import APP_UID, PROXY_UID, Host

from artemon.inject import Injector, read_config
from artemon.model.decode import decode_mesh_config

PODS = "/api/v1/namespaces/pods"
PORT = 8080
CERTS = "/var/lib/istio/data/certs"
CLUSTER_IP = "10.96.7.7"


class Site:
    """The pod web-1 of the Service web, the machine vm, the pod of a gateway, and a machine in no mesh."""

    def __init__(self, mesh: ClusterMesh, folder: Path, us: str, machines: list[Host]) -> None:
        self.mesh, self.folder, self.us = mesh, folder, us
        self.pod, self.vm, self.edge, self.stranger = machines
        self.pod_log, self.vm_log = folder / "pod.log", folder / "vm.log"

    def start(self) -> None:
        kube = self.mesh.kube
        kube.create("/api/v1/namespaces", {"metadata": {"name": "pods"}})
        kube.service_account("pods")
        account(kube, "pods", "web")
        self.mesh.meshctl("apply", "-f", "-", stdin=json.dumps(STRICT))
        ports = [{"name": "http", "port": 80, "targetPort": PORT}]
        spec = {"clusterIP": CLUSTER_IP, "selector": {"app": "web"}, "ports": ports}
        kube.create(f"{PODS}/services", {"metadata": {"name": "web"}, "spec": spec})
        self._start_pod()
        self._start_vm()

    def _start_pod(self) -> None:
        kube = self.mesh.kube
        probe = {"httpGet": {"path": "/ready", "port": "http"}}
        app: dict[str, Any] = {"name": "app", "image": "app:1", "readinessProbe": probe}
        app["ports"] = [{"name": "http", "containerPort": PORT}]
        self.made = self._stored(self.pod, "web-1", "web", [app], {"app": "web", "version": "v1"}, OWN_FILES)
        listed = {
            "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": PORT}],
            "endpoints": [
                {
                    "addresses": [self.pod.ipv4],
                    "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "pods"},
                }
            ],
        }
        kube.create("/apis/discovery.k8s.io/v1/namespaces/pods/endpointslices", listed)
        status, said = run_in(self.pod, container(self.made, "istio-init"))
        assert status == 0, said
        self.proxy = self._proxy(self.pod, self.made, self.pod_log)
        self._application(self.pod, "web")

    def start_gateway(self) -> None:
        """The pod of an ingress gateway, as the chart has it."""
        account(self.mesh.kube, "pods", "gw")
        labels = {"istio": "ingressgateway"}  # nobody else is to inject it
        asked = [{"name": "istio-proxy", "image": "auto"}]
        told = {"inject.istio.io/templates": "gateway"}
        made = self._stored(self.edge, "gw-1", "gw", asked, labels, told)
        for one in made["spec"]["securityContext"]["sysctls"]:
            self.edge.check("sysctl", "-qw", f"{one['name']}={one['value']}")
        self._proxy(self.edge, made, self.folder / "gw.log")
        self.mesh.meshctl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, GATEWAY)))

    def _stored(
        self,
        host: Host,
        name: str,
        account: str,
        containers: list[dict[str, Any]],
        labels: dict[str, str],
        annotations: dict[str, str],
    ) -> dict[str, Any]:
        """A pod that injection changed, as the API server and the kubelet know it."""
        kube, mesh = self.mesh.kube, self.mesh
        values = {"global": {"caAddress": f"{self.us}:{mesh.renew_port}"}}
        config = {"defaultConfig": {"discoveryAddress": f"{self.us}:{mesh.pilot_port}", "concurrency": 1}}
        metadata = {"name": name, "namespace": "pods", "labels": labels, "annotations": annotations}
        spec = {"serviceAccountName": account, "nodeName": "n1", "containers": containers}
        injector = Injector(read_config(values), decode_mesh_config(config))
        made: dict[str, Any] = kube.create(
            f"{PODS}/pods", injected({"metadata": metadata, "spec": spec}, injector)
        )
        ready = {"type": "Ready", "status": "True"}
        told = {"phase": "Running", "podIP": host.ipv4, "podIPs": [{"ip": host.ipv4}], "conditions": [ready]}
        kube.call("PATCH", f"{PODS}/pods/{name}/status", {"status": told})
        return made

    def _proxy(self, host: Host, made: dict[str, Any], log: Path) -> dict[str, Any]:
        """Start its proxy, with the volumes and the environment that it asks for."""
        kube, name = self.mesh.kube, made["metadata"]["name"]
        account = made["spec"]["serviceAccountName"]
        root = until(lambda: kube.found(f"{PODS}/configmaps/istio-ca-root-cert"), "whom to trust")
        shown = token(kube, "pods", account, pod=name, audiences=("istio-ca",))
        volumes = Volumes(self.folder / f"volumes-{name}", made, {"istio-ca-root-cert": root["data"]}, shown)
        fields = {
            "metadata.name": name, "metadata.namespace": "pods", "spec.serviceAccountName": account,
            "spec.nodeName": "n1", "status.podIP": host.ipv4, "status.hostIP": self.us,
        }  # fmt: skip
        proxy = container(made, "istio-proxy")
        start_in(host, proxy, volumes, fields, log)
        return proxy

    def _application(self, host: Host, name: str) -> None:
        host.start(
            sys.executable, "-c", ANSWER, name, str(PORT), log=self.folder / f"{name}.app", uid=APP_UID
        )

    def _start_vm(self) -> None:
        """What an operator does on a machine."""
        socket = self.mesh.folder / "c.sock"
        command = [sys.executable, "-m", "citadeld", "token", "create", "--namespace", "pods"]
        command += ["--service-account", "vm", "--socket", str(socket)]
        made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        home = self.folder / "vm"
        home.mkdir()
        (home / "token").write_text(made.stdout.strip())
        (home / "root.pem").write_bytes(self.mesh.root.read_bytes())
        settings = {
            "node": "vm",
            "namespace": "pods",
            "service_account": "vm",
            "service": "vm",
            "ports": [{"name": "http", "number": PORT, "protocol": "HTTP"}],
            "ip_address": self.vm.ipv4,
            "data_dir": str(home / "data"),
            "run_dir": str(home / "run"),
            "intercept_dir": str(self.folder / "intercept"),
            "citadeld": [f"{self.us}:{self.mesh.renew_port}"],
            "pilotd": [f"{self.us}:{self.mesh.pilot_port}"],
            "ca_pin": str(home / "root.pem"),
            "join_token_file": str(home / "token"),
            "proxy_user": str(PROXY_UID),
            "interception": "REDIRECT",
        }
        config = home / "proxyd.yaml"
        config.write_text(json.dumps(settings))
        subprocess.run(["chown", "-R", f"{PROXY_UID}:{PROXY_UID}", str(home)], check=True)
        (home / "token").chmod(0o600)
        run = (sys.executable, "-m", "proxyd", "run", "--config", str(config))
        self.vm.start(*run, log=self.vm_log, uid=PROXY_UID)
        self._application(self.vm, "vm")
        for arguments in (("apply", "--now"), ("confirm",)):
            done = self.vm.proxyd("intercept", *arguments, "--config", str(config))
            assert done.returncode == 0, done.stderr

    def wait_ready(self) -> None:
        asks = ("curl", "-sf", "http://127.0.0.1:15020/healthz/ready")
        for host, log in ((self.pod, self.pod_log), (self.vm, self.vm_log)):
            wait(lambda h=host: h.run(*asks).returncode == 0, log.read_text, 120)

    def get(self, host: Host, url: str, *options: str) -> tuple[int, dict[str, Any]]:
        """Status and answer that an application of a host gets; (0, {}) for no connection."""
        out = host.run("curl", "-sg", "-m", "10", "-w", "\n%{http_code}", *options, url, uid=APP_UID).stdout
        body, _, status = out.rpartition("\n")
        try:
            return int(status), json.loads(body)
        except ValueError:
            return int(status or 0), {}

    def to_pod(self, host: Host) -> tuple[int, dict[str, Any]]:
        return self.get(host, f"http://{CLUSTER_IP}/", "-H", "Host: web.pods")

    def to_vm(self, host: Host) -> tuple[int, dict[str, Any]]:
        return self.get(host, f"http://{self.vm.ipv4}:{PORT}/", "-H", f"Host: vm.pods:{PORT}")

    def only(self, workload: str, principal: str) -> None:
        """Who may call a workload."""
        spec = {
            "selector": {"matchLabels": {"app": workload}},
            "rules": [{"from": [{"source": {"principals": [f"cluster.local/ns/pods/sa/{principal}"]}}]}],
        }
        policy = {
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": workload, "namespace": "pods"},
            "spec": spec,
        }
        self.mesh.meshctl("apply", "-f", "-", stdin=json.dumps(policy))


OWN_FILES = {"proxy.istio.io/config": f"proxyMetadata: {{OUTPUT_CERTS: {CERTS}}}"}
GATEWAY = [
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "pods"},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        },
    },
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "edge", "namespace": "pods"},
        "spec": {
            "hosts": ["shop.example"],
            "gateways": ["edge"],
            "http": [{"route": [{"destination": {"host": "web", "port": {"number": 80}}}]}],
        },
    },
]
STRICT = {
    "apiVersion": "security.istio.io/v1",
    "kind": "PeerAuthentication",
    "metadata": {"name": "default", "namespace": "pods"},
    "spec": {"mtls": {"mode": "STRICT"}},
}
