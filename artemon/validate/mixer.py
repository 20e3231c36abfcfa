"""Rules of rule, handler, instance and attributemanifest, each alone; together: `artemon.adapters`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from artemon.adapters.catalog import judged, named, read_params
from artemon.adapters.templates import TEMPLATES, unknown_template
from artemon.expr import ExpressionRefused
from artemon.expr.manifest import VOCABULARY
from artemon.expr.syntax import parse
from artemon.model.mixer import AttributeManifest, Handler, HeaderOperation, Instance, Rule, Sampling
from artemon.model.resource import Resource
from artemon.validate.amounts import duration, not_negative
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error, wrong
from artemon.validate.texts import header_name, settable_header

_ATTRIBUTE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def rule(resource: Resource[Rule], _: Context) -> Problems:
    """What is wrong with one rule."""
    spec = resource.spec
    if spec.match.strip():
        try:
            parse(spec.match)
        except ExpressionRefused as refused:
            yield error("spec.match", str(refused))
    changes = (*spec.request_header_operations, *spec.response_header_operations)
    if not spec.actions and not changes:
        yield error("spec.actions", "must not be empty")
    yield from _headers("spec.requestHeaderOperations", spec.request_header_operations)
    yield from _headers("spec.responseHeaderOperations", spec.response_header_operations)
    if spec.sampling is not None:
        yield from _sampling(spec.sampling)
    for index, action in enumerate(spec.actions):
        path = f"spec.actions[{index}]"
        if not action.handler:
            yield error(f"{path}.handler", "must not be empty")
        if not action.instances:
            yield error(f"{path}.instances", "must not be empty")
        for number, name in enumerate(action.instances):
            if not name:
                yield error(f"{path}.instances[{number}]", "must not be empty")


def _headers(path: str, operations: Sequence[HeaderOperation]) -> Problems:
    for index, one in enumerate(operations):
        where, remove = f"{path}[{index}]", one.operation == "REMOVE"
        name = one.name.lower()
        yield from wrong(f"{where}.name", settable_header(one.name, authority=False) or header_name(one.name))
        if name.startswith("x-envoy-") or name == "x-forwarded-client-cert":
            yield error(f"{where}.name", f"{name} is the proxies' own")
        if remove and path.startswith("spec.response"):
            yield error(f"{where}.operation", "a response's header cannot be removed: see VirtualService")
        if remove and one.values:
            yield error(f"{where}.values", "must be empty with REMOVE")
        if not remove and not one.values:
            yield error(f"{where}.values", "must not be empty")
        for number, text in enumerate(one.values):
            if ".output." in text:
                yield error(f"{where}.values[{number}]", "actions have no outputs: write an expression")


def _sampling(sampling: Sampling) -> Problems:
    random, rate = sampling.random, sampling.rate_limit
    if random is not None:
        path, percent = "spec.sampling.random", random.percent_sampled
        if percent is None and not random.attribute_expression:
            yield error(f"{path}.percentSampled", "is required, or an attributeExpression")
        most = 10_000 if percent and percent.denominator == "TEN_THOUSAND" else 100
        if percent is not None and not 0 <= percent.numerator <= most:
            yield error(
                f"{path}.percentSampled.numerator", f"{percent.numerator} is not between 0 and {most}"
            )
    if rate is not None:
        path = "spec.sampling.rateLimit"
        yield from duration(rate.sampling_duration, f"{path}.samplingDuration")
        yield from not_negative(rate.max_unsampled_entries, f"{path}.maxUnsampledEntries")
        yield from not_negative(rate.sampling_rate, f"{path}.samplingRate")


def handler(resource: Resource[Handler], _: Context) -> Problems:
    """What is wrong with one handler: no such adapter, or not its parameters."""
    spec = resource.spec
    try:
        adapter = named(spec.compiled_adapter)
    except LookupError as unknown:
        yield error("spec.compiledAdapter", f'"{spec.compiled_adapter}": {unknown}')
        return
    params, problems = read_params(adapter, spec.params)
    yield from problems
    if params is not None:
        yield from judged(adapter, params, ())


def instance(resource: Resource[Instance], _: Context) -> Problems:
    """What is wrong with one instance: no such template. Its expressions may use attributes that others
    declare, so that they are checked together."""
    name = resource.spec.compiled_template
    if name not in TEMPLATES:
        yield error("spec.compiledTemplate", unknown_template(name))
    if resource.spec.attribute_bindings:
        text = "no adapter makes attributes: who calls is told by certificates, the rest by access logs"
        yield error("spec.attributeBindings", text)


def attribute_manifest(resource: Resource[AttributeManifest], _: Context) -> Problems:
    """What is wrong with one attributemanifest."""
    for name, info in resource.spec.attributes.items():
        path = f'spec.attributes["{name}"]'
        if not _ATTRIBUTE.fullmatch(name):
            yield error(path, "an attribute is called like request.size: names with dots between them")
        known = VOCABULARY.get(name)
        if known is not None and known != info.value_type:
            yield error(f"{path}.valueType", f"{name} is {known} in every mesh")
