"""The pages of docs/tasks do what they say, on one sample that they share."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from task_page import NETWORK, PAGES, run_page

TOOLS = ("openssl", "curl")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {' and '.join(TOOLS)}"),
]
ELSEWHERE = {"README.md", "ansible.md", "egress-gateway.md", "kubernetes.md", "vm.md", "vm-several.md"}
"""The list, a page that needs no mesh (`tests/unit/meshctl` runs it), one that needs a cluster
(`tests/e2e/kube`), and those that need machines (`tests/e2e/machines`, `tests/fleet`)."""
TASKS = sorted(one.name for one in PAGES.glob("*.md") if one.name not in ELSEWHERE)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where a page runs; the servers that it leaves behind end with it."""
    yield tmp_path
    for one in tmp_path.glob("*.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(one.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("page", TASKS)
def test_the_page(page: str, environment: Mapping[str, str], folder: Path) -> None:
    run_page(page, folder, environment, adapted=lambda text: text.replace("127.0.1.", NETWORK))


def test_the_list_names_every_page() -> None:
    listed = (PAGES / "README.md").read_text()
    assert [one for one in TASKS if f"({one})" not in listed] == []
