"""Metrics for Prometheus, on mixerd's own /metrics: `metric` instances are counted here."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Annotated, ClassVar, Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import Field

from artemon.adapters import Adapter, Handler, Params, Place, Row, Shape
from artemon.errors import ArtemonError, Problem
from artemon.expr.values import ValueType
from artemon.model.duration import Duration
from artemon.model.message import Seq
from mixerd.adapters.plain import number, text

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NUMBERS = frozenset({ValueType.INT64, ValueType.DOUBLE, ValueType.DURATION})
DEFAULT_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Explicit(Params):
    """Upper bounds, ascending."""

    bounds: Seq[float] = ()


class Steps(Params):
    """Bounds from `offset` (or `scale`) on: `width` apart, or each `growthFactor` times the one before."""

    num_finite_buckets: Annotated[int, Field(ge=1, le=200)] = 1
    width: float = 0.0
    offset: float = 0.0
    growth_factor: Annotated[float, Field(le=10)] = 0.0
    scale: float = 0.0


class Buckets(Params):
    """The buckets of a distribution."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {
        "definition": ("explicitBuckets", "linearBuckets", "exponentialBuckets")
    }

    explicit_buckets: Explicit | None = None
    linear_buckets: Steps | None = None
    exponential_buckets: Steps | None = None

    def upper(self) -> tuple[float, ...]:
        """The bounds."""
        if self.explicit_buckets:
            return self.explicit_buckets.bounds
        if linear := self.linear_buckets:
            return tuple(linear.offset + linear.width * step for step in range(linear.num_finite_buckets + 1))
        if steps := self.exponential_buckets:
            factors = (steps.growth_factor**step for step in range(steps.num_finite_buckets + 1))
            return tuple(steps.scale * factor for factor in factors)
        return DEFAULT_BOUNDS


class MetricInfo(Params):
    """One metric, made of one instance. name: without namespace and what Prometheus adds."""

    required: ClassVar[tuple[str, ...]] = ("name", "instanceName", "kind")

    namespace: str = "istio"
    name: str = ""
    instance_name: str = ""
    description: str = ""
    kind: Literal["COUNTER", "GAUGE", "DISTRIBUTION"] = "COUNTER"
    label_names: Seq[str] = ()
    buckets: Buckets = Buckets()


class Expiration(Params):
    """When series that were not touched are forgotten."""

    metrics_expiry_duration: Duration | None = None
    expiry_check_interval_duration: Duration | None = None


class PrometheusParams(Params):
    """maxSeries: of each metric; the one that was touched longest ago goes first."""

    metrics: Seq[MetricInfo] = ()
    metrics_expiration_policy: Expiration = Expiration()
    max_series: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000


def _problems(params: PrometheusParams, shapes: Sequence[Shape]) -> Iterator[Problem]:
    named: set[str] = set()
    for index, one in enumerate(params.metrics):
        path = f"spec.params.metrics[{index}]"
        full = _full(one)
        if not _NAME.fullmatch(full):
            yield Problem(f"{path}.name", f'"{full}" is no name of a metric')
        if full in named:
            yield Problem(f"{path}.name", f'"{full}" is used twice')
        named.add(full)
        bounds = one.buckets.upper()
        if any(low >= high for low, high in pairwise(bounds)):
            yield Problem(f"{path}.buckets", "bounds must ascend")
        for number_, label in enumerate(one.label_names):
            if not _NAME.fullmatch(label) or label.startswith("__") or label == "le":
                yield Problem(f"{path}.label_names[{number_}]", f'"{label}" is no name of a label')
        for shape in shapes:
            if _same(one.instance_name, shape.name):
                yield from _misfit(one, shape, path)
    for shape in shapes:
        if not any(_same(one.instance_name, shape.name) for one in params.metrics):
            yield Problem("spec.params.metrics", f"none has instance_name {shape.name}, which a rule sends")


def _misfit(one: MetricInfo, shape: Shape, path: str) -> Iterator[Problem]:
    if shape.types.get("value") not in _NUMBERS:
        yield Problem(f"{path}.instance_name", f"the value of {shape.name} is no number")
    dimensions = shape.types.get("dimensions", {})
    for number_, label in enumerate(one.label_names):
        if label not in dimensions:
            yield Problem(f"{path}.label_names[{number_}]", f"{shape.name} has no dimension {label}")


