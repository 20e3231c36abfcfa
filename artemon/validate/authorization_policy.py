"""Rules of AuthorizationPolicy (Istio `ValidateAuthorizationPolicy`)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from artemon.model.authorization_policy import AuthorizationPolicy, Operation, Rule, Source
from artemon.model.message import Message, wire_name
from artemon.model.resource import Resource
from artemon.validate.addresses import ip_or_block
from artemon.validate.amounts import is_port_text
from artemon.validate.conditions import condition
from artemon.validate.context import Context
from artemon.validate.findings import Problems, Reason, error, warning, wrong
from artemon.validate.scope import targets
from artemon.validate.vain_values import in_vain

MAX_SERVICE_ACCOUNTS = 16
_LONGEST_SERVICE_ACCOUNT = 320
_NOT_IN_CUSTOM = ("namespaces", "service_accounts", "trust_domains", "principals", "request_principals")
_NOT_IN_CUSTOM_WHEN = {
    "source.namespace",
    "source.serviceAccount",
    "source.trustDomain",
    "source.principal",
}
_TCP_SOURCE = {
    "principals",
    "namespaces",
    "service_accounts",
    "trust_domains",
    "ip_blocks",
    "remote_ip_blocks",
}
_GLOB = re.compile(r"[a-zA-Z0-9\-._~%!$&'()+,;:@=]+")


def authorization_policy(resource: Resource[AuthorizationPolicy], context: Context) -> Problems:
    """What is wrong with one policy."""
    spec, namespace = resource.spec, resource.meta.namespace
    yield from targets(spec, namespace=namespace, root_namespace=context.root_namespace)
    if spec.action in {"CUSTOM", "DENY"} and not spec.rules:
        yield error(
            "spec.rules", f"{spec.action} without rules never acts; write [{{}}] to act on every request"
        )
    if spec.action == "CUSTOM" and not (spec.provider and spec.provider.name):
        yield error("spec.provider.name", "is required for CUSTOM")
    if spec.action != "CUSTOM" and spec.provider is not None:
        yield error("spec.provider", f"is for CUSTOM only, not for {spec.action}")
    for index, rule in enumerate(spec.rules):
        path = f"spec.rules[{index}]"
        yield from _rule(rule, path)
        yield from in_vain(rule, path)
        if spec.action == "CUSTOM":
            yield from _custom(rule, path)
        if spec.action == "DENY" and _only_http(rule):
            yield warning(path, "looks at HTTP only, so it denies all traffic of TCP ports; name the ports")


def _rule(rule: Rule, path: str) -> Problems:
    for name in ("from_", "to"):
        if name in rule.model_fields_set and not getattr(rule, name):
            yield error(f"{path}.{name.rstrip('_')}", "must not be empty; leave it out to match all")
    for index, origin in enumerate(rule.from_):
        where = f"{path}.from[{index}].source"
        if origin.source is None:
            yield error(where, "is required")
        else:
            yield from _source(origin.source, where)
    for index, target in enumerate(rule.to):
        where = f"{path}.to[{index}].operation"
        if target.operation is None:
            yield error(where, "is required")
        else:
            yield from _operation(target.operation, where)
    for index, when in enumerate(rule.when):
        yield from condition(when, f"{path}.when[{index}]")


def _source(source: Source, path: str) -> Problems:
    yield from _not_empty(source, path)
    for name in ("ip_blocks", "not_ip_blocks", "remote_ip_blocks", "not_remote_ip_blocks"):
        for index, block in enumerate(getattr(source, name)):
            yield from wrong(f"{path}.{wire_name(name)}[{index}]", ip_or_block(block) if block else None)
    if source.service_accounts or source.not_service_accounts:
        for name in ("principals", "not_principals", "namespaces", "not_namespaces"):
            if getattr(source, name):
                yield error(f"{path}.{wire_name(name)}", "must not be set together with serviceAccounts")
    for name in ("service_accounts", "not_service_accounts"):
        accounts: Sequence[str] = getattr(source, name)
        where = f"{path}.{wire_name(name)}"
        if len(accounts) > MAX_SERVICE_ACCOUNTS:
            yield error(where, f"must have at most {MAX_SERVICE_ACCOUNTS} entries")
        for index, account in enumerate(accounts):
            yield from wrong(f"{where}[{index}]", _service_account(account))


def _service_account(account: str) -> Reason:
    if len(account) > _LONGEST_SERVICE_ACCOUNT:
        return f"must have at most {_LONGEST_SERVICE_ACCOUNT} characters"
    if "*" in account:
        return f'"{account}" must not have wildcards'
    namespace, slash, name = account.partition("/")
    whole = "/" not in name and (bool(namespace and name) if slash else True)
    return None if whole else f'"{account}" must be [namespace/]name'


def _operation(operation: Operation, path: str) -> Problems:
    yield from _not_empty(operation, path)
    for name in ("ports", "not_ports"):
        for index, number in enumerate(getattr(operation, name)):
            if number and not is_port_text(number):
                yield error(f"{path}.{wire_name(name)}[{index}]", f'"{number}" is not a port (1 to 65535)')
    for name in ("paths", "not_paths"):
        for index, template in enumerate(getattr(operation, name)):
            yield from wrong(f"{path}.{wire_name(name)}[{index}]", _path_template(template))


def _not_empty(message: Message, path: str) -> Problems:
    """At least one list must be written, and none may hold an empty text."""
    lists: dict[str, Sequence[str]] = {name: getattr(message, name) for name in type(message).model_fields}
    if not any(lists.values()):
        yield error(path, "must not be empty")
    for name, values in lists.items():
        for index, value in enumerate(values):
            if not value:
                yield error(f"{path}.{wire_name(name)}[{index}]", "must not be empty")


def _path_template(path: str) -> Reason:
    """Why `path` is no template (`/a/{*}/b`, `{**}` last) and no plain path either."""
    template = "{*}" in path or "{**}" in path
    parts = path.strip("/").split("/")
    if "{**}" in parts[:-1]:
        later = set(parts[parts.index("{**}") + 1 :])
        if later & {"{*}", "{**}"}:
            return f'"{path}": {{**}} must be the last operator'
    for part in parts:
        if part in {"{*}", "{**}"}:
            continue
        if "{" in part or "}" in part:
            return f'"{path}": braces are for {{*}} and {{**}} only'
        if template and not _GLOB.fullmatch(part):
            return f'"{path}": "{part}" must be plain text beside {{*}} and {{**}}'
    return None


def _custom(rule: Rule, path: str) -> Problems:
    """What an external authorizer cannot be asked about: identities that TLS or a JWT tell."""
    for index, origin in enumerate(rule.from_):
        for name in _NOT_IN_CUSTOM if origin.source else ():
            for field in (name, f"not_{name}"):
                if getattr(origin.source, field):
                    yield error(
                        f"{path}.from[{index}].source.{wire_name(field)}", "is not supported with CUSTOM"
                    )
    for index, when in enumerate(rule.when):
        if when.key in _NOT_IN_CUSTOM_WHEN or when.key.startswith("request.auth."):
            yield error(f"{path}.when[{index}].key", f"{when.key} is not supported with CUSTOM")


def _only_http(rule: Rule) -> bool:
    sources = [origin.source for origin in rule.from_ if origin.source]
    operations = [target.operation for target in rule.to if target.operation]
    tcp_source = any(
        name.removeprefix("not_") in _TCP_SOURCE for source in sources for name in source.model_fields_set
    )
    tcp_operation = any(operation.ports or operation.not_ports for operation in operations)
    return bool((sources and not operations and not tcp_source) or (operations and not tcp_operation))
