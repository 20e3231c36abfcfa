"""A process with gRPC channels to `xds:///` targets: reads calls from stdin, one JSON object a line, and says
who answered them, one JSON object a line. (gRPC reads its bootstrap once in a process.)"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import grpc
import grpc.experimental


class Client:
    """Channels by target, opened once."""

    def __init__(self) -> None:
        self._channels: dict[tuple[str, str], grpc.Channel] = {}

    def call(
        self,
        target: str,
        *,
        method: str = "/demo.Echo/Who",
        count: int = 1,
        metadata: dict[str, str] | None = None,
        credentials: str = "plain",
        timeout: float = 5.0,
    ) -> dict[str, int]:
        key = (target, credentials)
        if key not in self._channels:
            self._channels[key] = _open(target, credentials)
        ask = self._channels[key].unary_unary(method)
        headers = tuple((metadata or {}).items())
        answers: Counter[str] = Counter()
        for _ in range(count):
            try:
                answers[ask(b"", timeout=timeout, metadata=headers).decode()] += 1
            except grpc.RpcError as error:
                answers[f"{error.code().name}: {error.details()}"] += 1
        return answers


def _open(target: str, credentials: str) -> grpc.Channel:
    """credentials: `plain`, or `xds` for what the mesh says of the cluster."""
    if credentials == "plain":
        return grpc.insecure_channel(target)
    fallback = grpc.experimental.insecure_channel_credentials()
    return grpc.secure_channel(target, grpc.xds_channel_credentials(fallback))


def main() -> None:
    client = Client()
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        sys.stdout.write(json.dumps(client.call(**request)) + "\n")
        sys.stdout.flush()


main()
