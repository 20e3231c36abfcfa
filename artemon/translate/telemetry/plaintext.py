"""Callers without mutual TLS are counted where it is not required, by their address: who would be shut
out."""

from __future__ import annotations

from functools import lru_cache

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog
from envoy.data.accesslog.v3.accesslog_pb2 import AccessLogType

from artemon.model.plaintext import COUNTER, FROM, KIND, OTHER_TLS, PLAIN, PORT
from artemon.translate.telemetry.metrics import only
from artemon.translate.telemetry.stats import Scope, stats_log

SCOPE = Scope("plaintext", counters=2000, histograms=1)
"""Callers are strangers: so many addresses are told apart, and no more."""
_CALLER = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"


@lru_cache(maxsize=1024)
def plaintext_log(port: int, *, http: bool, tls: bool) -> AccessLog:
    """For one chain; not to be changed. tls: whether it passes on TLS that is not the mesh's. Requests are
    counted where there are any, else connections that reached the application."""
    tags = ((FROM, _CALLER), (PORT, str(port)), (KIND, OTHER_TLS if tls else PLAIN))
    log = stats_log([(COUNTER, "", tags)], scope=SCOPE)
    if not http:
        log.filter.CopyFrom(only(AccessLogType.TcpUpstreamConnected))
    return log
