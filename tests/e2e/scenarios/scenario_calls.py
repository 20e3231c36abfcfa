"""Clients of the scenarios: they connect as an application would, and say what they noticed."""

from __future__ import annotations

import base64
import http.client
import os
import socket
import ssl
import time
import urllib.request
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
from scenario_servers import CALL, DO, Seen, Servers
from scenario_table import Call
from scenario_world import Envoy

SECONDS = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call came to. status: 0 where the connection ended without an answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    instance: str = ""
    seconds: float = 0.0
    grpc: str = ""


@dataclass(frozen=True, slots=True)
class Noticed:
    """All answers to a call, and the requests that servers saw."""

    answers: tuple[Answer, ...]
    seen: tuple[Seen, ...]
    passed_on: int = 0
    """How often the proxy passed something on that the expectation names (`through`)."""


class Caller:
    """Makes the calls of scenarios through running Envoys."""

    def __init__(self, envoys: dict[str, Envoy], servers: Servers) -> None:
        self._envoys, self._servers = envoys, servers

    def make(self, call: Call, *, settle: float = 0.0) -> Noticed:
        """Make the call as often as it says. settle: seconds to wait for copies that nobody answers."""
        name = uuid.uuid4().hex
        rounds = [range(start, call.times, call.at_once) for start in range(call.at_once)]
        time.sleep(call.wait)
        before = self._passed_on(call.expect.through)
        if call.at_once == 1:
            found = [self._several(call, name, range(call.times))]
        else:
            with ThreadPoolExecutor(call.at_once) as pool:
                found = list(pool.map(lambda numbers: self._several(call, name, numbers), rounds))
        time.sleep(settle)
        answers = tuple(one for many in found for one in many)
        passed_on = self._passed_on(call.expect.through) - before
        return Noticed(answers, tuple(self._servers.of(name)), passed_on)

    def _passed_on(self, proxy: str) -> int:
        """Requests and connections that a proxy has sent to clusters so far."""
        if not proxy:
            return 0
        url = f"http://127.0.0.1:{self._envoys[proxy].admin}/stats?filter=upstream_(rq|cx)_total$"
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            return sum(int(line.rpartition(":")[2]) for line in answer.read().decode().splitlines())

    def _several(self, call: Call, name: str, numbers: Iterable[int]) -> list[Answer]:
        speak = {
            "http": self._http,
            "https": self._http,
            "grpc": self._grpc,
            "grpc-web": self._grpc_web,
            "tcp": self._bytes,
            "tls": self._bytes,
            "websocket": self._websocket,
        }[call.speaks]
        return speak(call, [f"{name}.{number}" for number in numbers])

    def _greeting(self, call: Call) -> bytes:
        """The PROXY protocol header that stands for interception (text form, version 1)."""
        if self._envoys[call.proxy].is_gateway:
            return b""
        return f"PROXY TCP4 {call.source} {call.address} 41000 {call.port}\r\n".encode()

    def _target(self, call: Call) -> tuple[str, int]:
        one = self._envoys[call.proxy]
        return one.address, call.port if one.is_gateway else one.outbound

    def _connect(self, call: Call) -> socket.socket:
        source = (call.source, 0) if call.source.startswith("127.") else None
        out = socket.create_connection(self._target(call), timeout=SECONDS, source_address=source)
        out.sendall(self._greeting(call))
        if call.speaks in ("https", "tls"):
            return _trusting(call.alpn).wrap_socket(out, server_hostname=call.sni or call.host)
        return out

    def _headers(self, call: Call, name: str) -> dict[str, str]:
        return {"Host": call.host, CALL: name, **({DO: call.do} if call.do else {}), **call.headers}

    def _http(self, call: Call, names: list[str]) -> list[Answer]:
        out, connection = [], None
        for name in names:
            start = time.monotonic()
            try:
                if connection is None or not call.keep or connection.sock is None:
                    connection = http.client.HTTPConnection("envoy")
                    connection.sock = self._connect(call)
                connection.putrequest(call.method, call.path, skip_host=True, skip_accept_encoding=True)
                for key, value in self._headers(call, name).items():
                    connection.putheader(key, value)
                connection.endheaders()
                response = connection.getresponse()
                body = response.read().decode(errors="replace")
            except (OSError, http.client.HTTPException):
                connection = None
                out.append(Answer(0, seconds=time.monotonic() - start))
                continue
            headers = {key.lower(): value for key, value in response.getheaders()}
            seconds = time.monotonic() - start
            out.append(Answer(response.status, headers, body, headers.get("x-instance", ""), seconds))
        if connection is not None:
            connection.close()
        return out

    def _grpc(self, call: Call, names: list[str]) -> list[Answer]:
        port = self._servers.forward(self._target(call), self._greeting(call))
        options = [("grpc.default_authority", call.host), ("grpc.enable_retries", 0)]
        out = []
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            ask = channel.unary_unary(call.path if call.path != "/" else "/shop.Shop/Ask")
            for name in names:
                start = time.monotonic()
                headers = {key.lower(): v for key, v in self._headers(call, name).items() if key != "Host"}
                try:
                    answered, status = ask(b"", metadata=tuple(headers.items()), timeout=SECONDS), "OK"
                except grpc.RpcError as error:
                    answered, status = b"", error.code().name  # type: ignore[attr-defined]
                seconds = time.monotonic() - start
                out.append(Answer(200, instance=answered.decode(), seconds=seconds, grpc=status))
        return out

    def _grpc_web(self, call: Call, names: list[str]) -> list[Answer]:
        """As browsers do: an empty message by HTTP/1.1; the answer is framed, trailers in a last frame."""
        out = []
        for name in names:
            connection = http.client.HTTPConnection("envoy")
            connection.sock = self._connect(call)
            headers = {**self._headers(call, name), "content-type": "application/grpc-web+proto"}
            connection.request("POST", call.path, body=b"\0" * 5, headers=headers)
            response = connection.getresponse()
            body, size = response.read(), 0
            if response.status == 200 and len(body) > 5:
                size = int.from_bytes(body[1:5], "big")
            trailers = body[5 + size + 5 :].decode(errors="replace")
            status = "OK" if "grpc-status:0" in trailers.replace(" ", "") else trailers
            out.append(Answer(response.status, instance=body[5 : 5 + size].decode(), grpc=status))
            connection.close()
        return out

    def _bytes(self, call: Call, names: list[str]) -> list[Answer]:
        return [self._said(call, name) for name in names]

    def _said(self, call: Call, name: str) -> Answer:
        start = time.monotonic()
        try:
            with self._connect(call) as connection:
                if call.speaks == "tls":
                    connection.sendall(
                        f"GET / HTTP/1.1\r\nHost: {call.host}\r\n{CALL}: {name}\r\n\r\n".encode()
                    )
                    text = connection.recv(4096).decode(errors="replace")
                    found = [line for line in text.lower().splitlines() if line.startswith("x-instance: ")]
                    instance = found[0].removeprefix("x-instance: ") if found else ""
                else:
                    connection.sendall(f"{name}\n".encode())
                    instance = connection.recv(4096).decode().strip()
        except OSError:
            instance = ""
        return Answer(200 if instance else 0, instance=instance, seconds=time.monotonic() - start)

    def _websocket(self, call: Call, names: list[str]) -> list[Answer]:
        out = []
        for name in names:
            with self._connect(call) as connection:
                key = base64.b64encode(os.urandom(16)).decode()
                headers = {
                    **self._headers(call, name),
                    "Upgrade": "websocket",
                    "Connection": "Upgrade",
                    "Sec-WebSocket-Key": key,
                    "Sec-WebSocket-Version": "13",
                }
                lines = [f"GET {call.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
                connection.sendall("\r\n".join(lines).encode())
                head = connection.recv(4096).decode(errors="replace")
                connection.sendall(b"\x81\x82\x00\x00\x00\x00hi")
                body = connection.recv(4096)[2:].decode() if " 101 " in head.splitlines()[0] else ""
                out.append(Answer(int(head.split()[1]), body=body))
        return out


def _trusting(alpn: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if alpn:
        context.set_alpn_protocols(alpn.split(","))
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
