"""ProxyConfig: the fields of Istio's v1 schema."""

from __future__ import annotations

import re

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


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LOADER = ("LD_", "GLIBC_", "MALLOC_")
"""How variables begin that decide which code a process loads."""
_AGENT = ("ARTEMON_", "NOTIFY_", "WATCHDOG_", "LISTEN_")


def is_variable(name: str) -> bool:
    """Whether a proxy's process may be given an environment variable of this name. Those that decide which
    code it loads are the machine's; those of the agent are not for Envoy."""
    return _NAME.fullmatch(name) is not None and not name.startswith(LOADER + _AGENT)
