"""Who asks what, as Envoy's policies see it."""

from __future__ import annotations

from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from artemon.simulate.call import Call, Tls
from artemon.simulate.rbac import Subject
from artemon.simulate.request import Request

FORWARDED = "x-forwarded-for"


def subject_of(
    call: Call,
    *,
    terminated: bool,
    request: Request | None = None,
    manager: HttpConnectionManager | None = None,
) -> Subject:
    """The subject of a call. terminated: whether its TLS ended here, so that its certificate was seen."""
    client = call.source_ip
    if request is not None and manager is not None:
        client = _client(call.source_ip, request.headers.get(FORWARDED, ""), manager)
    return Subject(
        request=request,
        principal=call.principal if terminated and call.tls is Tls.MTLS else "",
        direct_address=call.source_ip,
        address=client,
        destination=call.destination,
        port=call.port,
        server_name=call.sni,
        metadata=request.metadata if request is not None else {},
    )


def _client(direct: str | None, forwarded: str, manager: HttpConnectionManager) -> str | None:
    """The client's address: as many proxies back as are trusted (Envoy, "x-forwarded-for")."""
    told = [one.strip() for one in forwarded.split(",") if one.strip()]
    back = manager.xff_num_trusted_hops + (0 if manager.use_remote_address.value else 1)
    return told[-back] if 0 < back <= len(told) else direct
