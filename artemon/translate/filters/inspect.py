"""Listener filters: where a connection was going, and what it begins with."""

from __future__ import annotations

from collections.abc import Collection

from envoy.config.listener.v3.listener_components_pb2 import (
    ListenerFilter,
)
from envoy.config.listener.v3.listener_components_pb2 import (
    ListenerFilterChainMatchPredicate as Predicate,
)
from envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2 import HttpInspector
from envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2 import OriginalDst
from envoy.extensions.filters.listener.original_src.v3.original_src_pb2 import OriginalSrc
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector

from artemon.translate.wire import packed

TPROXY_MARK = 1337
"""Of packets that are the proxy's own although their addresses are not (Istio)."""


def original_destination() -> ListenerFilter:
    """Restores the address that an intercepted connection was made to."""
    return ListenerFilter(name="envoy.filters.listener.original_dst", typed_config=packed(OriginalDst()))


def original_source() -> ListenerFilter:
    """Connections to the application come from where the peer is; marked, so that interception lets them go
    and leads the answers back."""
    config = packed(OriginalSrc(mark=TPROXY_MARK))
    return ListenerFilter(name="envoy.filters.listener.original_src", typed_config=config)


def tls_inspector(disabled: Predicate | None = None) -> ListenerFilter:
    """Tells TLS from plaintext and reads its server name and protocols."""
    return _filter(ListenerFilter(name="envoy.filters.listener.tls_inspector",
                                  typed_config=packed(TlsInspector())), disabled)  # fmt: skip


def http_inspector(disabled: Predicate | None = None) -> ListenerFilter:
    """Tells HTTP from other plaintext."""
    return _filter(ListenerFilter(name="envoy.filters.listener.http_inspector",
                                  typed_config=packed(HttpInspector())), disabled)  # fmt: skip


def only_on(ports: Collection[int]) -> Predicate:
    """Disables a filter on all destination ports but these."""
    if not ports:
        return Predicate(any_match=True)
    return Predicate(not_match=except_on(ports))


def except_on(ports: Collection[int]) -> Predicate:
    """Disables a filter on these destination ports; there must be one."""
    rules = [_port(port) for port in sorted(ports)]
    if len(rules) == 1:
        return rules[0]
    return Predicate(or_match=Predicate.MatchSet(rules=rules))


def _port(port: int) -> Predicate:
    out = Predicate()
    out.destination_port_range.start = port
    out.destination_port_range.end = port + 1
    return out


def _filter(out: ListenerFilter, disabled: Predicate | None) -> ListenerFilter:
    if disabled is not None:
        out.filter_disabled.CopyFrom(disabled)
    return out
