"""Rules of ProxyConfig (Istio `ValidateProxyConfig`)."""

from __future__ import annotations

from artemon.errors import Problem
from artemon.model.proxy_config import ProxyConfig, is_variable
from artemon.model.resource import Resource
from artemon.validate.amounts import not_negative
from artemon.validate.context import Context
from artemon.validate.findings import Problems
from artemon.validate.scope import match_selector


def proxy_config(resource: Resource[ProxyConfig], context: Context) -> Problems:
    """What is wrong with one ProxyConfig."""
    yield from match_selector(resource.spec.selector)
    yield from not_negative(resource.spec.concurrency or 0, "spec.concurrency")
    for name in resource.spec.environment_variables:
        if not is_variable(name):
            why = "is not given to proxies: letters, digits and _, and none of the loader's or the agent's"
            yield Problem(f'spec.environmentVariables["{name}"]', why, "warning")
