"""What there should be in a cluster, and what of it is missing. No I/O."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from artemon.kube.cluster import among
from artemon.pki.certificate import load_certificates, validity_of
from artemon.pki.errors import CertificateRefused
from citadeld.clusters.settings import WriteOptions

Object = dict[str, Any]
Place = tuple[str, str]
"""Namespace and name."""

ROOTS = "istio-ca-root-cert"
"""ConfigMap in every namespace; injected pods mount it."""
ROOTS_KEY = "root-cert.pem"
SECRET_TYPE = "istio.io/key-and-cert"  # noqa: S105 - no secret
CHAIN, KEY, ROOT = "cert-chain.pem", "key.pem", "root-cert.pem"
ASKS = "ca.istio.io/override"
"""Label of a namespace (`true`): its service accounts have Secrets, as Citadel made them."""
MANAGED = {"app.kubernetes.io/managed-by": "artemon-citadeld"}
ACCOUNT = "istio.io/service-account.name"
PREFIX = "istio."


@dataclass(slots=True)
class Seen:
    """A cluster as it was last seen."""

    namespaces: dict[Place, Object] = field(default_factory=dict)
    accounts: dict[Place, Object] = field(default_factory=dict)
    roots: dict[Place, Object] = field(default_factory=dict)
    secrets: dict[Place, Object] = field(default_factory=dict)


def told(seen: Seen, options: WriteOptions) -> Iterator[str]:
    """Namespaces that shall know the roots."""
    for (_, name), one in sorted(seen.namespaces.items()):
        if among(name, options.namespaces) and not _ends(one):
            yield name


def holders(seen: Seen, options: WriteOptions) -> Iterator[Place]:
    """Service accounts that shall have a Secret."""
    asking = {
        name
        for (_, name), one in seen.namespaces.items()
        if options.secrets
        and among(name, options.secrets)
        and not _ends(one)
        and (one["metadata"].get("labels") or {}).get(ASKS) == "true"
    }
    yield from sorted(place for place in seen.accounts if place[0] in asking)


def left_over(seen: Seen, wanted: set[Place]) -> Iterator[Place]:
    """Secrets of ours, by their place, that nobody shall have any more."""
    for (namespace, name), one in sorted(seen.secrets.items()):
        ours = (one["metadata"].get("labels") or {}).items() >= MANAGED.items()
        if ours and (namespace, name.removeprefix(PREFIX)) not in wanted:
            yield namespace, name


def says(config_map: Object | None, roots: str) -> bool:
    """Whether a ConfigMap says whom to trust."""
    return config_map is not None and (config_map.get("data") or {}).get(ROOTS_KEY) == roots


def roots_map(namespace: str, roots: str) -> Object:
    """The ConfigMap of a namespace."""
    meta = {"name": ROOTS, "namespace": namespace, "labels": dict(MANAGED)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {ROOTS_KEY: roots}}


def secret(place: Place, *, chain: bytes, key: bytes, roots: bytes) -> Object:
    """The Secret of a service account."""
    namespace, account = place
    meta = {
        "name": PREFIX + account,
        "namespace": namespace,
        "labels": dict(MANAGED),
        "annotations": {ACCOUNT: account},
    }
    data = {CHAIN: chain, KEY: key, ROOT: roots}
    coded = {name: base64.b64encode(value).decode() for name, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": SECRET_TYPE, "data": coded}


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate in a Secret. serial: hexadecimal."""

    serial: str
    not_before: datetime
    not_after: datetime

    def is_fresh(self, now: datetime) -> bool:
        """Whether less than half of its life is over."""
        return now < self.not_before + (self.not_after - self.not_before) / 2


def held(found: Mapping[str, Any] | None, roots: bytes) -> Held | None:
    """The certificate of a Secret, if the Secret is whole and names these roots."""
    data = found.get("data") if found is not None else None
    if not isinstance(data, dict) or not all(data.get(name) for name in (CHAIN, KEY, ROOT)):
        return None
    try:
        if base64.b64decode(data[ROOT], validate=True) != roots:
            return None
        leaf = load_certificates(base64.b64decode(data[CHAIN], validate=True))[0]
    except (CertificateRefused, binascii.Error, ValueError):
        return None
    validity = validity_of(leaf)
    return Held(f"{leaf.serial_number:x}", validity.not_before, validity.not_after)


def _ends(one: Object) -> bool:
    return bool(one["metadata"].get("deletionTimestamp"))
