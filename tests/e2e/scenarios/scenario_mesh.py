"""One mesh of all scenarios with its running Envoys and servers."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway_certificates import Certificates
from real_envoy import envoy, self_signed
from scenario_calls import Caller
from scenario_servers import Servers
from scenario_table import ports, scenarios
from scenario_world import objects_of, start, views_of, wait_ready

from artemon.snapshot.view import ProxyView


@dataclass(frozen=True)
class Mesh:
    """What tests need: a client, and what every proxy was given."""

    caller: Caller
    views: dict[str, ProxyView]


def _server_name(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
    tls.server_name = name or ""  # type: ignore[attr-defined]


@contextmanager
def running_mesh(folder: Path) -> Iterator[Mesh]:
    """Envoys and servers, until the end of the context."""
    envoy()
    own, authority = self_signed(), Certificates("Mesh")
    for name, pem in (("cert.pem", own.chain), ("key.pem", own.key)):
        (folder / name).write_bytes(pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=own.chain.decode())
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    context.sni_callback = _server_name  # type: ignore[assignment]
    servers = Servers(context)
    servers.start(ports())
    views = views_of(objects_of(scenarios()))
    running = {name: start(name, view, folder, authority) for name, view in views.items()}
    try:
        wait_ready(running.values(), folder)
        yield Mesh(Caller(running, servers), views)
    finally:
        for one in running.values():
            one.process.kill()
            one.process.wait()
