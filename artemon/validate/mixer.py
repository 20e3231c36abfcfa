"""Rules of rule, handler, instance and attributemanifest, each alone; together: `artemon.adapters`."""

from __future__ import annotations

import re

from artemon.adapters.catalog import judged, named, read_params
from artemon.adapters.templates import TEMPLATES
from artemon.expr import ExpressionRefused
from artemon.expr.manifest import VOCABULARY
from artemon.expr.syntax import parse
from artemon.model.mixer import AttributeManifest, Handler, Instance, Rule
from artemon.model.resource import Resource
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error

_ATTRIBUTE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def rule(resource: Resource[Rule], _: Context) -> Problems:
    """What is wrong with one rule."""
    spec = resource.spec
    if spec.match.strip():
        try:
            parse(spec.match)
        except ExpressionRefused as refused:
            yield error("spec.match", str(refused))
    if not spec.actions:
        yield error("spec.actions", "must not be empty")
    for index, action in enumerate(spec.actions):
        path = f"spec.actions[{index}]"
        if not action.handler:
            yield error(f"{path}.handler", "must not be empty")
        if not action.instances:
            yield error(f"{path}.instances", "must not be empty")
        for number, name in enumerate(action.instances):
            if not name:
                yield error(f"{path}.instances[{number}]", "must not be empty")


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
        known = ", ".join(TEMPLATES)
        yield error("spec.compiledTemplate", f'"{name}" is no template; use one of {known}')


def attribute_manifest(resource: Resource[AttributeManifest], _: Context) -> Problems:
    """What is wrong with one attributemanifest."""
    for name, info in resource.spec.attributes.items():
        path = f'spec.attributes["{name}"]'
        if not _ATTRIBUTE.fullmatch(name):
            yield error(path, "an attribute is called like request.size: names with dots between them")
        known = VOCABULARY.get(name)
        if known is not None and known != info.value_type:
            yield error(f"{path}.valueType", f"{name} is {known} in every mesh")
