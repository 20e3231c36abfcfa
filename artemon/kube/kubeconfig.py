"""How a cluster is reached: a kubeconfig file, or what every pod finds in its file system."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from artemon.errors import ArtemonError
from artemon.kube.access import Access
from artemon.model.yaml_text import parse

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def cluster_access(file: str, *, context: str = "") -> Access:
    """The cluster of a kubeconfig (its current context unless one is named); `in-cluster` for the pod's own.

    Raises ArtemonError with what is missing; programs that print credentials (`exec`) are not run.
    """
    if file == "in-cluster":
        return _in_cluster()
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtemonError(f"{file}: cannot be read: {error}") from error
    documents = list(parse(text))
    problems = [f"line {line}: {why}" for document in documents for line, why in document.problems]
    if problems or len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise ArtemonError(f"{file}: is not a kubeconfig: {'; '.join(problems) or 'must be one mapping'}")
    try:
        return _chosen(documents[0].value, context, path.parent)
    except (KeyError, TypeError, AttributeError, binascii.Error, OSError, UnicodeDecodeError) as error:
        raise ArtemonError(f"{file}: is not a kubeconfig that can be used: {error!r}") from error


def access_in(text: str) -> Access:
    """The cluster of a kubeconfig that somebody else wrote: what it names by files is refused, as these would
    be ours, and so is a server that is not to be verified. Raises ArtemonError."""
    documents = list(parse(text))
    if len(documents) != 1 or documents[0].problems or not isinstance(documents[0].value, dict):
        raise ArtemonError("is not a kubeconfig")
    config = documents[0].value
    try:
        for part, field in (("clusters", "cluster"), ("users", "user")):
            for entry in config.get(part) or ():
                for key in _FILES & (entry.get(field) or {}).keys():
                    raise ArtemonError(f"{key}: is not taken from here; put it into {key}-data or token")
        access = _chosen(config, "", Path())
    except (KeyError, TypeError, AttributeError, binascii.Error, OSError, UnicodeDecodeError) as error:
        raise ArtemonError(f"is not a kubeconfig that can be used: {error!r}") from error
    if access.insecure:
        raise ArtemonError("insecure-skip-tls-verify: is not taken from here")
    access.ssl()
    return access


_FILES = {"certificate-authority", "client-certificate", "client-key", "tokenFile"}


def _chosen(config: Mapping[str, Any], context: str, folder: Path) -> Access:
    name = context or config.get("current-context") or ""
    chosen = _named(config, "contexts", "context", name)
    cluster = _named(config, "clusters", "cluster", chosen["cluster"])
    user = _named(config, "users", "user", chosen["user"])
    if "exec" in user or "auth-provider" in user:
        raise ArtemonError(f'user "{chosen["user"]}" gets its credentials from a program, which is not run')
    return Access(
        server=cluster["server"],
        ca=_text(cluster, "certificate-authority", folder),
        server_name=cluster.get("tls-server-name") or "",
        token=user.get("token") or _token(user, folder),
        certificate=_file(user, "client-certificate", folder),
        key=_file(user, "client-key", folder),
        insecure=cluster.get("insecure-skip-tls-verify") is True,
    )


def _named(config: Mapping[str, Any], part: str, field: str, name: str) -> Mapping[str, Any]:
    found = next((one[field] for one in config.get(part) or () if one.get("name") == name), None)
    if not isinstance(found, Mapping):
        raise ArtemonError(f'there is no {field} "{name}"')
    return found


def _text(entry: Mapping[str, Any], field: str, folder: Path) -> str:
    data = entry.get(f"{field}-data")
    if data:
        return base64.b64decode(data, validate=True).decode()
    return (folder / entry[field]).read_text() if entry.get(field) else ""


def _file(entry: Mapping[str, Any], field: str, folder: Path) -> Path | None:
    if entry.get(f"{field}-data"):
        raise ArtemonError(f"{field}-data: put the {field} into a file, and name that")
    return folder / entry[field] if entry.get(field) else None


def _token(user: Mapping[str, Any], folder: Path) -> str:
    return (folder / user["tokenFile"]).read_text().strip() if user.get("tokenFile") else ""


def _in_cluster() -> Access:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise ArtemonError("in-cluster: this is no pod (KUBERNETES_SERVICE_HOST is not set)")
    try:
        token, ca = ((SERVICE_ACCOUNT / name).read_text() for name in ("token", "ca.crt"))
    except OSError as error:
        raise ArtemonError(f"in-cluster: {error}") from error
    shown = f"[{host}]" if ":" in host else host
    return Access(f"https://{shown}:{port}", ca=ca, token=token.strip())
