"""What is done with reports and requests: rule, handler, instance, attributemanifest (`config.istio.io`)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

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


class Rule(Message):
    """What is done where an expression holds; an empty one always does. failOpen: whether requests go through
    when a check cannot be made; by default they do where quotas alone are asked for."""

    required: ClassVar[tuple[str, ...]] = ("actions",)

    match: str = ""
    actions: Seq[RuleAction] = ()
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
