"""A process with a gRPC server at each address that stands on its input, one a line. Each follows the mesh,
and answers every method. (gRPC reads its bootstrap once in a process.)"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc


class Anything(grpc.GenericRpcHandler):
    """Every method, answered with an empty message."""

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")


def main() -> None:
    threads, credentials = ThreadPoolExecutor(8), grpc.insecure_server_credentials()
    servers = []
    for address in sys.stdin.read().split():
        server = grpc.server(threads, xds=True)
        server.add_generic_rpc_handlers((Anything(),))
        server.add_secure_port(address, grpc.xds_server_credentials(credentials))
        server.start()
        servers.append(server)
    time.sleep(3600)


if __name__ == "__main__":
    main()
