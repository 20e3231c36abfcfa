"""artemon-cni as container runtimes call it: a pod of a real API server, a real network namespace."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from injected_process import injected
from kube_server import KubeApi, until
from netns import ROOT, Host, hosts, missing
from servers import dying_with_parent

from artemon.inject import Injector, read_config
from proxyd.cni.__main__ import NEEDS_MORE
from proxyd.cni.plugin import answer
from proxyd.cni.protocol import CniError, read, simple

pytestmark = [
    pytest.mark.kube,
    pytest.mark.root,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
]
SPACE = "/api/v1/namespaces/cni"
CONTAINER = {"name": "app", "image": "app:1"}
RESULT = {
    "cniVersion": "1.1.0",
    "interfaces": [{"name": "eth0", "sandbox": "/run/netns/x"}],
    "ips": [{"address": "10.77.0.11/24", "interface": 0}],
    "dns": {"nameservers": ["10.96.0.10"]},
}


@pytest.fixture(scope="module")
def api(lasting_kube: KubeApi) -> KubeApi:
    lasting_kube.create("/api/v1/namespaces", {"metadata": {"name": "cni"}})
    lasting_kube.service_account("cni")
    return lasting_kube


@pytest.fixture
def sandbox() -> Iterator[Host]:
    with hosts(1) as (_, made):
        yield made


def pod(api: KubeApi, name: str, annotations: dict[str, str] | None = None, *, cni: bool = True) -> str:
    """A pod that injection changed, with the API server."""
    injector = Injector(read_config({"pilot": {"cni": {"enabled": cni}}}))
    metadata = {"name": name, "namespace": "cni", "annotations": annotations or {}}
    made = injected({"metadata": metadata, "spec": {"containers": [CONTAINER]}}, injector)
    api.create(f"{SPACE}/pods", made)
    return name


def call(
    api: KubeApi,
    command: str,
    name: str = "",
    sandbox: Host | None = None,
    *,
    config: dict[str, Any] | None = None,
    **environ: str,
) -> tuple[int, Any]:
    """What a runtime gets, without a process of its own: the exit status, and what is printed."""
    variables, text = asked(api, command, name, sandbox, config=config, **environ)
    try:
        made = read(variables, text)
        return 0, asyncio.run(answer(made)) if command in NEEDS_MORE else simple(made)
    except CniError as error:
        return 1, error.shown("1.1.0")


def run(
    api: KubeApi, command: str, name: str = "", sandbox: Host | None = None, **environ: str
) -> tuple[int, Any]:
    """The same by the program."""
    variables, text = asked(api, command, name, sandbox, **environ)
    done = subprocess.run(
        [sys.executable, "-m", "proxyd.cni"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else None


def asked(
    api: KubeApi,
    command: str,
    name: str,
    sandbox: Host | None,
    *,
    config: dict[str, Any] | None = None,
    **environ: str,
) -> tuple[dict[str, str], str]:
    """Environment and standard input of a call."""
    told: dict[str, Any] = {
        "cniVersion": "1.1.0",
        "name": "pods",
        "type": "artemon-cni",
        "kubernetes": {"kubeconfig": str(api.kubeconfig()), "excludeNamespaces": ["kept-out"]},
        **({"prevResult": RESULT} if command in {"ADD", "CHECK"} else {}),
        **(config or {}),
    }
    variables = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "c1",
        "CNI_IFNAME": "eth0",
        "CNI_NETNS": f"/run/netns/{sandbox.name}" if sandbox else "",
        "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=cni;K8S_POD_NAME={name};K8S_POD_UID=1",
        "CNI_PATH": "/opt/cni/bin",
        **environ,
    }
    return variables, json.dumps(told)


def rules(sandbox: Host) -> str:
    return sandbox.check("nft", "-s", "list", "ruleset")


def test_a_pod_of_the_mesh_is_set_up_checked_and_forgotten(api: KubeApi, sandbox: Host) -> None:
    config = 'proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true"}'
    told = {"traffic.sidecar.istio.io/excludeOutboundPorts": "5432", "proxy.istio.io/config": config}
    name = pod(api, "web", told)
    status, told_back = run(api, "CHECK", name, sandbox)
    assert (status, told_back["code"]) == (1, 100), told_back
    assert run(api, "ADD", name, sandbox) == (0, RESULT)
    before = rules(sandbox)
    assert "redirect to :15006" in before
    assert "5432" in before
    assert "10.96.0.10" in before
    assert call(api, "CHECK", name, sandbox) == (0, None)
    assert call(api, "ADD", name, sandbox) == (0, RESULT)
    assert rules(sandbox) == before
    assert run(api, "DEL", name, sandbox) == (0, None)
    assert call(api, "DEL", name, CNI_NETNS="") == (0, None)
    assert call(api, "DEL", "never-there", CNI_NETNS="/run/netns/gone") == (0, None)


def test_who_is_not_in_the_mesh_is_left_alone(api: KubeApi, sandbox: Host) -> None:
    api.create(f"{SPACE}/pods", {"metadata": {"name": "plain"}, "spec": {"containers": [CONTAINER]}})
    names = [
        "plain",
        pod(api, "by-init", cni=False),
        pod(api, "none", {"sidecar.istio.io/interceptionMode": "NONE"}),
    ]
    for name in names:
        assert call(api, "ADD", name, sandbox) == (0, RESULT)
        assert call(api, "CHECK", name, sandbox) == (0, None)
    kept_out = "K8S_POD_NAMESPACE=kept-out;K8S_POD_NAME=web"
    assert call(api, "ADD", "", sandbox, CNI_ARGS=kept_out) == (0, RESULT)
    assert call(api, "ADD", "", sandbox, CNI_ARGS="") == (0, RESULT)
    assert rules(sandbox) == ""


def test_an_older_runtime_gets_its_own_version(api: KubeApi, sandbox: Host) -> None:
    status, found = call(api, "ADD", "", sandbox, config={"cniVersion": "0.4.0"}, CNI_ARGS="")
    assert (status, found["cniVersion"]) == (0, "0.4.0")
    status, found = call(api, "VERSION")
    assert (status, found["supportedVersions"][-1]) == (0, "1.1.0")


def test_failures_are_errors_of_cni(api: KubeApi, sandbox: Host) -> None:
    stranger = {"kubeconfig": str(api.kubeconfig(api.stranger))}
    gone = {"kubeconfig": "/nowhere/kubeconfig"}
    name = pod(api, "refused")
    broken = pod(api, "broken")
    cases: list[tuple[int, str, tuple[int, Any]]] = [
        (1, "0.2.0 is not spoken", call(api, "ADD", name, sandbox, config={"cniVersion": "0.2.0"})),
        (4, "CNI_NETNS: not set", call(api, "ADD", name, CNI_NETNS="")),
        (4, "CNI_COMMAND", call(api, "GROW", name, sandbox)),
        (7, "prevResult", call(api, "ADD", name, sandbox, config={"prevResult": None})),
        (7, "kubernetes", call(api, "ADD", name, sandbox, config={"kubernetes": {}})),
        (11, "cni/absent", call(api, "ADD", "absent", sandbox)),
        (11, "/nowhere/kubeconfig", call(api, "ADD", name, sandbox, config={"kubernetes": gone})),
        (
            50,
            'resources: ["pods"], verbs: [get]',
            call(api, "ADD", name, sandbox, config={"kubernetes": stranger}),
        ),
        (50, "cannot be set up now", call(api, "STATUS", config={"kubernetes": gone})),
        (101, "could not be set up", call(api, "ADD", broken, sandbox, CNI_NETNS="/run/netns/gone")),
    ]
    for code, told, (status, found) in cases:
        assert (status, found["code"], told in found["msg"]) == (1, code, True), found
        assert found["cniVersion"]
    assert rules(sandbox) == ""
    assert call(api, "STATUS") == (0, None)
    assert call(api, "GC", config={"cni.dev/valid-attachments": []}) == (0, None)


def test_what_is_installed_needs_nothing_of_the_node_and_goes_without_a_trace(
    api: KubeApi, sandbox: Host, tmp_path: Path
) -> None:
    places = {name: tmp_path / name for name in ("bin", "conf", "tree")}
    places["conf"].mkdir()
    chain = places["conf"] / "10-pods.conflist"
    bridge = {"type": "bridge", "bridge": "cni0"}
    chain.write_text(json.dumps({"cniVersion": "1.1.0", "name": "pods", "plugins": [bridge]}))
    flags = [f"--bin-dir={places['bin']}", f"--conf-dir={places['conf']}", f"--tree={places['tree']}"]
    install = [sys.executable, "-m", "proxyd.cni", "install", *flags, f"--kubeconfig={api.kubeconfig()}"]
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(dying_with_parent(*install), stdout=log, stderr=log, cwd=ROOT)
    try:
        until(lambda: "artemon-cni" in chain.read_text(), "the plug-in chained")
        assert subprocess.run([*install, "--check"], cwd=ROOT, check=False, timeout=60).returncode == 0
        ours = json.loads(chain.read_text())["plugins"][1]
        name = pod(api, "installed")
        variables, _ = asked(api, "ADD", name, sandbox)
        told = {"cniVersion": "1.1.0", "name": "pods", "prevResult": RESULT, **ours}
        done = subprocess.run(
            [str(places["bin"] / "artemon-cni")],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            check=False,
            env=variables,
            timeout=120,
        )
        assert (done.returncode, json.loads(done.stdout)) == (0, RESULT), done.stderr
        assert "redirect to :15006" in rules(sandbox)
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)
    assert running.returncode == 0, (tmp_path / "log").read_text()
    assert json.loads(chain.read_text())["plugins"] == [bridge]
    assert [one.name for one in places["conf"].iterdir()] == [chain.name]
    assert not [*places["bin"].iterdir(), *places["tree"].iterdir()]
