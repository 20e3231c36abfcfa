"""Whether the mesh works: each check is something that a user would notice."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from cryptography import x509

from artemon.tls import client_context
from meshctl.up.layout import (
    CONTROL_PLANE,
    GATEWAY,
    GATEWAY_PORT,
    HEALTH_PORTS,
    INSTANCES,
    SERVICE_PORT,
    Layout,
)
from meshctl.up.processes import Process


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check. section: what it is about; lines: more to show below it."""

    section: str
    name: str
    ok: bool
    detail: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked. processes: what should run, by name; None where it does not."""

    layout: Layout
    processes: Mapping[str, Process | None]
    demo: bool
    session: ClientSession


Probe = Callable[[Subject], AsyncIterator[Check]]


@asynccontextmanager
async def subject(
    layout: Layout, processes: Mapping[str, Process | None], *, demo: bool
) -> AsyncIterator[Subject]:
    """A subject with an HTTP client that trusts this mesh's roots alone."""
    connector = TCPConnector(ssl=client_context(layout.roots.read_text(encoding="utf-8")))
    async with ClientSession(connector=connector, timeout=ClientTimeout(total=10)) as session:
        yield Subject(layout=layout, processes=processes, demo=demo, session=session)


async def run(subject: Subject) -> AsyncIterator[Check]:
    """Every check that applies, in order."""
    for probe in (*CONTROL, *(DEMO if subject.demo else ())):
        async for check in probe(subject):
            yield check


async def processes(subject: Subject) -> AsyncIterator[Check]:
    """Everything that was started runs."""
    dead = [name for name, process in subject.processes.items() if process is None or not process.alive]
    detail = f"not running: {', '.join(sorted(dead))}" if dead else f"{len(subject.processes)} processes"
    yield Check("processes", "all processes run", not dead, detail)


async def daemons(subject: Subject) -> AsyncIterator[Check]:
    """Every daemon says that it is ready."""
    for name in CONTROL_PLANE:
        url = f"http://{subject.layout.control}:{HEALTH_PORTS[name]}/readyz"
        try:
            async with subject.session.get(url) as response:
                found = await response.json()
            wrong = {**found["waiting"], **found["degraded"]}
            detail = "; ".join(f"{key}: {reason}" for key, reason in wrong.items())
            yield Check("control plane", f"{name} is ready", not wrong, detail)
        except (ClientError, TimeoutError, ValueError) as error:
            yield Check("control plane", f"{name} is ready", False, reason(error))


async def configuration(subject: Subject) -> AsyncIterator[Check]:
    """The API answers with this mesh's certificate and the operator's token."""
    name = "galleyd serves the API"
    try:
        await _api(subject, "/apis/networking.istio.io/v1/virtualservices")
        yield Check("control plane", name, True)
    except (ClientError, TimeoutError, ValueError, OSError) as error:
        yield Check("control plane", name, False, reason(error))


async def identities(subject: Subject) -> AsyncIterator[Check]:
    """Every proxy holds a certificate of its own identity, valid for a while."""
    now = datetime.now(UTC)
    for instance in (GATEWAY, *INSTANCES):
        wanted = f"spiffe://cluster.local/ns/{instance.namespace}/sa/{instance.service_account}"
        try:
            found, until = _identity(subject.layout.data(instance.name) / "cert-chain.pem")
        except (OSError, ValueError, x509.ExtensionNotFound) as error:
            yield Check("identities", instance.name, False, reason(error))
            continue
        left = (until - now) / timedelta(minutes=1)
        detail = f"{found}, {left:.0f} min left" if left > 0 else f"{found}, expired at {until:%H:%M:%S}"
        yield Check("identities", instance.name, found == wanted and left > 0, detail)


