"""A gRPC server that follows the mesh: listens on the address that it is given, and says its name to whoever
is let in. (gRPC reads its bootstrap once in a process.)"""

from __future__ import annotations

import sys
import time
from concurrent import futures

import grpc


def _who(_: bytes, __: grpc.ServicerContext) -> bytes:
    return b"served"


def main(address: str) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(4), xds=True)
    methods = {name: grpc.unary_unary_rpc_method_handler(_who) for name in ("Who", "Admin")}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("demo.Echo", methods),))
    credentials = grpc.xds_server_credentials(grpc.insecure_server_credentials())
    server.add_secure_port(address, credentials)
    server.start()
    time.sleep(3600)


main(sys.argv[1])
