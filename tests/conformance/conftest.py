"""Every backend behind the one contract. A test that takes `backend` runs on all of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from consul_door import EVERY_KEY, SecureCluster
from consul_servers import Consul
from required_servers import require_consul, require_etcd
from servers import Etcd, EtcdCluster

from artemon.store.api import Store
from artemon.store.open import open_store

Open = Callable[..., Awaitable[Store]]

MEMORY, SQLITE = "memory", "sqlite"
ETCD = pytest.param("etcd", marks=pytest.mark.etcd)
CONSUL = pytest.param("consul", marks=pytest.mark.consul)
CONSUL_SECURE = pytest.param("consul-secure", marks=pytest.mark.consul)


@pytest.fixture(scope="session")
def shared_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """One etcd for the tests that do not disturb it; their prefixes keep them apart."""
    require_etcd()
    server = Etcd(tmp_path_factory.mktemp("etcd")).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def shared_consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consul]:
    """One Consul for the tests that do not disturb it."""
    require_consul()
    server = Consul(tmp_path_factory.mktemp("consul")).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def secure_consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureCluster]:
    """Three servers with TLS and ACLs, for the tests that do not disturb them."""
    require_consul()
    secure = SecureCluster(tmp_path_factory.mktemp("secure-consul"))
    yield secure
    secure.cluster.kill()


@pytest.fixture
def consul(tmp_path: Path) -> Iterator[Consul]:
    """A Consul of the test's own, to be killed and paused."""
    require_consul()
    server = Consul(tmp_path / "consul").start()
    yield server
    server.kill()


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    """An etcd of the test's own, to be killed and paused."""
    require_etcd()
    server = Etcd(tmp_path / "etcd").start()
    yield server
    server.kill()


@pytest.fixture
def etcd_cluster(tmp_path: Path) -> Iterator[EtcdCluster]:
    """Three members of the test's own."""
    require_etcd()
    cluster = EtcdCluster(tmp_path / "cluster").start()
    yield cluster
    cluster.kill()


@pytest.fixture(params=[MEMORY, SQLITE, ETCD, CONSUL, CONSUL_SECURE])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of the backend; a test names others by indirect parameters."""
    return str(request.param)


@pytest.fixture
def url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Where the registry is."""
    if backend in {"etcd", "consul"}:
        return str(request.getfixturevalue(f"shared_{backend}").url)
    if backend == "consul-secure":
        secure = request.getfixturevalue("secure_consul")
        return str(secure.url(secure.token(EVERY_KEY), f"token-{uuid.uuid4().hex[:8]}"))
    return {MEMORY: "memory://", SQLITE: f"sqlite://{tmp_path}/mesh.db"}[backend]


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Opens stores that the end of the test closes."""
    stores: list[Store] = []

    async def opening(where: str, **settings: object) -> Store:
        stores.append(await open_store(where, **settings))
        return stores[-1]

    yield opening
    await asyncio.gather(*(store.close() for store in stores))


@pytest.fixture
async def store(url: str, opened: Open) -> Store:
    """The registry."""
    return await opened(url)


@pytest.fixture
async def other(backend: str, url: str, store: Store, opened: Open) -> Store:
    """The same registry, opened a second time where there can be a second time."""
    return store if backend == MEMORY else await opened(url)


@pytest.fixture
def prefix() -> str:
    """A part of the registry that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}/"
