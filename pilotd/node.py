"""The node of a client's first request: the proxy that it is, if its certificate says so too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from artemon.errors import ArtemonError
from artemon.model.proxy import GRPC, Proxy, ProxyType, WorkloadPort
from artemon.model.service import Health, Protocol
from artemon.model.workload import Workload
from artemon.pki.spiffe import SpiffeId
from artemon.xds.request import Node

MAX_TEXT = 253
"""Characters of a node's name, of its service, and of other names in metadata."""
MAX_PORTS = 100
MAX_ADDRESSES = 16
_OPTIONAL = ("ARTEMON_SERVICE", "AUTO_REGISTER_GROUP", "ARTEMON_REGISTRY")
_KEY_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class WrongNode(ArtemonError):
    """The node cannot be understood."""


class WrongIdentity(ArtemonError):
    """The node claims to be another than its certificate says."""


def proxy_of(node: Node) -> Proxy:
    """The proxy that a node describes (docs/architecture.md, "Node metadata"). Raises WrongNode."""
    parts = node.id.split("~")
    if len(parts) != 4 or not all(parts):
        raise WrongNode("node.id must be <type>~<ip>~<name>.<namespace>~<namespace>.svc.<domain>")
    kind, address, full_name, domain = parts
    if kind not in set(ProxyType):
        raise WrongNode(f"node.id: type must be one of {', '.join(ProxyType)}")
    name, _, namespace = full_name.rpartition(".")
    known = {"name": name, "namespace": namespace, **{key: _text(node.metadata, key) for key in _OPTIONAL}}
    for what, text in known.items():
        _check_key(what, text, optional=what in _OPTIONAL)
    if domain.split(".")[0] != namespace:
        raise WrongNode("node.id: the domain must begin with the namespace")
    metadata = node.metadata
    addresses = _addresses(_text(metadata, "INSTANCE_IPS") or address)
    intercepts = _text(metadata, "INTERCEPTION_MODE") != "NONE"
    return Proxy(
        id=node.id,
        type=ProxyType(kind),
        name=name,
        namespace=namespace,
        service_account=_text(metadata, "SERVICE_ACCOUNT"),
        ip_addresses=addresses,
        labels={str(key): str(value) for key, value in _mapping(metadata, "LABELS").items()},
        metadata=dict(metadata),
        service=known["ARTEMON_SERVICE"],
        ports=_ports(_text(metadata, "ARTEMON_PORTS")),
        app_address=_text(metadata, "ARTEMON_APP_ADDRESS") or ("" if intercepts else "127.0.0.1"),
        intercepts=intercepts,
        http_proxy_port=_number(metadata, "HTTP_PROXY_PORT", least=0, most=65535, absent=0),
        gateway_bind=_bind(_text(metadata, "ARTEMON_GATEWAY_BIND")),
        locality=node.locality,
        network=_text(metadata, "NETWORK"),
        ipv6=_text(metadata, "ARTEMON_IPV6") == "true" or any(":" in one for one in addresses),
        outbound_port=_number(metadata, "ARTEMON_OUTBOUND_PORT", least=1, most=65535, absent=0),
        inbound_port=_number(metadata, "ARTEMON_INBOUND_PORT", least=1, most=65535, absent=0),
        weight=_number(metadata, "ARTEMON_WEIGHT", least=1, most=1_000_000, absent=0),
        group=known["AUTO_REGISTER_GROUP"],
        registry=known["ARTEMON_REGISTRY"],
    )


def check_identity(node: Node, proxy: Proxy, identity: SpiffeId, *, trust_domain: str) -> None:
    """Raises WrongIdentity unless namespace and service account are stated and are those of `identity`.

    An empty field is no wildcard.
    """
    claims = (
        ("trust domain", trust_domain, identity.trust_domain),
        ("namespace in node.id", proxy.namespace, identity.namespace),
        ("node.metadata.NAMESPACE", _text(node.metadata, "NAMESPACE"), identity.namespace),
        ("node.metadata.SERVICE_ACCOUNT", proxy.service_account, identity.service_account),
    )
    for what, claimed, certified in claims:
        if claimed != certified:
            raise WrongIdentity(f'{what} is "{claimed[:MAX_TEXT]}", but the certificate says "{certified}"')


