"""Rules of Telemetry (Istio `ValidateTelemetry`)."""

from __future__ import annotations

from collections.abc import Sequence

from artemon.model.cel import unsupported, unsupported_in_label
from artemon.model.resource import Resource
from artemon.model.telemetry import (
    Metrics,
    MetricsOverrides,
    ProviderRef,
    Telemetry,
    Tracing,
    standard_metric,
)
from artemon.model.words import path_of
from artemon.validate import cel
from artemon.validate.amounts import duration
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error, warning, wrong
from artemon.validate.formats import operators
from artemon.validate.scope import targets


def telemetry(resource: Resource[Telemetry], context: Context) -> Problems:
    """What is wrong with one Telemetry."""
    spec = resource.spec
    yield from targets(spec, namespace=resource.meta.namespace, root_namespace=context.root_namespace)
    for index, metrics in enumerate(spec.metrics):
        yield from _metrics(metrics, f"spec.metrics[{index}]")
    if len(spec.tracing) > 1:
        yield warning("spec.tracing", "only the first entry is used")
    for index, tracing in enumerate(spec.tracing):
        yield from _tracing(tracing, f"spec.tracing[{index}]")
    for index, logging in enumerate(spec.access_logging):
        path = f"spec.accessLogging[{index}]"
        yield from _providers(logging.providers, path)
        if logging.filter is not None:
            where, text = f"{path}.filter.expression", logging.filter.expression
            refused = cel.syntax(text)
            yield from wrong(where, refused)
            yield from _ignored(where, "" if refused else unsupported(text), "nothing is logged")


def _providers(providers: Sequence[ProviderRef], path: str) -> Problems:
    for index, provider in enumerate(providers):
        if not provider.name:
            yield error(f"{path}.providers[{index}].name", "must not be empty")


def _metrics(metrics: Metrics, path: str) -> Problems:
    yield from _providers(metrics.providers, path)
    yield from duration(metrics.reporting_interval, f"{path}.reportingInterval")
    for index, override in enumerate(metrics.overrides):
        yield from _override(override, f"{path}.overrides[{index}]")


def _ignored(path: str, reason: str, outcome: str) -> Problems:
    if reason:
        yield warning(path, f"{reason}; {outcome}")


def _override(override: MetricsOverrides, path: str) -> Problems:
    if override.match is not None and override.match.custom_metric == "":
        yield error(f"{path}.match.customMetric", "must not be empty")
    elif override.match is not None and override.match.custom_metric is not None:
        name = override.match.custom_metric
        if not standard_metric(name):
            yield warning(f"{path}.match.customMetric", f"no proxy counts {name}; this has no effect")
    for name, tag in override.tag_overrides.items():
        where = path_of((name,), f"{path}.tagOverrides")
        if not name:
            yield warning(where, "a tag without a name has no effect")
        if tag.operation == "UPSERT" and not tag.value:
            yield error(f"{where}.value", "is required for UPSERT")
        if tag.operation == "UPSERT" and tag.value:
            yield from _ignored(f"{where}.value", unsupported_in_label(tag.value), "the label stays as it is")
        if tag.operation == "REMOVE" and tag.value:
            yield error(f"{where}.value", "must not be set for REMOVE")


def _tracing(tracing: Tracing, path: str) -> Problems:
    if len(tracing.providers) > 1:
        yield warning(f"{path}.providers", "only the first provider is used")
    yield from _providers(tracing.providers, path)
    sampling = tracing.random_sampling_percentage
    if sampling is not None and not 0 <= sampling <= 100:
        yield error(f"{path}.randomSamplingPercentage", f"{sampling} is not between 0 and 100")
    for name, tag in tracing.custom_tags.items():
        where = path_of((name,), f"{path}.customTags")
        if not name:
            yield error(where, "a tag must have a name")
        for field, value in (
            ("literal.value", tag.literal.value if tag.literal else "-"),
            ("header.name", tag.header.name if tag.header else "-"),
            ("environment.name", tag.environment.name if tag.environment else "-"),
        ):
            if not value:
                yield error(f"{where}.{field}", "must not be empty")
        if tag.formatter is not None:
            yield from wrong(f"{where}.formatter.value", operators(tag.formatter.value))
