"""AuthorizationPolicy: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from artemon.model.message import Message, Seq
from artemon.model.selector import MatchLabelsSelector, PolicyTargetReference


class AuthorizationPolicyExtensionProvider(Message):
    """Which external authorizer of `MeshConfig.extensionProviders` decides (action CUSTOM)."""

    name: str = ""


class Condition(Message):
    """One more thing a request must show: `key` is an attribute such as `request.headers[x-user]`."""

    required: ClassVar[tuple[str, ...]] = ("key",)

    key: str = ""
    values: Seq[str] = ()
    not_values: Seq[str] = ()


class Source(Message):
    """Who calls. All lists that are written must match; within a list any entry does."""

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
    """One alternative for who calls."""

    source: Source | None = None


class Operation(Message):
    """What is asked for. All lists that are written must match; within a list any entry does."""

    hosts: Seq[str] = ()
    not_hosts: Seq[str] = ()
    ports: Seq[str] = ()
    not_ports: Seq[str] = ()
    methods: Seq[str] = ()
    not_methods: Seq[str] = ()
    paths: Seq[str] = ()
    not_paths: Seq[str] = ()


class RuleTo(Message):
    """One alternative for what is asked for."""

    operation: Operation | None = None


class Rule(Message):
    """Matches when one `from`, one `to` and every `when` do; an empty rule matches every request."""

    from_: Seq[RuleFrom] = Field(default=(), alias="from")
    to: Seq[RuleTo] = ()
    when: Seq[Condition] = ()


class AuthorizationPolicy(Message):
    """Who may ask what of a workload. No rules with ALLOW means nobody may; `rules: [{}]` everybody."""

    selector: MatchLabelsSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: Seq[PolicyTargetReference] = ()
    rules: Seq[Rule] = ()
    action: Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"] = "ALLOW"
    provider: AuthorizationPolicyExtensionProvider | None = None
