"""Who is calling: bearer token or client certificate. Nobody else gets in."""

from __future__ import annotations

import csv
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artemon.daemon.files import make_private_dir, read_secret, write_secret
from artemon.errors import ArtemonError, Problem, Refused
from artemon.pki.spiffe import SYSTEM_NAMESPACE, SpiffeId

ADMINS = "system:masters"
READERS = "artemon:readers"
EVERYONE = "system:authenticated"
OPERATOR = (SYSTEM_NAMESPACE, "admin")
"""Namespace and service account of an operator with a client certificate."""
SHORTEST = 32
"""Characters of a token."""

_HASHED = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. account: namespace and service account of a workload. how: what it showed."""

    name: str
    groups: tuple[str, ...]
    account: tuple[str, str] | None = None
    how: str = "token"


def is_reserved(name: str) -> bool:
    """Whether a name stands for something here, and so is not for others to give."""
    return name.startswith(("system:", "artemon:", "spiffe:"))


class Tokens:
    """Bearer tokens by their SHA-256; the tokens themselves are not kept."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self._callers = dict(callers)

    def replace(self, callers: Mapping[str, Caller]) -> None:
        """Know these from now on, and no others."""
        self._callers = dict(callers)

    def find(self, token: str) -> Caller | None:
        """The caller of a token."""
        wanted = digest(token)
        for known, caller in self._callers.items():
            if hmac.compare_digest(known, wanted):
                return caller
        return None


def digest(token: str) -> str:
    """`sha256:<hex>` of a token, as a tokens file has it."""
    return "sha256:" + hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def read_tokens(path: Path) -> dict[str, Caller]:
    """The callers of a tokens file: lines `sha256:<hex>,user,"group,group"`. Raises Refused."""
    found: dict[str, Caller] = {}
    problems = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if not row or row[0].startswith("#"):
                    continue
                if len(row) < 2 or not _HASHED.fullmatch(row[0].strip()) or not row[1].strip():
                    text = 'must be sha256:<64 hex digits of the token\'s SHA-256>,user,"group,group"'
                    problems.append(Problem(f"line {number}", text))
                    continue
                groups = [group.strip() for group in ",".join(row[2:]).split(",") if group.strip()]
                found[row[0].strip()] = Caller(row[1].strip(), (*groups, EVERYONE))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused([Problem("", f"cannot be read: {error}")], subject=str(path)) from error
    if problems:
        raise Refused(problems, subject=str(path))
    return found


def admin_token(path: Path) -> str:
    """The operator's token in `path`; made at the first start, readable by its owner only."""
    found = read_secret(path)
    if found is None:
        token = secrets.token_urlsafe(32)
        make_private_dir(path.parent)
        write_secret(path, token.encode() + b"\n")
        return token
    token = found.decode("ascii", "replace").strip()
    if len(token) < SHORTEST:
        raise ArtemonError(f"{path}: holds no token of {SHORTEST} characters; remove it to get a new one")
    return token


def admin(token: str) -> dict[str, Caller]:
    """The table of one token that may do everything."""
    return {digest(token): Caller("admin", (ADMINS, EVERYONE))}


def certificate_caller(identity: SpiffeId | None, trust_domain: str) -> Caller | None:
    """The caller of a verified certificate of our trust domain. The operator's identity may do everything;
    everybody else, daemons included, what RoleBindings say."""
    if identity is None or identity.trust_domain != trust_domain:
        return None
    account = (identity.namespace, identity.service_account)
    accounts = f"system:serviceaccounts:{identity.namespace}"
    groups = (ADMINS, EVERYONE) if account == OPERATOR else (accounts, EVERYONE)
    return Caller(str(identity), groups, account, "certificate")


def subject_caller(certificate: Mapping[str, Any] | None) -> Caller | None:
    """The caller of a verified certificate of the operator's own CA: its one common name is the user, its
    organizations the groups, as for Kubernetes. None for certificates with a URI: they are a mesh's."""
    if not certificate or any(kind == "URI" for kind, _ in certificate.get("subjectAltName", ())):
        return None
    parts = [pair for names in certificate.get("subject", ()) for pair in names]
    users = [value for kind, value in parts if kind == "commonName"]
    groups = [value for kind, value in parts if kind == "organizationName" and not is_reserved(value)]
    if len(users) != 1 or not users[0] or is_reserved(users[0]):
        return None
    return Caller(users[0], (*groups, EVERYONE), how="certificate")
