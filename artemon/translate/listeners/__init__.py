"""Listeners: where connections come in, and what is looked at before they are passed on."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from envoy.config.listener.v3.listener_pb2 import Listener

from artemon.snapshot.view import ProxyView
from artemon.translate.listeners.gateway import gateway_listeners
from artemon.translate.listeners.inbound import inbound_listeners
from artemon.translate.listeners.outbound import outbound_listeners


def listeners(view: ProxyView) -> Mapping[str, Listener]:
    """Every listener of this proxy, by name. Where two would bind to one address and port, the inbound one
    stands."""
    out: dict[str, Listener] = {}
    for listener in chain(inbound_listeners(view), outbound_listeners(view), gateway_listeners(view)):
        out.setdefault(listener.name, listener)
    return out
