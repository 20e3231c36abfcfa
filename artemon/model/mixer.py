"""What is done with reports and requests: rule, handler, instance, attributemanifest (`config.istio.io`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from artemon.model.duration import Duration
from artemon.model.message import Message, Seq

ValueTypeName = Literal[
    "STRING", "INT64", "DOUBLE", "BOOL", "TIMESTAMP", "IP_ADDRESS", "EMAIL_ADDRESS", "URI", "DNS_NAME",
    "DURATION", "STRING_MAP",
]  # fmt: skip


class RuleAction(Message):
    """Instances that one handler gets. Names of the root namespace: `name.namespace`."""

    required: ClassVar[tuple[str, ...]] = ("handler", "instances")

    name: str = ""
    handler: str = ""
    instances: Seq[str] = ()


class HeaderOperation(Message):
    """What becomes of a header. values: expressions of texts."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    name: str = ""
    values: Seq[str] = ()
    operation: Literal["REPLACE", "REMOVE", "APPEND"] = "REPLACE"


class SamplingPercent(Message):
    """A share of all."""

    numerator: int = 0
    denominator: Literal["HUNDRED", "TEN_THOUSAND"] = "HUNDRED"


class RandomSampling(Message):
    """A share of reports: the same for all proxies and rules, as `x-request-id` falls, or independent of it.
    attributeExpression: gives the numerator, 0 where it gives none."""

    attribute_expression: str = ""
    percent_sampled: SamplingPercent | None = None
    use_independent_randomness: bool = False


class RateLimitSampling(Message):
    """So many reports in each window, then one of `samplingRate`."""

    required: ClassVar[tuple[str, ...]] = ("samplingDuration",)

    sampling_duration: Duration | None = None
    max_unsampled_entries: int = 0
    sampling_rate: int = 0


class Sampling(Message):
    """Which of the reports that match are looked at; both hold where both are written."""

    random: RandomSampling | None = None
    rate_limit: RateLimitSampling | None = None


class Rule(Message):
    """What is done where an expression holds; an empty one always does. failOpen: whether requests go through
    when a check cannot be made; by default they do where no checks are asked for."""

    match: str = ""
    actions: Seq[RuleAction] = ()
    request_header_operations: Seq[HeaderOperation] = ()
    response_header_operations: Seq[HeaderOperation] = ()
    sampling: Sampling | None = None
    fail_open: bool | None = None


class Handler(Message):
    """An adapter with its parameters."""

    required: ClassVar[tuple[str, ...]] = ("compiledAdapter",)

    compiled_adapter: str = ""
    params: dict[str, Any] = Field(default_factory=dict)


class Instance(Message):
    """What of a request an adapter gets: a template, whose fields are expressions."""

    required: ClassVar[tuple[str, ...]] = ("compiledTemplate",)

    compiled_template: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    attribute_bindings: dict[str, str] = Field(default_factory=dict)


class AttributeInfo(Message):
    """The type of an attribute."""

    required: ClassVar[tuple[str, ...]] = ("valueType",)

    description: str = ""
    value_type: ValueTypeName = "STRING"


class AttributeManifest(Message):
    """Attributes beyond the vocabulary: tags of access logs, by their names."""

    required: ClassVar[tuple[str, ...]] = ("attributes",)

    revision: str = ""
    name: str = ""
    attributes: dict[str, AttributeInfo] = Field(default_factory=dict)


ASKED_SERVICE, ASKED_VERSION = "artemon-service", "artemon-version"
"""Metadata of a proxy's questions about requests: canonical service and revision of its workload."""
CHECKS = frozenset({"checknothing", "listentry", "authorization"})
QUOTAS = frozenset({"quota"})
HEADERS = frozenset({"headers"})
"""Templates whose instances are made for requests that are under way; and what stands for
changes of headers."""


def meanings(name: str, namespace: str, kind: str) -> Iterator[str]:
    """The objects, `<namespace>/<name>`, that a name in a rule may mean, as Mixer reads names: `name`,
    `name.kind`, `name.kind.namespace`; and `name.namespace`, `namespace/name`."""
    if "/" in name:
        yield name
        return
    yield f"{namespace}/{name}"
    head, dot, tail = name.rpartition(".")
    if dot:
        yield f"{namespace}/{head}" if tail == kind else f"{tail}/{head.removesuffix(f'.{kind}')}"


def asked_of(rule: Rule, namespace: str, templates: Mapping[str, str]) -> frozenset[str]:
    """The templates of checks and quotas among what a rule sends, and whether it changes headers: that for
    which requests wait. templates: of every instance, `<namespace>/<name>`."""
    changes = rule.request_header_operations or rule.response_header_operations
    found = set(HEADERS if changes else ())
    for action in rule.actions:
        for name in action.instances:
            known = (one for one in meanings(name, namespace, "instance") if one in templates)
            found.add(templates.get(next(known, ""), ""))
    return frozenset(found & (CHECKS | QUOTAS | HEADERS))


def fails_open(rule: Rule, asked: frozenset[str]) -> bool:
    """Whether requests go on when nobody can be asked."""
    return rule.fail_open if rule.fail_open is not None else not asked & CHECKS