def workload_of(proxy: Proxy) -> Workload | None:
    """The record that the proxy's stream keeps in the registry; None when it serves nothing and
    is no WorkloadEntry. Clients do not
    assume mutual TLS where gRPC serves without a proxy.

    Raises WrongNode.
    """
    if not (proxy.service or proxy.entry or proxy.registry):
        return None
    return Workload(
        node=proxy.id,
        namespace=proxy.namespace,
        service=proxy.service,
        address=proxy.ip_addresses[0],
        ports=proxy.ports,
        labels=proxy.labels,
        service_account=proxy.service_account,
        locality=proxy.locality,
        network=proxy.network,
        weight=proxy.weight or 1,
        health=_health(_text(proxy.metadata, "ARTEMON_HEALTH")),
        mtls=proxy.generator != GRPC,
        name=_text(proxy.metadata, "WORKLOAD_NAME")[:MAX_TEXT],
        cluster=_text(proxy.metadata, "CLUSTER_ID")[:MAX_TEXT],
        entry=proxy.entry,
        registry=proxy.registry,
        annotations=proxy.entry_annotations,
    )


def _health(text: str) -> Health:
    try:
        return Health(text) if text else Health.HEALTHY
    except ValueError as error:
        raise WrongNode(f"node.metadata.ARTEMON_HEALTH must be one of {', '.join(Health)}") from error


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise WrongNode(f"node.metadata.{key} must be text")
    return value


def _mapping(metadata: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = metadata.get(key) or {}
    if not isinstance(value, dict):
        raise WrongNode(f"node.metadata.{key} must be a mapping")
    return value


def _check_key(what: str, text: str, *, optional: bool) -> None:
    """`text` becomes part of a key of the registry."""
    if not text and optional:
        return
    if not text or len(text) > MAX_TEXT or not _KEY_CHARACTERS.issuperset(text) or text in {".", "..", "_"}:
        raise WrongNode(f"{what} must be 1 to {MAX_TEXT} letters, digits, '.', '_' or '-'")


def _number(metadata: Mapping[str, Any], key: str, *, least: int, most: int, absent: int) -> int:
    value = metadata.get(key)
    if value is None or value == "":
        return absent
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise WrongNode(f"node.metadata.{key} must be a number") from error
    if not least <= number <= most:
        raise WrongNode(f"node.metadata.{key} must be {least} to {most}")
    return number


def _addresses(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        shown = tuple(str(ip_address(part)) for part in found)
    except ValueError as error:
        raise WrongNode("node.id and INSTANCE_IPS must have IP addresses") from error
    if not 0 < len(shown) <= MAX_ADDRESSES:
        raise WrongNode(f"INSTANCE_IPS must have 1 to {MAX_ADDRESSES} addresses")
    return shown


def _bind(text: str) -> str:
    try:
        return str(ip_address(text)) if text else ""
    except ValueError as error:
        raise WrongNode("node.metadata.ARTEMON_GATEWAY_BIND must be an IP address") from error


def _ports(text: str) -> tuple[WorkloadPort, ...]:
    if not text:
        return ()
    try:
        listed = json.loads(text)
        if not isinstance(listed, list) or len(listed) > MAX_PORTS:
            raise ValueError(f"a list of at most {MAX_PORTS} ports is expected")
        return tuple(_port(item) for item in listed)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WrongNode(f"node.metadata.ARTEMON_PORTS: {str(error)[:200]}") from error


def _port(item: Mapping[str, Any]) -> WorkloadPort:
    number = _number(item, "number", least=1, most=65535, absent=0)
    listen = _number(item, "listenPort", least=1, most=65535, absent=number)
    if not number:
        raise ValueError("a port needs a number")
    return WorkloadPort(
        number=number,
        name=str(item["name"])[:63],
        protocol=Protocol.parse(str(item.get("protocol") or "")),
        listen_port=listen,
        app_port=_number(item, "appPort", least=1, most=65535, absent=listen),
    )