async def proxies(subject: Subject) -> AsyncIterator[Check]:
    """Every proxy has accepted what it was sent."""
    try:
        found = {item["node"]: item for item in (await _api(subject, "/artemon/v1/proxies"))["items"]}
    except (ClientError, TimeoutError, ValueError, OSError, KeyError) as error:
        yield Check("proxies", "pilotd knows the proxies", False, reason(error))
        return
    for instance in (GATEWAY, *INSTANCES):
        item = next((item for node, item in found.items() if f"~{instance.name}." in f"~{node}"), None)
        name = f"{instance.name} is in sync"
        if item is None:
            yield Check("proxies", name, False, "not connected")
            continue
        behind = [kind for kind, state in item["types"].items() if not _in_sync(state)]
        behind += [kind for kind in ("cds", "lds") if kind not in item["types"]]
        yield Check("proxies", name, not behind, f"behind: {', '.join(behind)}" if behind else "")


def _in_sync(state: Mapping[str, Any]) -> bool:
    return state.get("sent") == state.get("acked") and not state.get("nacked")


async def strict(subject: Subject) -> AsyncIterator[Check]:
    """Nobody without an identity gets an answer, in the clear or over TLS."""
    for instance in INSTANCES:
        address = subject.layout.host(instance.number)
        for how, context in (("plaintext", None), ("TLS without a certificate", _anonymous())):
            answer = await _ask(address, context)
            yield Check("mutual TLS", f"{instance.name} refuses {how}", answer is None, answer or "")


async def request(subject: Subject) -> AsyncIterator[Check]:
    """One real request through the gateway, and whom each server saw."""
    path = "/api/v1/products/0"
    began = time.monotonic()
    try:
        async with subject.session.get(gateway_url(subject.layout) + path) as response:
            answer = await response.json(content_type=None)
            status = response.status
    except (ClientError, TimeoutError, ValueError) as error:
        yield Check("a request through the gateway", f"GET {path}", False, reason(error))
        return
    took = (time.monotonic() - began) * 1000
    hops = list(_hops(answer, GATEWAY.name)) if isinstance(answer, dict) else []
    good = status == 200 and len(hops) >= 3 and all(hop.ok for hop in hops)
    lines = tuple(hop.line for hop in hops)
    yield Check("a request through the gateway", f"GET {path}", good, f"{status} in {took:.0f} ms", lines)


@dataclass(frozen=True, slots=True)
class _Hop:
    ok: bool
    line: str


def _hops(answer: Mapping[str, Any], client: str) -> Iterator[_Hop]:
    service = answer.get("service", "?")
    me = f"{service} {answer['version']}" if "version" in answer else service
    saw = answer.get("caller")
    detail = f"saw {saw}" if saw else answer.get("error", "saw no identity")
    account = GATEWAY.service_account if client == GATEWAY.name else f"bookinfo-{client.partition(' ')[0]}"
    yield _Hop(bool(saw) and str(saw).endswith(f"/sa/{account}"), f"{client} → {me}: {detail}")
    for below in answer.get("upstream", ()):
        yield from _hops(below, me)


def gateway_url(layout: Layout) -> str:
    """Where the ingress gateway listens."""
    return f"http://{layout.host(GATEWAY.number)}:{GATEWAY_PORT}"


def reason(error: BaseException) -> str:
    """An error in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


async def _api(subject: Subject, path: str) -> dict[str, Any]:
    token = subject.layout.admin_token.read_text(encoding="utf-8").strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with subject.session.get(subject.layout.server + path, headers=headers) as response:
        if response.status != 200:
            raise ValueError(f"{path}: HTTP {response.status}")
        answer: dict[str, Any] = await response.json()
        return answer


def _identity(path: Path) -> tuple[str, datetime]:
    certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return ", ".join(uris), certificate.not_valid_after_utc


def _anonymous() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _ask(address: str, context: ssl.SSLContext | None) -> str | None:
    """What a stranger gets from a sidecar; None when it is turned away, as it should be."""
    try:
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection(address, SERVICE_PORT, ssl=context)
            try:
                writer.write(b"GET /whoami HTTP/1.1\r\nHost: stranger\r\nConnection: close\r\n\r\n")
                await writer.drain()
                line = (await reader.readline()).decode(errors="replace").strip()
            finally:
                writer.close()
    except ConnectionRefusedError:
        return "nobody listens"
    except (OSError, TimeoutError):
        return None
    return f"it answered: {line}" if line else None


CONTROL: tuple[Probe, ...] = (processes, daemons, configuration)
DEMO: tuple[Probe, ...] = (identities, proxies, strict, request)
