"""Istio's metrics, counted by a stock Envoy (`envoy.access_loggers.stats`, Envoy 1.40).

The messages that xds-protos knows lack the scope of the statistics, which is written as the bytes that it is
on the wire: `stats_scope` is field 6 of `Config`, its fields are `max_counters` 1, `max_histograms` 3 (both
`UInt32Value`), `enable_eviction` 4, `prefix` 5, `sharing_name` 6. Without a shared name, counters would begin
anew with every change of a listener.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog
from envoy.extensions.access_loggers.stats.v3.stats_pb2 import Config
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.wrappers_pb2 import UInt32Value

from artemon.model.metric_fields import STAT_PREFIX
from artemon.xds.wire import field, varint

NAME = "envoy.access_loggers.stats"
URL = f"type.googleapis.com/{Config.DESCRIPTOR.full_name}"
SHARED = "istio"
MAX_COUNTERS = 20_000
MAX_HISTOGRAMS = 10_000
"""What has not been counted before there are so many is not counted; what is not used for long makes room."""
Tags = tuple[tuple[str, str], ...]
"""Labels with their format."""
_SCOPE_FIELD = 6


@dataclass(frozen=True, slots=True)
class Scope:
    """Statistics that are kept together: the name that they share, and how many there may be."""

    shared: str
    counters: int
    histograms: int

    def encode(self) -> bytes:
        """As on the wire."""
        return b"".join(
            (
                _limit(1, self.counters),
                _limit(3, self.histograms),
                varint(4 << 3) + varint(1),
                field(5, STAT_PREFIX.encode()),
                field(6, self.shared.encode()),
            )
        )


ISTIO = Scope(SHARED, MAX_COUNTERS, MAX_HISTOGRAMS)


def stats_log(
    counters: Iterable[tuple[str, str, Tags]],
    histograms: Iterable[tuple[str, str, Tags]] = (),
    *,
    scope: Scope = ISTIO,
) -> AccessLog:
    """A logger of metrics: name, value as Envoy formats it ("" counts one), labels."""
    config = Config()
    for name, value, tags in counters:
        counter = config.counters.add()
        _describe(counter.stat, name, tags)
        if value:
            counter.value_format = value
        else:
            counter.value_fixed.value = 1
    for name, value, tags in histograms:
        histogram = config.histograms.add(value_format=value)
        histogram.unit = _UNITS[name.rpartition("_")[2]]
        _describe(histogram.stat, name, tags)
    body = config.SerializeToString(deterministic=True) + field(_SCOPE_FIELD, scope.encode())
    return AccessLog(name=NAME, typed_config=Packed(type_url=URL, value=body))


_UNITS = {"milliseconds": Config.Histogram.Milliseconds, "bytes": Config.Histogram.Bytes}


def _describe(stat: Config.Stat, name: str, tags: Tags) -> None:
    stat.name = name
    for tag, value in tags:
        stat.tags.add(name=tag, value_format=value)


def _limit(number: int, value: int) -> bytes:
    body: bytes = UInt32Value(value=value).SerializeToString()
    return field(number, body)


def standalone(log: AccessLog) -> None:
    """Say it in words that xds-protos knows, for configurations that are printed or never change: the scope
    has its prefix alone. Other loggers stay as they are."""
    if log.typed_config.type_url != URL:
        return
    config = Config.FromString(log.typed_config.value)
    plain = Config(stat_prefix=STAT_PREFIX, counters=config.counters, histograms=config.histograms)
    log.typed_config.value = plain.SerializeToString(deterministic=True)
