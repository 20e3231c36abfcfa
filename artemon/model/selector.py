"""The selectors of Istio's kinds: networking kinds say `labels`, all others `matchLabels`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from artemon.model.message import Message


def matches(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether `labels` carry every wanted pair; an empty selector matches all."""
    return all(labels.get(key) == value for key, value in wanted.items())


class LabelsSelector(Message):
    """`workloadSelector` of ServiceEntry, Sidecar and EnvoyFilter."""

    labels: dict[str, str] = Field(default_factory=dict)


class MatchLabelsSelector(Message):
    """`selector` of the security, telemetry and extension kinds; `workloadSelector` of DestinationRule."""

    match_labels: dict[str, str] = Field(default_factory=dict)


class PolicyTargetReference(Message):
    """The object a policy is attached to (`targetRef`, `targetRefs`)."""

    required: ClassVar[tuple[str, ...]] = ("kind", "name")

    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
