"""What an AuthorizationPolicy cannot do where it is in force: requests on TCP ports, authorizers nobody has.

Istio's rules stand (ALLOW void, others wider); here they are told with the ports that they concern.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from artemon.model.authorization_policy import AuthorizationPolicy, Operation, Rule
from artemon.model.mesh_config import MeshConfig
from artemon.model.mesh_providers import ExtensionProvider
from artemon.model.message import wire_name
from artemon.model.resource import Resource
from artemon.model.selector import PolicyTargetReference, matches
from artemon.validate.exposure import TcpPort

HTTP_SOURCE = ("request_principals", "not_request_principals")
HTTP_OPERATION = ("hosts", "not_hosts", "methods", "not_methods", "paths", "not_paths")
_SHOWN = 8
_NO_TCP = "which TCP does not show"

Found = Iterator[tuple[str, str]]


def unmet(policy: Resource[AuthorizationPolicy], ports: Iterable[TcpPort], mesh: MeshConfig | None) -> Found:
    """Path and text of each thing that the policy says in vain, or that means more than it says.

    ports: those of workloads that speak TCP. mesh: None where it is not known.
    """
    spec = policy.spec
    provider = _provider(spec.provider.name, mesh) if mesh and spec.provider else None
    if provider is not None and not (provider.envoy_ext_authz_grpc or provider.envoy_ext_authz_http):
        yield "spec.provider.name", f"{_missing(provider)}; what the rules match is refused"
        return
    root = (mesh or MeshConfig()).root_namespace
    found = [one for one in ports if _is_for(policy, one, root)]
    asks_http = provider is not None and provider.envoy_ext_authz_http is not None
    for index, rule in enumerate(spec.rules if found else ()):
        text = _refused_on_tcp(rule, found) if asks_http else _on_tcp(rule, spec.action, found)
        if text:
            yield f"spec.rules[{index}]", text


def _provider(name: str, mesh: MeshConfig) -> ExtensionProvider:
    """The provider of that name, an empty one where there is none."""
    return next((one for one in mesh.extension_providers if one.name == name), ExtensionProvider(name=name))


def _missing(provider: ExtensionProvider) -> str:
    if provider.model_fields_set == {"name"}:
        return f'MeshConfig has no extensionProvider "{provider.name}"'
    return f'extensionProvider "{provider.name}" is no authorizer (envoyExtAuthzHttp, envoyExtAuthzGrpc)'


def _refused_on_tcp(rule: Rule, ports: Sequence[TcpPort]) -> str:
    every = _shown(one for one in ports if _admits(rule, one.port, lambda _: True))
    return f"the provider speaks HTTP: whatever the rule matches is refused on {every}" if every else ""


def _on_tcp(rule: Rule, action: str, ports: Sequence[TcpPort]) -> str:
    fields = _http_fields(rule)
    if not fields:
        return ""
    looks = f"looks at requests ({', '.join(fields)}), {_NO_TCP}"
    if action == "ALLOW":
        every = _shown(one for one in ports if _admits(rule, one.port, lambda _: True))
        return f"{looks}: the rule allows nothing on {every}" if every else ""
    whole = bool(_http_callers(rule))
    wider = _shown(one for one in ports if _admits(rule, one.port, lambda op: whole or bool(_asked(op))))
    words = {"DENY": "denies", "CUSTOM": "asks about", "AUDIT": "logs"}
    rest = "every connection that the rest of it matches"
    return f"{looks}: the rule {words[action]} {rest} on {wider}" if wider else ""


def _http_fields(rule: Rule) -> list[str]:
    asked = [name for to in rule.to if to.operation for name in _asked(to.operation)]
    return list(dict.fromkeys([*_http_callers(rule), *asked]))


def _http_callers(rule: Rule) -> list[str]:
    sources = [origin.source for origin in rule.from_ if origin.source]
    names = [wire_name(name) for one in sources for name in HTTP_SOURCE if getattr(one, name)]
    return [*names, *(when.key for when in rule.when if when.key.startswith("request."))]


def _asked(operation: Operation) -> list[str]:
    return [wire_name(name) for name in HTTP_OPERATION if getattr(operation, name)]


def _admits(rule: Rule, port: int, which: Callable[[Operation], bool]) -> bool:
    """Whether one of `which` operations, and every condition, leaves a port in."""
    conditions = [when for when in rule.when if when.key == "destination.port"]
    if not all(_in(port, when.values, when.not_values) for when in conditions):
        return False
    operations = [to.operation for to in rule.to if to.operation] or [Operation()]
    return any(which(one) and _in(port, one.ports, one.not_ports) for one in operations)


def _in(port: int, wanted: Sequence[str], unwanted: Sequence[str]) -> bool:
    return (not wanted or str(port) in wanted) and str(port) not in unwanted


def _is_for(policy: Resource[AuthorizationPolicy], port: TcpPort, root_namespace: str) -> bool:
    namespace, spec = policy.meta.namespace, policy.spec
    if namespace not in (port.namespace, root_namespace):
        return False
    targets = [*spec.target_refs, *([spec.target_ref] if spec.target_ref else ())]
    if targets:
        return namespace == port.namespace and any(_is_target(one, port) for one in targets)
    return matches(spec.selector.match_labels if spec.selector else {}, port.labels)


def _is_target(target: PolicyTargetReference, port: TcpPort) -> bool:
    if target.kind == "Service":
        return port.service.partition(".")[0] == target.name
    return target.kind == "ServiceEntry" and port.entry == target.name


def _shown(ports: Iterator[TcpPort]) -> str:
    found = sorted({(one.service, one.port) for one in ports})
    listed = ", ".join(f"port {number} of {service}" for service, number in found[:_SHOWN])
    return f"{listed} and {len(found) - _SHOWN} more" if len(found) > _SHOWN else listed
