"""What injection renders for a pod's interception is run as it stands, in a network namespace."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from injected_process import container, injected, run_in
from netns import APP_UID, Host, hosts, missing

from artemon.inject import Injector, read_config

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]
PROXY_UID = 1337
POD: dict[str, Any] = {
    "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "app", "image": "app:1"}]},
}
SERVER = """
import socket, sys
socks = []
for port in map(int, sys.argv[1:]):
    one = socket.create_server(("", port), reuse_port=False)
    socks.append(one)
import selectors
wait = selectors.DefaultSelector()
for one in socks: wait.register(one, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in wait.select():
        peer, _ = key.fileobj.accept()
        peer.sendall(str(key.fileobj.getsockname()[1]).encode())
        peer.close()
"""
"""Says on which port one arrived."""
ASK = """
import socket, sys
try:
    print(socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5).recv(9).decode())
except OSError as error:
    print("none")
"""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Host, Host]]:
    """A pod, a pod for nobody, and somebody else."""
    folder = tmp_path_factory.mktemp("pods")
    with hosts(3) as (_, pod, bare, peer):
        serve(pod, folder / "pod.log", PROXY_UID, 15001, 15006, 15020, 8080, 22)
        serve(peer, folder / "peer.log", APP_UID, 80, 9999)
        yield pod, bare, peer


def serve(host: Host, log: Path, uid: int, *ports: int) -> None:
    caps = ("net_bind_service",)
    host.start(sys.executable, "-c", SERVER, *map(str, ports), log=log, uid=uid, caps=caps)
    end = time.monotonic() + 30
    while "ready" not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def arrives(host: Host, to: str, port: int, uid: int = APP_UID) -> str:
    """The port at which a connection ends up."""
    return host.check(sys.executable, "-c", ASK, to, str(port), uid=uid).strip()


def init(annotations: dict[str, str] | None = None, injector: Injector | None = None) -> dict[str, Any]:
    pod = {**POD, "metadata": {**POD["metadata"], "annotations": annotations or {}}}
    made = injected(pod, injector)
    return container(made, "istio-validation" if injector else "istio-init")


def in_force(host: Host) -> str:
    """The rules, without what they have counted."""
    return host.check("nft", "-s", "list", "table", "inet", "artemon")


def test_the_init_container_leads_connections_to_the_proxy(machines: tuple[Host, Host, Host]) -> None:
    pod, _, peer = machines
    status, said = run_in(pod, init())
    assert status == 0, said
    assert arrives(pod, peer.ipv4, 80) == "15001"
    assert arrives(pod, peer.ipv4, 80, uid=PROXY_UID) == "80"
    assert arrives(peer, pod.ipv4, 8080) == "15006"
    assert arrives(peer, pod.ipv4, 15020) == "15020"
    assert arrives(peer, pod.ipv4, 22) == "22"
    before = in_force(pod)
    assert run_in(pod, init())[0] == 0
    assert in_force(pod) == before


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({"excludeOutboundPorts": "80"}, ("80", "15001", "15006")),
        ({"includeOutboundIPRanges": ""}, ("80", "9999", "15006")),
        ({"includeOutboundIPRanges": "", "includeOutboundPorts": "9999"}, ("80", "15001", "15006")),
        ({"excludeOutboundIPRanges": "10.0.0.0/8"}, ("80", "9999", "15006")),
        ({"includeInboundPorts": "9"}, ("15001", "15001", "8080")),
        ({"excludeInboundPorts": "8080"}, ("15001", "15001", "8080")),
        ({"excludeInterfaces": "eth0"}, ("80", "9999", "8080")),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_annotations_are_in_force(
    machines: tuple[Host, Host, Host], annotations: dict[str, str], expected: tuple[str, ...]
) -> None:
    """To port 80 and 9999 of a peer, and from a peer to port 8080."""
    pod, _, peer = machines
    told = {f"traffic.sidecar.istio.io/{name}": value for name, value in annotations.items()}
    status, said = run_in(pod, init(told))
    assert status == 0, said
    found = (arrives(pod, peer.ipv4, 80), arrives(pod, peer.ipv4, 9999), arrives(peer, pod.ipv4, 8080))
    assert found == expected


def test_tproxy_is_set_up_for_a_proxy_that_is_root(machines: tuple[Host, Host, Host]) -> None:
    """Known by its group then, as its user is not its own."""
    pod, _, peer = machines
    asked = {"sidecar.istio.io/interceptionMode": "TPROXY"}
    made = injected({**POD, "metadata": {**POD["metadata"], "annotations": asked}})
    context = container(made, "istio-proxy")["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (0, PROXY_UID)
    status, said = run_in(pod, container(made, "istio-init"))
    assert status == 0, said
    assert arrives(pod, peer.ipv4, 80) == "15001"
    as_proxy = ("setpriv", "--reuid=0", f"--regid={PROXY_UID}", "--clear-groups")
    assert pod.check(*as_proxy, sys.executable, "-c", ASK, peer.ipv4, "80").strip() == "80"
    assert f"skgid {PROXY_UID}" in in_force(pod)


def test_virtual_machines_of_the_pod_are_applications(machines: tuple[Host, Host, Host]) -> None:
    pod, _, peer = machines
    status, said = run_in(pod, init({"traffic.sidecar.istio.io/kubevirtInterfaces": "eth0"}))
    assert status == 0, said
    assert arrives(peer, pod.ipv4, 8080) == "15001"  # eth0 stands for the machine's interface


def test_names_are_led_to_the_proxy_where_it_answers(machines: tuple[Host, Host, Host]) -> None:
    pod, _, _ = machines
    config = 'proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true"}'
    made = init({"proxy.istio.io/config": config})
    made["args"] = [*made["args"], "--resolvers", "10.96.0.10"]
    status, said = run_in(pod, made)
    assert status == 0, said
    assert "10.96.0.10" in in_force(pod)
    assert ":15053" in in_force(pod)


def test_a_validating_container_tells_whether_somebody_set_it_up(
    machines: tuple[Host, Host, Host],
) -> None:
    """As the proxy's user, without any right."""
    _, bare, _ = machines
    injector = Injector(read_config({"pilot": {"cni": {"enabled": True}}}))
    made = init(injector=injector)
    assert made["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    status, said = run_in(bare, made)
    assert (status, "not intercepted" in said) == (126, True), said
    done = bare.run(sys.executable, "-m", "proxyd.pod", "istio-iptables", "-d", "15020")
    assert done.returncode == 0, done.stderr
    status, said = run_in(bare, made)
    assert status == 0, said
    done = bare.run(sys.executable, "-m", "proxyd.pod", "istio-iptables", "--cleanup-only")
    assert done.returncode == 0, done.stderr
    assert "artemon" not in bare.check("nft", "list", "ruleset")


def test_what_is_wrong_is_said_in_one_line(machines: tuple[Host, Host, Host]) -> None:
    pod, _, _ = machines
    for flags, reason in (
        (("-b", "http"), '"http" is not a port'),
        (("-i", "10.0.0.0/33"), "is not an address or CIDR block"),
        (("-m", "BRIDGE"), "interception"),
    ):
        done = pod.run(sys.executable, "-m", "proxyd.pod", "istio-iptables", *flags)
        assert done.returncode == 2, done.stdout + done.stderr
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
