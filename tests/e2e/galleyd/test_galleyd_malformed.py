"""Whatever arrives on the port, the same process goes on serving."""

from __future__ import annotations

import socket
import ssl

import pytest
from served import ADDRESS, Galleyd

HEAD = b"Host: localhost\r\nAuthorization: Bearer x\r\n"


def version(galleyd: Galleyd) -> bytes:
    return talk(galleyd, b"GET /version HTTP/1.1\r\nConnection: close\r\n" + HEAD + b"\r\n")


def talk(galleyd: Galleyd, content: bytes) -> bytes:
    """What the server answers to raw bytes over TLS, until it closes or falls silent."""
    tls = ssl.create_default_context(cafile=str(galleyd.ca))
    with (
        socket.create_connection((ADDRESS, galleyd.port), timeout=3) as plain,
        tls.wrap_socket(plain, server_hostname=ADDRESS) as connection,
    ):
        answer = b""
        try:
            connection.sendall(content)
            while part := connection.recv(65536):
                answer += part
        except OSError:
            return answer
        return answer


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x16\x03\x01garbage\r\n\r\n", id="garbage"),
        pytest.param(b"GET / HTTP/9.9\r\n" + HEAD + b"\r\n", id="version"),
        pytest.param(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n", id="long-path"),
        pytest.param(b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"a" * 100_000 + b"\r\n\r\n", id="long-header"),
        pytest.param(b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: -5\r\n\r\n", id="negative-length"),
        pytest.param(
            b"POST / HTTP/1.1\r\n"
            + HEAD
            + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="two-lengths",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", id="bad-chunk"
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two-hosts"),
        pytest.param(b"GET /%ff%00%2e%2e/ HTTP/1.1\r\nConnection: close\r\n" + HEAD + b"\r\n", id="odd-path"),
        pytest.param(b"\x00" * 1000, id="zeros"),
    ],
)
def test_malformed_http_is_refused(galleyd: Galleyd, content: bytes) -> None:
    answer = talk(galleyd, content)
    status = answer.split(b" ", 2)[1:2]
    assert not answer or b"400" <= status[0] < b"500", answer[:200]
    assert b'"gitVersion"' in version(galleyd)


def test_plain_http_and_a_dropped_handshake(galleyd: Galleyd) -> None:
    for content in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00", b""):
        with socket.create_connection((ADDRESS, galleyd.port), timeout=3) as connection:
            connection.sendall(content)
    assert b'"gitVersion"' in version(galleyd)
