"""What proxyless gRPC clients and servers get: the part of xDS that gRPC understands (gRFC A27, A28, A36)."""

from artemon.translate.grpc.translator import GrpcTranslator

__all__ = ["GrpcTranslator"]
