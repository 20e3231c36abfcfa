"""A request as Envoy's router sees it: its path cleaned by the connection manager, its headers complete."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from artemon.simulate.call import Call

CLAIMS = "envoy.filters.http.jwt_authn"
_SLASHES = (
    HttpConnectionManager.UNESCAPE_AND_FORWARD,
    HttpConnectionManager.UNESCAPE_AND_REDIRECT,
)
_UNRESERVED = re.compile(r"%(2[dDeE]|3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aAeE])")


@dataclass(frozen=True, slots=True)
class Request:
    """path: without query and fragment. headers: names in lower case, pseudo headers among them.

    secure: whether it came over TLS. presents_certificate: the client has shown one. metadata: what filters
    before the router have said of it.
    """

    path: str
    query: str
    headers: Mapping[str, str]
    secure: bool = False
    presents_certificate: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    draw: float = 0.5

    @property
    def authority(self) -> str:
        """The host that it is for, with the port if it was written."""
        return self.headers[":authority"]


def request_of(call: Call, manager: HttpConnectionManager) -> Request:
    """The request of a call whose TLS, if it has any, ended at the listener."""
    path, mark, query = call.path.partition("?")
    path = clean_path(path, manager)
    told = call.headers.get("x-forwarded-proto")
    believed = not manager.use_remote_address.value or manager.xff_num_trusted_hops
    scheme = told if told and believed else "https" if call.is_encrypted else "http"
    headers = {
        **call.headers,
        ":method": call.method,
        ":authority": call.host,
        ":path": f"{path}{mark}{query}",
        ":scheme": scheme,
        "host": call.host,
        "x-forwarded-proto": scheme,
    }
    claims = {"payload": call.claims} if call.claims else {}
    return Request(
        path=path,
        query=query,
        headers=headers,
        secure=call.is_encrypted,
        presents_certificate=call.tls == "mtls",
        metadata={CLAIMS: claims},
        draw=call.draw,
    )


def clean_path(path: str, manager: HttpConnectionManager) -> str:
    """The path after escaped slashes, dots and double slashes were treated as the manager is told to."""
    if manager.path_with_escaped_slashes_action in _SLASHES:
        path = re.sub("%2f", "/", path, flags=re.IGNORECASE)
        path = re.sub("%5c", r"\\", path, flags=re.IGNORECASE)
    if manager.normalize_path.value:
        path = _normal(path)
    if manager.merge_slashes:
        path = re.sub("/{2,}", "/", path)
    return path


def _normal(path: str) -> str:
    """Needless escapes undone, `\\` as `/`, dot segments followed (RFC 3986, 5.2.4)."""
    if not path.startswith("/"):
        return path
    path = _UNRESERVED.sub(lambda found: chr(int(found[1], 16)), path).replace("\\", "/")
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def query_parameters(query: str) -> dict[str, str]:
    """Parameters as they are written, of several with one name the first."""
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name:
            found.setdefault(name, value)
    return found
