"""A kube-apiserver for the tests in this folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_site import ClusterMesh, Page, running
from kube_server import KubeApi, find_kube_apiserver
from servers import find_etcd

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("machines", "proxyd")]


@pytest.fixture(scope="module")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    """One of a module's own, that may be killed."""
    yield from started(tmp_path_factory)


@pytest.fixture(scope="session")
def lasting_kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    """One for all who leave it running in the end and keep to namespaces of their own."""
    yield from started(tmp_path_factory)


@pytest.fixture(scope="session")
def cluster_mesh(lasting_kube: KubeApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterMesh]:
    """One for all who leave it as it was."""
    page = Page("web-1")
    try:
        with running(lasting_kube, page, tmp_path_factory.mktemp("mesh")) as made:
            yield made
    finally:
        page.stop()


def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    """A running server, ended with the generator."""
    if not find_kube_apiserver() or not find_etcd():
        pytest.skip("no kube-apiserver (.ci/servers kube-apiserver builds it) or no etcd")
    folder: Path = tmp_path_factory.mktemp("kube")
    server = KubeApi(folder)
    try:
        yield server.start()
    finally:
        server.close()
