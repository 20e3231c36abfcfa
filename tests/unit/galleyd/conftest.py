"""A galleyd over a registry in memory, without TLS and daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from galley_api import Api
from prometheus_client import CollectorRegistry

from artemon.daemon.health import Health
from artemon.daemon.run import Context
from artemon.log import Log
from artemon.store.layout import Layout
from artemon.store.open import open_store
from artemon.store.whole import Whole
from galleyd.app import Parts
from galleyd.settings import GalleySettings


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    keys = str(tmp_path / "keys")
    settings = GalleySettings(state_dir=str(tmp_path), registry="memory://", secrets_key_file=keys)
    context = Context("galleyd", "test", Log("galleyd"), Health(), CollectorRegistry())
    store = Whole(await open_store(settings.registry), Layout())
    parts = Parts(settings, store, context, None)
    async with asyncio.TaskGroup() as tasks:
        jobs = [tasks.create_task(job) for job in parts.jobs()]
        for feed in (parts.config, parts.proxies):
            assert await feed.until(lambda feed=feed: feed.synced, 5)
        async with TestClient(TestServer(parts.application())) as client:
            token = settings.admin_token_path.read_text().strip()
            yield Api(client, parts, store, token)
            parts.close()
        for job in jobs:
            job.cancel()
    await store.close()
