"""Envoy's RBAC: which of its policies a request or connection matches (`envoy.config.rbac.v3.RBAC`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Policy, Principal
from envoy.extensions.path.match.uri_template.v3.uri_template_match_pb2 import UriTemplateMatchConfig

from artemon.simulate.request import Request
from artemon.simulate.routes import header_fits
from artemon.simulate.templates import fits_template
from artemon.simulate.values import fits_metadata, fits_text


@dataclass(frozen=True, slots=True)
class Subject:
    """What RBAC is asked about. request: None for a connection. principal: the caller's SPIFFE ID, "" where
    TLS tells none. direct_address, address: of the connection and of the client behind it, None unknown."""

    request: Request | None
    principal: str
    direct_address: str | None
    address: str | None
    destination: str
    port: int
    server_name: str
    metadata: Mapping[str, Any]


def matching(rules: RBAC, subject: Subject) -> str | None:
    """The name of the policy that matches, of several the first by name, as Envoy goes through them."""
    return next((name for name in sorted(rules.policies) if policy_fits(rules.policies[name], subject)), None)


def policy_fits(policy: Policy, subject: Subject) -> bool:
    """Whether one permission and one principal hold."""
    return any(_permitted(one, subject) for one in policy.permissions) and any(
        _is(one, subject) for one in policy.principals
    )


def _permitted(rule: Permission, subject: Subject) -> bool:
    kind = rule.WhichOneof("rule")
    return kind is not None and _PERMISSIONS[kind](rule, subject)


def _is(one: Principal, subject: Subject) -> bool:
    kind = one.WhichOneof("identifier")
    return kind is not None and _PRINCIPALS[kind](one, subject)


def _within(block: CidrRange, address: str | None) -> bool:
    if address is None:
        return False
    network = ip_network(f"{block.address_prefix}/{block.prefix_len.value}", strict=False)
    return ip_address(address) in network


def _header(rule: Permission | Principal, subject: Subject) -> bool:
    return subject.request is not None and header_fits(rule.header, subject.request.headers)


def _path(rule: Permission | Principal, subject: Subject) -> bool:
    return subject.request is not None and fits_text(rule.url_path.path, subject.request.path)


def _template(rule: Permission, subject: Subject) -> bool:
    config = UriTemplateMatchConfig()
    known = rule.uri_template.typed_config.Unpack(config)
    return known and subject.request is not None and fits_template(config.path_template, subject.request.path)


def _metadata(rule: Permission | Principal, subject: Subject) -> bool:
    return fits_metadata(rule.metadata, subject.metadata)


def _range(rule: Permission, subject: Subject) -> bool:
    return bool(rule.destination_port_range.start <= subject.port < rule.destination_port_range.end)


_PERMISSIONS: Mapping[str, Callable[[Permission, Subject], bool]] = {
    "any": lambda rule, _: rule.any,
    "and_rules": lambda rule, subject: all(_permitted(one, subject) for one in rule.and_rules.rules),
    "or_rules": lambda rule, subject: any(_permitted(one, subject) for one in rule.or_rules.rules),
    "not_rule": lambda rule, subject: not _permitted(rule.not_rule, subject),
    "header": _header,
    "url_path": _path,
    "uri_template": _template,
    "destination_ip": lambda rule, subject: _within(rule.destination_ip, subject.destination),
    "destination_port": lambda rule, subject: rule.destination_port == subject.port,
    "destination_port_range": _range,
    "requested_server_name": lambda rule, subject: fits_text(rule.requested_server_name, subject.server_name),
    "metadata": _metadata,
    "matcher": lambda _rule, _subject: False,
    "sourced_metadata": lambda _rule, _subject: False,
}


def _authenticated(one: Principal, subject: Subject) -> bool:
    if not one.authenticated.HasField("principal_name"):
        return bool(subject.principal)
    return fits_text(one.authenticated.principal_name, subject.principal)


_PRINCIPALS: Mapping[str, Callable[[Principal, Subject], bool]] = {
    "any": lambda one, _: one.any,
    "and_ids": lambda one, subject: all(_is(each, subject) for each in one.and_ids.ids),
    "or_ids": lambda one, subject: any(_is(each, subject) for each in one.or_ids.ids),
    "not_id": lambda one, subject: not _is(one.not_id, subject),
    "authenticated": _authenticated,
    "source_ip": lambda one, subject: _within(one.source_ip, subject.address),
    "direct_remote_ip": lambda one, subject: _within(one.direct_remote_ip, subject.direct_address),
    "remote_ip": lambda one, subject: _within(one.remote_ip, subject.address),
    "header": _header,
    "url_path": _path,
    "metadata": _metadata,
    "filter_state": lambda _one, _subject: False,
    "sourced_metadata": lambda _one, _subject: False,
    "custom": lambda _one, _subject: False,
}