def _full(one: MetricInfo) -> str:
    return "_".join(part for part in (one.namespace, one.name) if part)


def _same(written: str, instance: str) -> bool:
    """Whether `instance_name` means an instance: `name`, `name.namespace`, `name.instance.namespace`."""
    namespace, _, name = instance.partition("/")
    return written in (name, f"{name}.{namespace}", f"{name}.instance.{namespace}", instance)


@dataclass(slots=True)
class _Series:
    at: float
    value: float = 0.0
    counts: list[int] = field(default_factory=list)


class _Counted:
    """One metric's series, the one touched longest ago first."""

    def __init__(self, info: MetricInfo, most: int, expiry: float) -> None:
        self.info, self._most, self._expiry = info, most, expiry
        self._bounds = info.buckets.upper()
        self._series: OrderedDict[tuple[str, ...], _Series] = OrderedDict()

    def add(self, row: Row, now: float) -> None:
        """Count a row."""
        value = number(row.values["value"])
        dimensions = row.values.get("dimensions", {})
        key = tuple(text(dimensions.get(label, "")) for label in self.info.label_names)
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= self._most:
                self._series.popitem(last=False)
            series = self._series[key] = _Series(now, counts=[0] * (len(self._bounds) + 1))
        self._series.move_to_end(key)
        series.at = now
        if self.info.kind == "GAUGE":
            series.value = value
            return
        series.value += value
        if self.info.kind == "DISTRIBUTION":
            series.counts[bisect_left(self._bounds, value)] += 1

    def family(self, now: float) -> Metric:
        """What Prometheus is shown."""
        while self._expiry and self._series and next(iter(self._series.values())).at < now - self._expiry:
            self._series.popitem(last=False)
        info = self.info
        name, about, labels = _full(info), info.description or info.name, info.label_names
        if info.kind == "DISTRIBUTION":
            histogram = HistogramMetricFamily(name, about, labels=labels)
            ends = [*(f"{bound:g}" if bound % 1 else f"{bound:.1f}" for bound in self._bounds), "+Inf"]
            for key, one in self._series.items():
                buckets = list(zip(ends, map(float, accumulate(one.counts)), strict=True))
                histogram.add_metric(key, buckets, one.value)
            return histogram
        kind = CounterMetricFamily if info.kind == "COUNTER" else GaugeMetricFamily
        family = kind(name, about, labels=labels)
        for key, one in self._series.items():
            family.add_metric(key, one.value)
        return family


class Prometheus(Handler, Collector):
    """Counts in memory; forgets everything when it is changed."""

    def __init__(self, params: PrometheusParams, place: Place) -> None:
        expiry = params.metrics_expiration_policy.metrics_expiry_duration
        seconds = expiry.seconds if expiry else 0.0
        self._metrics = [_Counted(info, params.max_series, seconds) for info in params.metrics]
        self._place = place
        self._wanted: dict[str, list[_Counted]] = {}
        try:
            place.metrics.register(self)
        except ValueError as error:
            raise ArtemonError(f"another handler has a metric of this name: {error}") from error

    def describe(self) -> Iterable[Metric]:
        """The names that are taken."""
        return self.collect()

    def collect(self) -> Iterable[Metric]:
        """For the registry."""
        now = self._place.now()
        return [one.family(now) for one in self._metrics]

    async def report(self, rows: Sequence[Row]) -> None:
        now = self._place.now()
        for row in rows:
            for one in self._of(row.instance):
                one.add(row, now)

    def _of(self, instance: str) -> list[_Counted]:
        found = self._wanted.get(instance)
        if found is None:
            some = [one for one in self._metrics if _same(one.info.instance_name, instance)]
            found = self._wanted[instance] = some
        return found

    async def close(self) -> None:
        with suppress(KeyError):
            self._place.metrics.unregister(self)


plugin = Adapter(PrometheusParams, frozenset({"metric"}), Prometheus, _problems)
