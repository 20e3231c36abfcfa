"""Rules, handlers, instances and manifests together: checked against one another, ready to be used."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from artemon.adapters.api import Adapter, Params
from artemon.adapters.catalog import judged, named, read_params
from artemon.adapters.requests import HeaderChange, SampleTerms, header_changes, sample_terms
from artemon.adapters.templates import TEMPLATES, Shape, Variety, shaped, unknown_template
from artemon.errors import Problem
from artemon.expr import VOCABULARY, ExpressionRefused, Manifest, Program, compile_expression
from artemon.expr.values import ValueType
from artemon.model.kinds import ATTRIBUTE_MANIFEST, HANDLER, INSTANCE, RULE
from artemon.model.mixer import AttributeManifest, asked_of, fails_open, meanings
from artemon.model.resource import Resource

Named = Callable[[str], Adapter]


@dataclass(frozen=True, slots=True)
class HandlerConfig:
    """A handler that can be opened. name: `<namespace>/<name>`; version: differs whenever it is changed."""

    name: str
    adapter_name: str
    adapter: Adapter
    params: Params
    version: str


@dataclass(frozen=True, slots=True)
class Action:
    """What one handler is given."""

    handler: str
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class ReadyRule:
    """A rule without problems. match: None where it always holds. actions: of one variety. fail_open: whether
    requests go on when they cannot be checked. sampling: which reports it looks at, None for all. headers:
    what it changes of requests that go on, and of their responses."""

    name: str
    namespace: str
    match: Program | None
    actions: Mapping[Variety, tuple[Action, ...]]
    fail_open: bool
    sampling: SampleTerms | None = None
    headers: tuple[HeaderChange, ...] = ()

    @property
    def asked(self) -> bool:
        """Whether requests wait for it."""
        return bool(self.headers or {Variety.CHECK, Variety.QUOTA} & self.actions.keys())


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All that can be done. manifests: of each namespace that declares attributes of its own.
    problems: by `Kind/namespace/name`; what has one is in no rule. closed: namespaces where a rule that
    should check requests cannot, and does not say that they go on then."""

    rules: tuple[ReadyRule, ...] = ()
    closed: frozenset[str] = frozenset()
    handlers: Mapping[str, HandlerConfig] = field(default_factory=dict)
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    problems: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)

    def of(self, namespace: str, root: str, variety: Variety) -> tuple[ReadyRule, ...]:
        """The rules that look at requests of workloads of a namespace."""
        return tuple(
            rule for rule in self.rules if rule.namespace in (namespace, root) and variety in rule.actions
        )


def rulebook(resources: Iterable[Resource[Any]], *, root: str, adapter: Named = named) -> Rulebook:
    """Check everything with everything. root: the namespace whose rules are for all namespaces, and whose
    handlers, instances and attributes all namespaces may use."""
    return _Reader(resources, root, adapter).book()


