"""A pod as injection makes it, as processes in a network namespace, and a machine: one mesh, both ways."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cluster_site import ClusterMesh
from injected_process import container
from kube_server import until
from netns import hosts, missing, reaching_us
from pod_site import CERTS, PORT, Site

from artemon.pki.certificate import load_certificates
from artemon.pki.verify import verify_chain

pytestmark = [
    pytest.mark.kube,
    pytest.mark.root,
    pytest.mark.envoy,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]


@pytest.fixture(scope="module")
def site(cluster_mesh: ClusterMesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("pods")
    folder.chmod(0o755)
    with hosts(4) as (switch, *machines), reaching_us(switch) as us:
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
    folder = site.folder / "volumes-web-1" / "istio-data" / Path(CERTS).name
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


def test_a_gateway_in_the_cluster_lets_the_world_in(site: Site) -> None:
    """By its own service account, on a port below 1024 without rights."""
    site.start_gateway()
    site.only("web", "gw")

    def get() -> tuple[int, dict[str, Any]]:
        return site.get(site.stranger, f"http://{site.edge.ipv4}/", "-H", "Host: shop.example")

    until(lambda: get()[0] == 200, "an answer by the gateway")
    status, seen = get()
    assert (status, seen["name"]) == (200, "web")
    assert "URI=spiffe://cluster.local/ns/pods/sa/gw" in seen["caller"]
    assert site.to_pod(site.vm)[0] == 403
    for kind in ("gateway", "virtualservice"):
        site.mesh.meshctl("delete", kind, "edge", "-n", "pods")
