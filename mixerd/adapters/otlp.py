"""Log entries and metrics for OpenTelemetry collectors, by OTLP over gRPC (opentelemetry.io/docs/specs/otlp).

Metrics are sums of deltas: what was counted since the last time, so that replicas may be added up.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from artemon.adapters import Adapter, Handler, Params, Place, Row, Shape
from artemon.errors import ArtemonError, Problem
from artemon.expr.values import Timestamp, ValueType
from mixerd.adapters.plain import address_problems, number, plain, short, text

SECONDS = 20.0
_LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
_METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
_SCOPES = 2
"""Number of the field `scope_logs` and `scope_metrics`, which older releases of OTLP call otherwise."""
_SEVERITIES = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
_DELTA = 1
_NUMBERS = frozenset({ValueType.INT64, ValueType.DOUBLE, ValueType.DURATION})


class OtlpParams(Params):
    """address: `host:port`. tls: with the machine's roots. headers: sent along. resource: attributes of it.
    metrics: by instance, whether it is added up or the last value counts."""

    required: ClassVar[tuple[str, ...]] = ("address",)

    address: str = ""
    tls: bool = False
    headers: dict[str, str] = Field(default_factory=dict)
    resource: dict[str, str] = Field(default_factory=lambda: {"service.name": "mixerd"})
    metrics: dict[str, Literal["COUNTER", "GAUGE"]] = Field(default_factory=dict)


def _problems(params: OtlpParams, shapes: Sequence[Shape]) -> Iterator[Problem]:
    yield from address_problems(params.address)
    for name in params.headers:
        if name != name.lower() or not name.isascii():
            yield Problem(f'spec.params.headers["{name}"]', "must be a header in lower case")
    for shape in shapes:
        if shape.template.name != "metric":
            continue
        if short(shape.name) not in params.metrics:
            yield Problem("spec.params.metrics", f"has no {short(shape.name)}, which a rule sends")
        elif shape.types.get("value") not in _NUMBERS:
            yield Problem(f"spec.params.metrics.{short(shape.name)}", "its value is no number")


class Otlp(Handler):
    """One channel, kept."""

    def __init__(self, params: OtlpParams, place: Place) -> None:
        self._params, self._place = params, place
        self._channel: Any = None
        self._since = place.now()

    async def report(self, rows: Sequence[Row]) -> None:
        logs = [row for row in rows if row.template == "logentry"]
        metrics = [row for row in rows if row.template == "metric"]
        if logs:
            await self._export(_LOGS, self._logs(logs))
        if metrics:
            await self._export(_METRICS, self._metrics(metrics))
            self._since = self._place.now()

    async def _export(self, method: str, message: bytes) -> None:
        import grpc

        if self._channel is None:
            credentials = grpc.ssl_channel_credentials() if self._params.tls else None
            address = self._params.address
            self._channel = (
                grpc.aio.secure_channel(address, credentials)
                if credentials
                else grpc.aio.insecure_channel(address)
            )
        call = self._channel.unary_unary(method)
        try:
            await call(message, timeout=SECONDS, metadata=tuple(self._params.headers.items()))
        except grpc.aio.AioRpcError as error:
            reason = error.details() or error.code().name
            raise ArtemonError(f"{self._params.address}: {reason}") from error

    def _logs(self, rows: Sequence[Row]) -> bytes:
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

        message = ExportLogsServiceRequest()
        scope = _scope(message.resource_logs.add(), self._params.resource)
        records = scope.logs if hasattr(scope, "logs") else scope.log_records
        for row in rows:
            record = records.add()
            written = row.values.get("timestamp")
            known = isinstance(written, Timestamp)
            record.time_unix_nano = written.nanoseconds if known else int(self._place.now() * 1e9)  # type: ignore[union-attr]
            record.severity_text = str(row.values.get("severity", ""))
            record.severity_number = _SEVERITIES.get(record.severity_text.lower(), 9)
            variables = dict(row.values.get("variables", {}))
            record.body.string_value = text(variables.pop("message", short(row.instance)))
            _attributes(record.attributes, {**variables, "instance": row.instance})
        return bytes(message.SerializeToString())

    def _metrics(self, rows: Sequence[Row]) -> bytes:
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

        message = ExportMetricsServiceRequest()
        scope = _scope(message.resource_metrics.add(), self._params.resource)
        for instance, points in self._points(rows).items():
            metric = scope.metrics.add(name=short(instance))
            added = self._params.metrics[short(instance)] == "COUNTER"
            if added:
                metric.sum.aggregation_temporality, metric.sum.is_monotonic = _DELTA, True
            for dimensions, value in points.items():
                point = (metric.sum if added else metric.gauge).data_points.add()
                point.start_time_unix_nano = int(self._since * 1e9)
                point.time_unix_nano = int(self._place.now() * 1e9)
                point.as_double = value
                _attributes(point.attributes, dict(dimensions))
        return bytes(message.SerializeToString())

    def _points(self, rows: Sequence[Row]) -> Mapping[str, dict[tuple[tuple[str, str], ...], float]]:
        found: defaultdict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)
        for row in rows:
            dimensions = tuple((name, text(one)) for name, one in row.values.get("dimensions", {}).items())
            points, value = found[row.instance], number(row.values["value"])
            added = self._params.metrics[short(row.instance)] == "COUNTER"
            points[dimensions] = points.get(dimensions, 0.0) + value if added else value
        return found

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            async with asyncio.timeout(SECONDS):
                await channel.close()


def _scope(resource: Any, attributes: Mapping[str, str]) -> Any:
    _attributes(resource.resource.attributes, attributes)
    return getattr(resource, resource.DESCRIPTOR.fields_by_number[_SCOPES].name).add()


def _attributes(out: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        found, one = plain(value), out.add(key=name)
        if isinstance(found, bool):
            one.value.bool_value = found
        elif isinstance(found, int):
            one.value.int_value = found
        elif isinstance(found, float):
            one.value.double_value = found
        else:
            one.value.string_value = text(found)


plugin = Adapter(OtlpParams, frozenset({"logentry", "metric"}), Otlp, _problems)
