"""docs/tasks/kubernetes.md on a real cluster: its commands are run, their output is compared with it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from cluster_site import ClusterMesh
from kubectl_build import kubectl
from task_page import run_page

pytestmark = [pytest.mark.kube, pytest.mark.envoy, pytest.mark.timeout(600)]


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_page_does_what_it_says(cluster_mesh: ClusterMesh, tmp_path: Path) -> None:
    mesh, tools = cluster_mesh, tmp_path / "bin"
    tools.mkdir()
    (tools / "meshctl").write_text(f'#!/bin/sh\nexec {sys.executable} -m meshctl "$@"\n')
    (tools / "meshctl").chmod(0o755)
    (tools / "kubectl").symlink_to(kubectl())
    shutil.copy(mesh.root, tmp_path / "root-cert.pem")
    config = str(mesh.kube.kubeconfig())
    environment = {
        **os.environ,
        **mesh.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": os.getcwd(),
        "KUBECONFIG": config,
        "HOME": str(tmp_path),
    }
    places = {
        "~/.kube/config": config,
        "10.0.0.5:15014": f"127.0.0.1:{mesh.galley_port}",
        "10.0.0.5:15017": "127.0.0.1:9",
        "127.0.1.11:15002": f"127.0.0.1:{mesh.proxy}",
    }

    def adapted(text: str) -> str:
        for before, after in places.items():
            text = text.replace(before, after)
        return text

    run_page("kubernetes.md", tmp_path, environment, adapted=adapted)
    mesh.kube.call("DELETE", "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/web")
