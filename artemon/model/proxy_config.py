"""ProxyConfig: the fields of Istio's v1 schema."""

from __future__ import annotations

from pydantic import Field

from artemon.model.message import Int32, Message
from artemon.model.selector import MatchLabelsSelector


class ProxyImage(Message):
    """`ProxyImage` of Istio's ProxyConfig."""

    image_type: str = ""


class ProxyConfig(Message):
    """The spec of a ProxyConfig."""

    selector: MatchLabelsSelector | None = None
    concurrency: Int32 | None = None
    environment_variables: dict[str, str] = Field(default_factory=dict)
    image: ProxyImage | None = None
