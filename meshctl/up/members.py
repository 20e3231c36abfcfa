"""The registry's own servers: three real members of etcd or Consul on this machine, run by the supervisor."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artemon.errors import ArtemonError, StoreError, Unavailable
from artemon.store.open import open_store
from meshctl.up.layout import Layout
from meshctl.up.processes import Program

COUNT = 3
CACHE = "ARTEMON_SERVERS"


@dataclass(frozen=True, slots=True)
class Kind:
    """ports: one number for each listener of the first member; the next member's are `step` higher."""

    name: str
    ports: tuple[int, ...]
    step: int
    argv: Callable[[Layout, int], tuple[str, ...]]


def find(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """The server's binary. Raises ArtemonError."""
    cache = Path(environ.get(CACHE) or Path.home() / ".cache" / "artemon-servers")
    cached = sorted(cache.glob(f"{name}-*/{name}"))
    found = (
        environ.get(f"ARTEMON_{name.upper()}") or shutil.which(name) or (str(cached[-1]) if cached else "")
    )
    if not found:
        raise ArtemonError(
            f"cannot start {name}: there is none on PATH or in {cache}; install it, let `.ci/servers {name}` "
            "build it, or give the URL of one that runs: --registry URL"
        )
    return found


def kind_of(registry: str) -> Kind | None:
    """What `registry` asks to be started; None for a URL of what runs already."""
    return KINDS.get(registry)


def url(layout: Layout, registry: str) -> str:
    """The registry's URL: `registry` itself, or that of the members to be started."""
    kind = kind_of(registry)
    if kind is None:
        return registry
    hosts = (f"{layout.control}:{kind.ports[0] + number * kind.step}" for number in range(COUNT))
    return f"{kind.name}://{','.join(hosts)}"


def programs(layout: Layout, registry: str) -> list[Program]:
    """The members. Raises ArtemonError where there is no binary."""
    kind = kind_of(registry)
    if kind is None:
        return []
    binary = find(kind.name)
    rows = []
    for number in range(COUNT):
        name = member(kind.name, number)
        rows.append(Program(name, kind.name, (binary, *kind.argv(layout, number)), str(layout.log(name))))
    return rows


def addresses(layout: Layout, registry: str) -> Iterator[tuple[str, int, str]]:
    """Every address that the members listen on."""
    kind = kind_of(registry)
    for number in range(COUNT if kind else 0):
        for port in kind.ports if kind else ():
            yield layout.control, port + number * (kind.step if kind else 0), member(registry, number)


def write_settings(layout: Layout, registry: str) -> None:
    """Folders, and Consul's files."""
    kind = kind_of(registry)
    for number in range(COUNT if kind else 0):
        name = member(registry, number)
        for folder in (layout.data(name), layout.log(name).parent, layout.config(name).parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if registry == CONSUL.name:
            _consul_file(layout, number).write_text(json.dumps(_consul(layout, number)), encoding="utf-8")


async def ready(layout: Layout, registry: str, patience: float) -> None:
    """Wait until the members answer as one. Raises Unavailable."""
    waiting = "no answer"
    try:
        async with asyncio.timeout(patience):
            store = await open_store(url(layout, registry))
            try:
                while True:
                    try:
                        await store.list("artemon/")
                        return
                    except StoreError as error:
                        waiting = str(error)
                        await asyncio.sleep(0.2)
            finally:
                await store.close()
    except TimeoutError as error:
        log = layout.log(member(registry, 0))
        raise Unavailable(f"{registry} is not ready after {patience:.0f} s: {waiting}; see {log}") from error


def member(name: str, number: int) -> str:
    """The name of a member."""
    return f"{name}-{number + 1}"


def _etcd(layout: Layout, number: int) -> tuple[str, ...]:
    def at(port: int, whose: int) -> str:
        return f"http://{layout.control}:{ETCD.ports[port] + whose * ETCD.step}"

    name = member("etcd", number)
    cluster = ",".join(f"{member('etcd', one)}={at(1, one)}" for one in range(COUNT))
    return (
        *("--name", name, "--data-dir", str(layout.data(name))),
        *("--listen-client-urls", at(0, number), "--advertise-client-urls", at(0, number)),
        *("--listen-peer-urls", at(1, number), "--initial-advertise-peer-urls", at(1, number)),
        *("--initial-cluster", cluster, "--auto-compaction-retention", "1h", "--log-level", "warn"),
    )


def _consul_file(layout: Layout, number: int) -> Path:
    return layout.config(member("consul", number)).with_suffix(".json")


def _consul_argv(layout: Layout, number: int) -> tuple[str, ...]:
    return ("agent", "-config-file", str(_consul_file(layout, number)))


def _consul(layout: Layout, number: int) -> dict[str, Any]:
    http, rpc, serf = (port + number * CONSUL.step for port in CONSUL.ports)
    off = dict.fromkeys(("https", "grpc", "grpc_tls", "dns", "serf_wan"), -1)
    return {
        "node_name": member("consul", number),
        "server": True,
        "bootstrap_expect": COUNT,
        "data_dir": str(layout.data(member("consul", number))),
        "bind_addr": layout.control,
        "client_addr": layout.control,
        "retry_join": [f"{layout.control}:{CONSUL.ports[2] + one * CONSUL.step}" for one in range(COUNT)],
        "retry_interval": "1s",
        "disable_update_check": True,
        "log_level": "warn",
        "performance": {"raft_multiplier": 1},
        "session_ttl_min": "5s",
        "limits": {"http_max_conns_per_client": 1000},
        "ports": {"http": http, "server": rpc, "serf_lan": serf, **off},
    }


ETCD = Kind("etcd", (2379, 2380), 10, _etcd)
CONSUL = Kind("consul", (8500, 8300, 8301), 10, _consul_argv)
KINDS = {kind.name: kind for kind in (ETCD, CONSUL)}
