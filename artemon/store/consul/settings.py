"""How Consul is reached: settings, addresses, and what opens its door."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from artemon.errors import StoreError
from artemon.store import address
from artemon.store.address import Endpoints
from artemon.tls import MESH_MINIMUM

PORT = 8500


class ConsulSettings(BaseModel):
    """How the registry in Consul's KV works."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca: Path | None = Field(
        None, description="PEM file of the authority that Consul's certificates come from."
    )
    cert: Path | None = Field(None, description="PEM file of the client certificate.")
    key: Path | None = Field(None, description="PEM file of its key.")
    server_name: str = Field("", description="Name in Consul's certificates, where it is not the address.")
    token_file: Path | None = Field(
        None, description="File with the ACL token; a new token in it is used without restart."
    )
    datacenter: str = Field("", description="Consul's datacenter, where it is not the agent's own.")
    insecure: bool = Field(False, description="Allow plaintext to other machines.")
    timeout: float = Field(5.0, gt=0, description="Seconds that a call may take.")
    bookmark: float = Field(10.0, gt=0, description="Seconds without change until a watch proves its life.")
    stale_after: float = Field(20.0, gt=0, description="Seconds without proof of life until a watch says so.")


@dataclass(frozen=True, slots=True)
class Access:
    """What opens Consul's door. context: None for plaintext."""

    context: ssl.SSLContext | None
    server_name: str
    token_file: Path | None


def endpoints(url: str, settings: ConsulSettings) -> Endpoints:
    """Where `url` points; see `artemon.store.address`. Raises StoreError."""
    secured = settings.ca is not None or settings.cert is not None
    return address.endpoints(url, port=PORT, secured=secured, insecure=settings.insecure)


def access(where: Endpoints, settings: ConsulSettings) -> Access:
    """Read the files of TLS. Raises StoreError."""
    if (settings.cert is None) != (settings.key is None):
        raise StoreError("consul: cert and key must be given together")
    context = None
    if where.tls:
        context = ssl.create_default_context()
        context.minimum_version = MESH_MINIMUM
        for path in (settings.ca, settings.cert, settings.key):
            address.read(path, "consul")
        try:
            if settings.ca is not None:
                context = ssl.create_default_context(cafile=settings.ca)
            if settings.cert is not None and settings.key is not None:
                context.load_cert_chain(settings.cert, settings.key)
        except (ssl.SSLError, OSError) as error:
            files = ", ".join(str(path) for path in (settings.ca, settings.cert, settings.key) if path)
            raise StoreError(f"consul: {files} cannot be used: {error}") from error
    return Access(context, settings.server_name, settings.token_file)
