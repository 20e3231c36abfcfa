"""Small values of Envoy's wire: durations, packed messages, struct metadata, percentages, sources."""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ApiVersion, ConfigSource
from envoy.type.v3.percent_pb2 import FractionalPercent
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from artemon.model.virtual_service import Percent

ZERO = Duration()


def duration(nanoseconds: int) -> Duration:
    """A span of `nanoseconds`."""
    return Duration(seconds=nanoseconds // 1_000_000_000, nanos=nanoseconds % 1_000_000_000)


def packed(message: Message) -> Packed:
    """`message` as an Any; equal messages give equal bytes."""
    out = Packed()
    out.Pack(message, deterministic=True)
    return out


def struct(fields: dict[str, Any]) -> Struct:
    """Free-form metadata."""
    out = Struct()
    for name, value in fields.items():
        if isinstance(value, str):
            out.fields[name].string_value = value
        else:
            out[name] = value
    return out


def ads() -> ConfigSource:
    """From the aggregated stream, waiting as long as it takes."""
    return ConfigSource(
        ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3, initial_fetch_timeout=ZERO
    )


def percent(share: Percent | None, *, default: float = 0.0) -> FractionalPercent:
    """A share of requests to a ten-thousandth of a percent; `default` percent when nothing is written."""
    value = default if share is None else share.value
    return FractionalPercent(numerator=round(value * 10_000), denominator=FractionalPercent.MILLION)
