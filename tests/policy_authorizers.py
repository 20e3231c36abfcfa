"""External authorizers for policies: over HTTP and gRPC, one that is away, and one that nobody defines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from policy_reference import Asked
from policy_rig import App

HOST = "authz.default.svc.cluster.local"
PROVIDERS = ("http", "grpc", "dead", "open", "nobody")
UNWANTED = "127.0.0.9"
"""Connections from there are refused by the one over gRPC."""


class OverHttp(App):
    """Lets in whoever says `x-let: in`."""

    def answer(self, told: dict[str, Any]) -> bytes:
        good = dict(told["headers"]).get("x-let") == "in"
        return b"HTTP/1.1 %s\r\ncontent-length: 0\r\n\r\n" % (b"200 OK" if good else b"401 Unauthorized")


def _check(request: CheckRequest, _: Any) -> CheckResponse:
    attributes, out = request.attributes, CheckResponse()
    if attributes.request.HasField("http"):
        good = attributes.request.http.headers.get("x-let") == "in"
    else:
        good = attributes.source.address.socket_address.address != UNWANTED
    out.status.code = 0 if good else 7
    return out


@contextmanager
def over_grpc(check: Callable[[CheckRequest, Any], CheckResponse]) -> Iterator[int]:
    """Runs an authorizer that answers with `check`; the port where it listens."""
    server = grpc.server(ThreadPoolExecutor(4))
    method = grpc.unary_unary_rpc_method_handler(
        check,
        request_deserializer=CheckRequest.FromString,
        response_serializer=CheckResponse.SerializeToString,
    )
    handler = grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", {"Check": method})
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None)


@contextmanager
def authorizers() -> Iterator[dict[int, int]]:
    """Runs both; port of the service -> port where one listens."""
    http = OverHttp()
    try:
        with over_grpc(_check) as port:
            yield {9000: port, 9001: http.port, 9002: 1}
    finally:
        http.close()


def lets_in(provider: str, one: Asked) -> bool:
    """What becomes of what an authorizer decides. Over HTTP nobody can be asked about connections."""
    if provider == "open":
        return True
    if provider == "grpc" and not one.http:
        return one.source != UNWANTED
    return provider in {"http", "grpc"} and one.http and one.headers.get("x-let") == "in"


def provider(name: str, port: int, kind: str = "Grpc", **more: Any) -> dict[str, Any]:
    """One of `extensionProviders`."""
    fields = {"service": HOST, "port": port, "timeout": "20s", **more}
    return {"name": name, f"envoyExtAuthz{kind}": fields}


def providers() -> list[dict[str, Any]]:
    """`extensionProviders`."""
    headers = {"pathPrefix": "/check", "includeRequestHeadersInCheck": ["x-let"]}
    return [
        provider("http", 9001, "Http", **headers),
        provider("grpc", 9000),
        provider("dead", 9002, statusOnError="503"),
        provider("open", 9002, failOpen=True),
    ]


def service(ports: dict[int, int]) -> dict[str, Any]:
    """The ServiceEntry of all."""
    served = [
        {"number": n, "name": f"p-{n}", "protocol": "HTTP" if n == 9001 else "GRPC", "targetPort": target}
        for n, target in ports.items()
    ]
    spec = {"hosts": [HOST], "location": "MESH_INTERNAL", "resolution": "STATIC"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "authz", "namespace": "default"},
        "spec": {**spec, "ports": served, "endpoints": [{"address": "127.0.0.1"}]},
    }
