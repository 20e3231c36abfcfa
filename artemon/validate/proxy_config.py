"""Rules of ProxyConfig (Istio `ValidateProxyConfig`)."""

from __future__ import annotations

from artemon.model.proxy_config import ProxyConfig
from artemon.model.resource import Resource
from artemon.validate.amounts import not_negative
from artemon.validate.context import Context
from artemon.validate.findings import Problems
from artemon.validate.scope import match_selector


def proxy_config(resource: Resource[ProxyConfig], context: Context) -> Problems:
    """What is wrong with one ProxyConfig."""
    yield from match_selector(resource.spec.selector)
    yield from not_negative(resource.spec.concurrency or 0, "spec.concurrency")
