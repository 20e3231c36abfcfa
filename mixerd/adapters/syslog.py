"""Log entries for syslog servers (RFC 5424), by UDP, TCP (RFC 6587, octet counting) or a Unix socket."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from artemon.adapters import Adapter, Handler, Params, Place, Row, Shape
from artemon.daemon.address import split_address
from artemon.errors import ArtemonError, Problem
from artemon.expr.values import Timestamp
from mixerd.adapters.plain import address_problems, moment, plain, short

CONNECT_SECONDS = 10.0
_SEVERITIES = {
    "emergency": 0, "alert": 1, "critical": 2, "error": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7
}  # fmt: skip
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
_NEWLINE = re.compile(r"[\x00-\x1f\x7f]")


class SyslogParams(Params):
    """address: `host:port`, or the path of a socket. facility: 0 to 23 (16: local0). A `message` among the
    variables is the text; the others follow it as JSON."""

    required: ClassVar[tuple[str, ...]] = ("address",)

    address: str = ""
    protocol: Literal["UDP", "TCP", "UNIX"] = "UDP"
    facility: Annotated[int, Field(ge=0, le=23)] = 16
    app_name: str = "artemon"
    hostname: str = ""
    max_bytes: Annotated[int, Field(ge=480, le=65_000)] = 8192


def _problems(params: SyslogParams, _: Sequence[Shape]) -> Iterator[Problem]:
    if params.protocol == "UNIX":
        if not params.address.startswith("/"):
            yield Problem("spec.params.address", "must be the path of a socket, such as /dev/log")
        return
    yield from address_problems(params.address)


class Syslog(Handler):
    """One socket, kept."""

    def __init__(self, params: SyslogParams, place: Place) -> None:
        self._params, self._place = params, place
        self._socket: socket.socket | None = None
        self._hostname = params.hostname or socket.gethostname()

    async def report(self, rows: Sequence[Row]) -> None:
        try:
            await asyncio.to_thread(self._send, [self._message(row) for row in rows])
        except BaseException:
            await self.close()
            raise

    def _send(self, messages: Sequence[bytes]) -> None:
        found = self._socket = self._socket or self._connected()
        if self._params.protocol == "TCP":
            if _ended(found):
                raise ArtemonError(f"{self._params.address}: the server ended the connection")
            found.sendall(b"".join(b"%d %b" % (len(one), one) for one in messages))
            return
        for one in messages:
            found.send(one)

    def _connected(self) -> socket.socket:
        if self._params.protocol == "TCP":
            return socket.create_connection(split_address(self._params.address), timeout=CONNECT_SECONDS)
        if self._params.protocol == "UNIX":
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            made.settimeout(CONNECT_SECONDS)
            made.connect(self._params.address)
            return made
        host, port = split_address(self._params.address)
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        made = socket.socket(family, kind, protocol)
        made.connect(where)
        return made

    def _message(self, row: Row) -> bytes:
        severity = _SEVERITIES.get(str(row.values.get("severity", "info")).lower(), 6)
        written = row.values.get("timestamp")
        now = Timestamp(int(self._place.now() * 1e9))
        at = moment(written if isinstance(written, Timestamp) else now)
        variables = dict(plain(row.values.get("variables", {})))
        said = str(variables.pop("message", ""))
        rest = json.dumps(variables, ensure_ascii=False, separators=(",", ":")) if variables else ""
        text = _NEWLINE.sub(" ", f"{said} {rest}".strip())
        name = _header(short(row.instance), 32)
        host, app = _header(self._hostname, 255), _header(self._params.app_name, 48)
        head = f"<{self._params.facility * 8 + severity}>1 {at} {host} {app} - {name} - "
        return (head + text).encode()[: self._params.max_bytes]

    async def close(self) -> None:
        found, self._socket = self._socket, None
        if found:
            found.close()


def _ended(found: socket.socket) -> bool:
    """Whether the other side has closed: what is written then is lost without an error."""
    found.setblocking(False)
    try:
        return found.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    finally:
        found.settimeout(CONNECT_SECONDS)


def _header(text: str, most: int) -> str:
    return _UNPRINTABLE.sub("_", text)[:most] or "-"


plugin = Adapter(SyslogParams, frozenset({"logentry"}), Syslog, _problems)
