"""What mixerd can be told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from artemon.daemon.identity_options import IdentitySettings


class MixerSettings(IdentitySettings):
    """Settings of mixerd."""

    listen: str = Field(
        "127.0.0.1:15004", description="Address where proxies report and galleyd asks (gRPC, mTLS)."
    )
    data_dir: str = Field("/var/lib/artemon/mixerd", description="Directory (0700) of what is kept.")
    root_namespace: str = Field("istio-system", description="Namespace whose limits are for all.")
    registry: str = Field(
        "", description="URL of the registry, for rules and their handlers; empty: there are none."
    )
    mesh: str = Field("default", description="Name of the mesh in the registry.")
    config_signatures: Literal["required", "off"] = Field(
        "required", description="Whether rules must be signed by galleyd; off trusts the registry."
    )
    config_keys_file: str = Field(
        "",
        description="File of galleyd's public signing keys (signing.pub); empty: those it endorses.",
    )
    prometheus: str = Field(
        "", description="URL of a Prometheus that has the proxies' metrics, for history beyond keep_minutes."
    )
    replicas: tuple[str, ...] = Field(
        (), description="Addresses of all mixerds, for limits and quotas that they count together."
    )
    advertise: str = Field("", description="This one's among replicas; empty: what it listens on.")
    buffer_mb: int = Field(
        64, ge=1, description="Megabytes of rows that may wait for handlers; others are dropped."
    )
    keep_minutes: float = Field(60.0, gt=0, description="Age at which logs, spans and counts are forgotten.")
    keep_rows: int = Field(200_000, ge=1000, description="Most logs, and most spans, that are kept.")
    pending_rows: int = Field(
        50_000,
        ge=100,
        description="Most logs and spans that wait to be written; others are dropped.",
    )
