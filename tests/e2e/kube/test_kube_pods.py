"""A pod as injection makes it, as processes in a network namespace, and a machine: one mesh, both ways."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attestation_site import account, token
from cluster_site import ClusterMesh
from injected_process import Volumes, container, injected, run_in, start_in
from kube_server import until
from machine_site import ANSWER, wait
from netns import APP_UID, PROXY_UID, Host, hosts, missing, reaching_us

from artemon.inject import Injector, read_config
from artemon.model.decode import decode_mesh_config
from artemon.pki.certificate import load_certificates
from artemon.pki.verify import verify_chain

pytestmark = [
    pytest.mark.kube,
    pytest.mark.root,
    pytest.mark.envoy,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]
PODS = "/api/v1/namespaces/pods"
PORT = 8080
CERTS = "/var/lib/istio/data/certs"
CLUSTER_IP = "10.96.7.7"


class Site:
    """The pod web-1 of the Service web, the machine vm, and a machine that is in no mesh."""

    def __init__(self, mesh: ClusterMesh, folder: Path, us: str, machines: list[Host]) -> None:
        self.mesh, self.folder, self.us = mesh, folder, us
        self.pod, self.vm, self.stranger = machines
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
        """What API server, kubelet and endpoint controller do."""
        kube, mesh, address = self.mesh.kube, self.mesh, self.pod.ipv4
        values = {"global": {"caAddress": f"{self.us}:{mesh.renew_port}"}}
        config = {"defaultConfig": {"discoveryAddress": f"{self.us}:{mesh.pilot_port}", "concurrency": 1}}
        probe = {"httpGet": {"path": "/ready", "port": "http"}}
        app = {"name": "app", "image": "app:1", "readinessProbe": probe}
        app["ports"] = [{"name": "http", "containerPort": PORT}]
        files = {"proxy.istio.io/config": f"proxyMetadata: {{OUTPUT_CERTS: {CERTS}}}"}
        metadata = {"name": "web-1", "namespace": "pods", "labels": {"app": "web", "version": "v1"}}
        metadata["annotations"] = files
        spec = {"serviceAccountName": "web", "nodeName": "n1", "containers": [app]}
        injector = Injector(read_config(values), decode_mesh_config(config))
        made = injected({"metadata": metadata, "spec": spec}, injector)
        made["metadata"]["namespace"] = "pods"
        self.made = kube.create(f"{PODS}/pods", made)
        ready = {"type": "Ready", "status": "True"}
        told = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [ready]}
        kube.call("PATCH", f"{PODS}/pods/web-1/status", {"status": told})
        listed = {
            "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": PORT}],
            "endpoints": [
                {"addresses": [address], "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "pods"}}
            ],
        }
        kube.create("/apis/discovery.k8s.io/v1/namespaces/pods/endpointslices", listed)
        root = until(lambda: kube.found(f"{PODS}/configmaps/istio-ca-root-cert"), "whom to trust")
        shown = token(kube, "pods", "web", pod="web-1", audiences=("istio-ca",))
        volumes = Volumes(self.folder / "volumes", self.made, {"istio-ca-root-cert": root["data"]}, shown)
        fields = {
            "metadata.name": "web-1", "metadata.namespace": "pods", "spec.serviceAccountName": "web",
            "spec.nodeName": "n1", "status.podIP": address, "status.hostIP": self.us,
        }  # fmt: skip
        status, said = run_in(self.pod, container(self.made, "istio-init"))
        assert status == 0, said
        self.proxy = container(self.made, "istio-proxy")
        start_in(self.pod, self.proxy, volumes, fields, self.pod_log)
        self._application(self.pod, "web")

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


STRICT = {
    "apiVersion": "security.istio.io/v1",
    "kind": "PeerAuthentication",
    "metadata": {"name": "default", "namespace": "pods"},
    "spec": {"mtls": {"mode": "STRICT"}},
}


@pytest.fixture(scope="module")
def site(cluster_mesh: ClusterMesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("pods")
    folder.chmod(0o755)
    with hosts(3) as (switch, *machines), reaching_us(switch) as us:
        made = Site(cluster_mesh, folder, us, machines)
        made.start()
        made.wait_ready()
        yield made
    for kind in ("peerauthentication/default", "authorizationpolicy/web"):
        name, _, which = kind.partition("/")
        cluster_mesh.meshctl("delete", name, which, "-n", "pods")


def test_pod_and_machine_call_each_other_by_their_identities(site: Site) -> None:
    until(lambda: site.to_pod(site.vm)[0] == 200, "the machine reaches the pod")
    _, seen = site.to_pod(site.vm)
    assert (seen["name"], seen["path"]) == ("web", "/")
    assert "URI=spiffe://cluster.local/ns/pods/sa/vm" in seen["caller"]
    until(lambda: site.to_vm(site.pod)[0] == 200, "the pod reaches the machine")
    _, seen = site.to_vm(site.pod)
    assert seen["name"] == "vm"
    assert "URI=spiffe://cluster.local/ns/pods/sa/web" in seen["caller"]


def test_who_is_in_no_mesh_reaches_neither(site: Site) -> None:
    for address in (site.pod.ipv4, site.vm.ipv4):
        assert site.get(site.stranger, f"http://{address}:{PORT}/") == (0, {})


def test_service_accounts_decide_who_may(site: Site) -> None:
    site.only("web", "somebody")
    until(lambda: site.to_pod(site.vm)[0] == 403, "the machine is refused")
    site.only("web", "vm")
    until(lambda: site.to_pod(site.vm)[0] == 200, "the machine is let in")


def test_the_kubelets_probe_passes_and_says_what_the_application_says(site: Site) -> None:
    """Over plaintext, from outside of the mesh; the application's port itself is closed to it."""
    probe = container(site.made, "app")["readinessProbe"]["httpGet"]
    url = f"http://{site.pod.ipv4}:{probe['port']}{probe['path']}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.status == 200
    ready = site.proxy["readinessProbe"]["httpGet"]
    with urllib.request.urlopen(
        f"http://{site.pod.ipv4}:{ready['port']}{ready['path']}", timeout=10
    ) as answer:
        assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://{site.pod.ipv4}:{probe['port']}/app-health/other/livez", timeout=10)


def test_programs_of_the_pod_find_the_certificate_as_files(site: Site) -> None:
    folder = site.folder / "volumes" / "istio-data" / Path(CERTS).name
    chain = load_certificates((folder / "cert-chain.pem").read_bytes())
    roots = load_certificates((folder / "root-cert.pem").read_bytes())
    identity = str(verify_chain(chain, roots, now=datetime.now(UTC)))
    assert identity == "spiffe://cluster.local/ns/pods/sa/web"
    assert b"PRIVATE KEY" in (folder / "key.pem").read_bytes()


def test_hooks_of_the_pod_work(site: Site) -> None:
    agent = (sys.executable, "-m", "proxyd.pod")
    assert site.pod.run(*agent, "wait", "--timeoutSeconds", "5").returncode == 0
    outside = f"http://{site.pod.ipv4}:15020/drain"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(urllib.request.Request(outside, method="POST", data=b""), timeout=10)
    done = site.pod.run(*agent, "request", "--debug-port=15020", "POST", "drain")
    assert (done.returncode, done.stdout) == (0, "OK\n"), done.stderr
