"""What galleyd can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from artemon.daemon.identity_options import IdentitySettings


class GalleySettings(IdentitySettings):
    """Settings of galleyd. Its certificate is its identity from citadeld, unless `tls_cert` is set."""

    listen: str = Field("127.0.0.1:15014", description="Address of the REST API (HTTPS).")
    registry: str = Field(
        "sqlite:///var/lib/artemon/mesh.db",
        description="URL of the registry: sqlite:, etcd:, consul: or memory:.",
    )
    mesh: str = Field("default", description="Name of the mesh in the registry.")
    state_dir: str = Field("/var/lib/artemon/galleyd", description="Directory (0700) of the admin token.")
    admin_token_file: str = Field(
        "", description="File of the operator's token, made at the first start; <state_dir>/admin.token."
    )
    tokens_file: str = Field(
        "", description='File of further tokens, hashed: lines sha256:<hex>,user,"group,group".'
    )
    tls_cert: str = Field("", description="Certificate chain (PEM) of one's own to serve with.")
    tls_key: str = Field("", description="Key of tls_cert.")
    client_ca: str = Field("", description="Roots (PEM) of client certificates, beside tls_cert.")
    oidc_issuer: str = Field("", description="URL of an OpenID Connect issuer whose tokens are taken.")
    oidc_audiences: tuple[str, ...] = Field((), description="Audiences (client ids) of its tokens.")
    oidc_jwks: str = Field("", description="URL or file of its keys; empty: found by discovery.")
    oidc_ca: str = Field("", description="Roots (PEM) of its HTTPS servers; empty: the machine's.")
    oidc_user_claim: str = Field("sub", description="Claim that names the user.")
    oidc_groups_claim: str = Field("groups", description="Claim that names the groups.")
    oidc_prefix: str = Field("oidc:", description="Put before its users and groups.")
    hosts: tuple[str, ...] = Field((), description="Further host names under which clients may call.")
    pilotd: tuple[str, ...] = Field((), description="Addresses of pilotd, to relay its debug answers.")
    mixerd: tuple[str, ...] = Field((), description="Addresses of mixerd, to relay what it knows.")
    daemons: tuple[str, ...] = Field(
        (),
        description="Where daemons serve their metrics, NAME=HOST:PORT each, to tell Prometheus.",
    )
    secrets_key_file: str = Field(
        "",
        description="File (0600), or credential:NAME of systemd, of the keys that encrypt Secrets; "
        "empty: no Secrets.",
    )
    signing_key_days: float = Field(
        90.0, gt=0, description="Age at which the key that signs configuration is changed."
    )
    clusters: tuple[str, ...] = Field(
        (),
        description="Clusters whose Istio resources are read: kubernetes:///KUBECONFIG?name=NAME, or "
        "kubernetes://in-cluster; the first goes before the others, and what is written here before all.",
    )
    trust_signatures: Literal["required", "off"] = Field(
        "required", description="Whether the roots must be signed by citadeld; off: for upgrades."
    )
    history_limit: int = Field(1000, ge=1, description="Writes that are kept in history.")

    @property
    def admin_token_path(self) -> Path:
        """Where the operator's token lies."""
        return Path(self.admin_token_file or Path(self.state_dir) / "admin.token")