class _Reader:
    def __init__(self, resources: Iterable[Resource[Any]], root: str, adapter: Named) -> None:
        self._all = sorted(resources, key=lambda one: (one.meta.namespace, one.meta.name))
        self._root, self._adapter = root, adapter
        self._problems: dict[str, list[Problem]] = {}
        self._manifests = dict(self._declared())
        self._handlers = {_key(one): self._handler(one) for one in self._of(HANDLER.name)}
        self._templates = {_key(one): one.spec.compiled_template for one in self._of(INSTANCE.name)}
        self._shapes = {_key(one): self._shape(one) for one in self._of(INSTANCE.name)}

    def book(self) -> Rulebook:
        sent: dict[str, list[Shape]] = {}
        rules = [rule for one in self._of(RULE.name) if (rule := self._rule(one, sent))]
        for one in self._of(HANDLER.name):
            config = self._handlers[_key(one)]
            if config is not None:
                for problem in judged(config.adapter, config.params, sent.get(config.name, [])):
                    self._refuse(one, problem)
        bad = {_key(one) for one in self._of(HANDLER.name) if self._problems.get(one.ref)}
        usable = [rule for rule in rules if not any(a.handler in bad for a in _all_actions(rule))]
        handlers = {name: one for name, one in self._handlers.items() if one is not None and name not in bad}
        problems = {ref: tuple(found) for ref, found in self._problems.items()}
        closed = frozenset(self._closed({rule.name for rule in usable}))
        return Rulebook(tuple(usable), closed, handlers, self._manifests, problems)

    def _closed(self, usable: set[str]) -> Iterator[str]:
        for one in self._of(RULE.name):
            asked = asked_of(one.spec, one.meta.namespace, self._templates)
            if asked and _key(one) not in usable and not fails_open(one.spec, asked):
                yield one.meta.namespace

    def _of(self, kind: str) -> list[Resource[Any]]:
        return [one for one in self._all if one.kind.name == kind]

    def _refuse(self, resource: Resource[Any], *problems: Problem) -> None:
        if problems:
            self._problems.setdefault(resource.ref, []).extend(problems)

    def _declared(self) -> Iterator[tuple[str, Manifest]]:
        found: dict[str, dict[str, ValueType]] = {}
        for one in self._of(ATTRIBUTE_MANIFEST.name):
            spec: AttributeManifest = one.spec
            for name, info in spec.attributes.items():
                known = VOCABULARY.get(name) or found.get(one.meta.namespace, {}).get(name)
                if known is not None and known != info.value_type:
                    where = f'spec.attributes["{name}"].valueType'
                    self._refuse(one, Problem(where, f"{name} is {known} already"))
                else:
                    found.setdefault(one.meta.namespace, {})[name] = ValueType(info.value_type)
        yield from found.items()

    def _manifest(self, namespace: str) -> Manifest:
        own, shared = self._manifests.get(namespace, {}), self._manifests.get(self._root, {})
        return ChainMap(VOCABULARY, shared, own)  # type: ignore[arg-type]

    def _handler(self, one: Resource[Any]) -> HandlerConfig | None:
        try:
            adapter = self._adapter(one.spec.compiled_adapter)
        except LookupError as error:
            self._refuse(one, Problem("spec.compiledAdapter", f'"{one.spec.compiled_adapter}": {error}'))
            return None
        params, problems = read_params(adapter, one.spec.params)
        self._refuse(one, *problems)
        if params is None:
            return None
        version = repr((one.spec.compiled_adapter, one.spec.params))
        return HandlerConfig(_key(one), one.spec.compiled_adapter, adapter, params, version)

    def _shape(self, one: Resource[Any]) -> Shape | None:
        template = TEMPLATES.get(one.spec.compiled_template)
        if template is None:
            self._refuse(one, Problem("spec.compiledTemplate", unknown_template(one.spec.compiled_template)))
            return None
        shape, problems = shaped(_key(one), template, one.spec.params, self._manifest(one.meta.namespace))
        self._refuse(one, *problems)
        return None if problems else shape

    def _rule(self, one: Resource[Any], sent: dict[str, list[Shape]]) -> ReadyRule | None:
        problems: list[Problem] = []
        match = self._match(one, problems)
        actions: dict[Variety, list[Action]] = {}
        for index, action in enumerate(one.spec.actions):
            path = f"spec.actions[{index}]"
            find = _Finder(one, self._root, problems)
            handler = find(HANDLER.name, action.handler, self._handlers, f"{path}.handler")
            shapes = [
                find(INSTANCE.name, name, self._shapes, f"{path}.instances[{number}]")
                for number, name in enumerate(action.instances)
            ]
            if handler is None or None in shapes:
                continue
            problems += _misfits(handler, shapes, path)
            for variety in Variety:
                some = tuple(shape for shape in shapes if shape.template.variety is variety)
                if some:
                    actions.setdefault(variety, []).append(Action(handler.name, some))
            sent.setdefault(handler.name, []).extend(shapes)
        manifest = self._manifest(one.meta.namespace)
        sampling = sample_terms(one.spec, manifest, problems)
        headers = header_changes(one.spec, manifest, problems)
        if sampling is not None and (headers or actions.keys() - {Variety.REPORT}):
            text = "is for reports: checks, quotas and changes of headers are made for all requests or none"
            problems.append(Problem("spec.sampling", text))
        self._refuse(one, *problems)
        if problems:
            return None
        found = {variety: tuple(some) for variety, some in actions.items()}
        asked = asked_of(one.spec, one.meta.namespace, self._templates)
        open_ = fails_open(one.spec, asked)
        return ReadyRule(_key(one), one.meta.namespace, match, found, open_, sampling, headers)

    def _match(self, one: Resource[Any], problems: list[Problem]) -> Program | None:
        if not one.spec.match.strip():
            return None
        try:
            match = compile_expression(one.spec.match, self._manifest(one.meta.namespace))
        except ExpressionRefused as error:
            problems.append(Problem("spec.match", str(error)))
            return None
        if match.type is not ValueType.BOOL:
            problems.append(Problem("spec.match", f"is {match.type}, must be BOOL"))
        return match


@dataclass(frozen=True, slots=True)
class _Finder:
    """Finds what names in a rule mean."""

    rule: Resource[Any]
    root: str
    problems: list[Problem]

    def __call__(self, kind: str, name: str, known: Mapping[str, Any], path: str) -> Any:
        """What `name` means; None when there is none that can be used."""
        namespace = self.rule.meta.namespace
        for candidate in meanings(name, namespace, kind):
            owner = candidate.partition("/")[0]
            if candidate in known and owner not in (namespace, self.root):
                text = f"is of namespace {owner}: only those of {namespace} and {self.root} may be used"
                self.problems.append(Problem(path, f"{kind} {name} {text}"))
                return None
            if candidate in known:
                if known[candidate] is None:
                    self.problems.append(Problem(path, f"{kind} {name} is refused itself"))
                return known[candidate]
        self.problems.append(Problem(path, f"there is no {kind} {name} in {namespace}"))
        return None


def _all_actions(rule: ReadyRule) -> Iterator[Action]:
    for some in rule.actions.values():
        yield from some


def _misfits(handler: HandlerConfig, shapes: Sequence[Shape], path: str) -> Iterator[Problem]:
    for number, shape in enumerate(shapes):
        if shape.template.name not in handler.adapter.templates:
            takes = ", ".join(sorted(handler.adapter.templates))
            text = f"is of template {shape.template.name}; adapter {handler.adapter_name} takes {takes}"
            yield Problem(f"{path}.instances[{number}]", text)


def _key(one: Resource[Any]) -> str:
    return f"{one.meta.namespace}/{one.meta.name}"
