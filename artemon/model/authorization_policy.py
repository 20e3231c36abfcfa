"""AuthorizationPolicy: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from artemon.model.message import Message, Seq
from artemon.model.selector import MatchLabelsSelector, PolicyTargetReference


class AuthorizationPolicyExtensionProvider(Message):
    """`AuthorizationPolicy.ExtensionProvider` of Istio's AuthorizationPolicy."""

    name: str = ""


class Condition(Message):
    """`Condition` of Istio's AuthorizationPolicy."""

    key: str = ""
    values: Seq[str] = ()
    not_values: Seq[str] = ()


class Source(Message):
    """`Source` of Istio's AuthorizationPolicy."""

    principals: Seq[str] = ()
    not_principals: Seq[str] = ()
    request_principals: Seq[str] = ()
    not_request_principals: Seq[str] = ()
    namespaces: Seq[str] = ()
    not_namespaces: Seq[str] = ()
    service_accounts: Seq[str] = ()
    not_service_accounts: Seq[str] = ()
    ip_blocks: Seq[str] = ()
    not_ip_blocks: Seq[str] = ()
    remote_ip_blocks: Seq[str] = ()
    not_remote_ip_blocks: Seq[str] = ()
    trust_domains: Seq[str] = ()
    not_trust_domains: Seq[str] = ()


class RuleFrom(Message):
    """`Rule.From` of Istio's AuthorizationPolicy."""

    source: Source | None = None


class Operation(Message):
    """`Operation` of Istio's AuthorizationPolicy."""

    hosts: Seq[str] = ()
    not_hosts: Seq[str] = ()
    ports: Seq[str] = ()
    not_ports: Seq[str] = ()
    methods: Seq[str] = ()
    not_methods: Seq[str] = ()
    paths: Seq[str] = ()
    not_paths: Seq[str] = ()


class RuleTo(Message):
    """`Rule.To` of Istio's AuthorizationPolicy."""

    operation: Operation | None = None


class Rule(Message):
    """`Rule` of Istio's AuthorizationPolicy."""

    from_: Seq[RuleFrom] = Field(default=(), alias="from")
    to: Seq[RuleTo] = ()
    when: Seq[Condition] = ()


class AuthorizationPolicy(Message):
    """The spec of a AuthorizationPolicy."""

    selector: MatchLabelsSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: Seq[PolicyTargetReference] = ()
    rules: Seq[Rule] = ()
    action: Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"] = "ALLOW"
    provider: AuthorizationPolicyExtensionProvider | None = None
