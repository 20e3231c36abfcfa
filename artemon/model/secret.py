"""Secrets of gateways: certificates with keys, roots of clients, revocations (Kubernetes' `v1/Secret`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from artemon.errors import Problem, Refused

TLS_TYPE = "kubernetes.io/tls"
OPAQUE_TYPE = "Opaque"
TYPES = {TLS_TYPE: TLS_TYPE, OPAQUE_TYPE: OPAQUE_TYPE, "": OPAQUE_TYPE, "generic": OPAQUE_TYPE}
"""Types that are kept, by what users write."""
KUBERNETES, GATEWAY = "kubernetes://", "kubernetes-gateway://"
"""How a Secret may be named: of the proxy's own namespace, or as `<namespace>/<name>`."""
ACCOUNTS = "artemon.io/service-accounts"
"""Annotation: the service accounts, with commas, whose gateways get it; absent: any of its namespace."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "certificate": ("tls.crt", "cert"),
    "key": ("tls.key", "key"),
    "roots": ("ca.crt", "cacert"),
    "revoked": ("ca.crl", "crl"),
}
"""What there may be -> the keys of `data` under which it is written, Kubernetes' first."""


def written(data: Mapping[str, bytes], part: str) -> str:
    """The key under which a part is in `data`; where it would be, when it is not."""
    return next((name for name in PARTS[part] if data.get(name)), PARTS[part][0])


@dataclass(frozen=True, slots=True)
class Credential:
    """The parts of a Secret, PEM; empty is absent. Nothing of them is ever printed."""

    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    roots: bytes = field(default=b"", repr=False)
    revoked: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, data: Mapping[str, bytes]) -> Credential:
        """From the data of a Secret."""
        return cls(**{part: data.get(written(data, part), b"") for part in PARTS})


@dataclass(frozen=True, slots=True)
class Secret:
    """A Secret in clear. accounts: who alone may have it; empty: every gateway of its namespace."""

    namespace: str
    name: str
    credential: Credential
    accounts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A Secret as it lies in the registry. sealed: what only holders of the key can open."""

    namespace: str
    name: str
    generation: int
    annotations: Mapping[str, str]
    sealed: Mapping[str, Any]

    def secret(self, data: Mapping[str, bytes]) -> Secret:
        """The same in clear."""
        listed = (one.strip() for one in self.annotations.get(ACCOUNTS, "").split(","))
        return Secret(self.namespace, self.name, Credential.of(data), frozenset(filter(None, listed)))


Unseal = Callable[[SealedSecret], Mapping[str, bytes]]
"""The data of a sealed Secret. Raises ArtemonError."""


def read_sealed(fields: Any) -> SealedSecret:
    """The Secret of a registry value. Raises Refused."""
    try:
        meta = fields["metadata"]
        return SealedSecret(
            namespace=str(meta["namespace"]),
            name=str(meta["name"]),
            generation=int(meta["generation"]),
            annotations={str(key): str(value) for key, value in (meta.get("annotations") or {}).items()},
            sealed=dict(fields["sealed"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused([Problem("", "is no Secret as galleyd writes them")]) from error
