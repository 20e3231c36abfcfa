"""How etcd is reached: settings, addresses, and what transport an address asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from pydantic import BaseModel, ConfigDict, Field

from artemon.errors import StoreError
from artemon.store import address
from artemon.store.address import Endpoints

PORT = 2379


class EtcdSettings(BaseModel):
    """How the registry in etcd works."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca: Path | None = Field(None, description="PEM file of the authority that etcd's certificates come from.")
    cert: Path | None = Field(None, description="PEM file of the client certificate.")
    key: Path | None = Field(None, description="PEM file of its key.")
    user: str = Field("", description="Name of the user, where etcd has users.")
    password_file: Path | None = Field(None, description="File with the user's password.")
    insecure: bool = Field(False, description="Allow plaintext to other machines.")
    timeout: float = Field(5.0, gt=0, description="Seconds that a call may take.")
    keepalive: float = Field(10.0, ge=5, description="Seconds between pings of a connection in use.")
    bookmark: float = Field(10.0, gt=0, description="Seconds without change until a watch proves its life.")
    stale_after: float = Field(20.0, gt=0, description="Seconds without proof of life until a watch says so.")
    compare: float = Field(
        12.0, gt=0, description="Seconds between two comparisons of what a watch told with what etcd holds."
    )
    page: int = Field(500, ge=1, description="Keys per request when listing.")


@dataclass(frozen=True, slots=True)
class Access:
    """What opens etcd's door, read from its files. credentials: grpc channel credentials, None: plaintext."""

    credentials: Any
    user: str
    password: str


def endpoints(url: str, settings: EtcdSettings) -> Endpoints:
    """Where `url` points; see `artemon.store.address`. Raises StoreError."""
    secured = settings.ca is not None or settings.cert is not None
    return address.endpoints(url, port=PORT, secured=secured, insecure=settings.insecure)


def access(where: Endpoints, settings: EtcdSettings) -> Access:
    """Read the files. Raises StoreError."""
    if (settings.cert is None) != (settings.key is None):
        raise StoreError("etcd: cert and key must be given together")
    if bool(settings.user) != (settings.password_file is not None):
        raise StoreError("etcd: user and password_file must be given together")
    password = address.read(settings.password_file, "etcd") or b""
    credentials = None
    if where.tls:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=address.read(settings.ca, "etcd"),
            private_key=address.read(settings.key, "etcd"),
            certificate_chain=address.read(settings.cert, "etcd"),
        )
    return Access(credentials, settings.user, password.decode().rstrip("\r\n"))
