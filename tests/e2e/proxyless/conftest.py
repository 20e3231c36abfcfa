"""One pilotd, two servers and one client for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from proxyless_world import Application, Echo, Pilot, Realm, bootstrap

from artemon.daemon.identity_files import save_identity


@pytest.fixture(scope="session")
def pilot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pilot]:
    one = Pilot(tmp_path_factory.mktemp("pilot"), Realm())
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="session")
def echoes() -> Iterator[tuple[Echo, Echo]]:
    both = Echo("v1"), Echo("v2")
    yield both
    for one in both:
        one.stop()


@pytest.fixture(scope="session")
def application(pilot: Pilot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    folder: Path = tmp_path_factory.mktemp("application")
    save_identity(folder / "identity", pilot.realm.identity("books", "reviews"))
    one = Application(folder, bootstrap(f"127.0.0.1:{pilot.plaintext}", "app-1", folder / "identity"))
    yield one
    one.stop()
