"""One request after the other over HTTP/2, headers written as they are; gRPC is such a request."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.exceptions import ProtocolError

EMPTY_MESSAGE = b"\0\0\0\0\0"
"""A message without content, as gRPC frames it."""
NAMES = {one.value[0]: one.name for one in grpc.StatusCode}
Pairs = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Reply:
    """What came back. status: 0 where the stream or connection was reset. grpc: name of gRPC's status."""

    status: int = 0
    body: bytes = b""
    grpc: str = ""


class Http2:
    """A connection that is opened by the first request, and again after one that was closed."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._socket: socket.socket | None = None

    def ask(self, headers: Pairs, body: bytes = b"") -> Reply:
        """One request; once more on a new connection where the old one was closed meanwhile."""
        was_open = self._socket is not None
        found = self._ask(headers, body)
        if was_open and found is None:
            found = self._ask(headers, body)
        return found or Reply()

    def _ask(self, headers: Pairs, body: bytes) -> Reply | None:
        """None where the connection was closed before anything came back."""
        if self._socket is None:
            self._open()
        assert self._socket is not None
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, headers, end_stream=not body)
        if body:
            self._h2.send_data(stream, body, end_stream=True)
        found: dict[bytes, bytes] = {}
        content = b""
        try:
            self._socket.sendall(self._h2.data_to_send())
            while data := self._socket.recv(65536):
                for event in self._h2.receive_data(data):
                    if isinstance(event, ResponseReceived | TrailersReceived):
                        found |= dict(event.headers)
                    elif isinstance(event, DataReceived):
                        content += event.data
                        self._h2.acknowledge_received_data(event.flow_controlled_length, stream)
                    elif isinstance(event, StreamEnded | StreamReset) and event.stream_id == stream:
                        self._socket.sendall(self._h2.data_to_send())
                        return _reply(found, content)
                self._socket.sendall(self._h2.data_to_send())
        except (ConnectionError, ProtocolError):
            pass  # gone, or about to go (GOAWAY)
        self.close()
        return _reply(found, content) if found else None

    def _open(self) -> None:
        self._socket = self._connect()
        config = H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False, validate_inbound_headers=False
        )
        self._h2 = H2Connection(config)
        self._h2.initiate_connection()

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _reply(found: dict[bytes, bytes], content: bytes) -> Reply:
    status = found.get(b"grpc-status")
    return Reply(int(found.get(b":status", 0)), content, NAMES[int(status)] if status else "")


class Anything(grpc.GenericRpcHandler):
    """Every method, answered with an empty message."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")


class GrpcApp:
    """A gRPC server that has every method."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers((Anything(),))
        self.port: int = self._server.add_insecure_port(f"{address}:0")
        self._server.start()

    def close(self) -> None:
        """Stop it."""
        self._server.stop(None)
