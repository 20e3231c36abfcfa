"""Listeners for configurations that are printed or never change."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from artemon.translate.telemetry.stats import standalone
from artemon.translate.wire import packed

_LOGGING = (HttpConnectionManager, TcpProxy)


def standalone_listener(listener: Listener) -> Listener:
    """`listener` with its loggers in words that JSON has (`artemon.translate.telemetry.stats`)."""
    out = Listener()
    out.CopyFrom(listener)
    for chain in out.filter_chains:
        _alone(chain.filters)
    if out.HasField("default_filter_chain"):
        _alone(out.default_filter_chain.filters)
    return out


def _alone(filters: Iterable[Filter]) -> None:
    for one in filters:
        for kind in _LOGGING:
            config = kind()
            if one.typed_config.Unpack(config):
                for log in config.access_log:
                    standalone(log)
                one.typed_config.CopyFrom(packed(config))
