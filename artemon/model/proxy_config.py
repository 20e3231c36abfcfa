"""ProxyConfig: the fields of Istio's v1 schema."""

from __future__ import annotations

from pydantic import Field

from artemon.model.message import Int32, Message
from artemon.model.selector import MatchLabelsSelector


class ProxyImage(Message):
    """Which build of the proxy image."""

    image_type: str = ""


class ProxyConfig(Message):
    """Settings of proxies that take effect when the proxy starts."""

    selector: MatchLabelsSelector | None = None
    concurrency: Int32 | None = None
    environment_variables: dict[str, str] = Field(default_factory=dict)
    image: ProxyImage | None = None
