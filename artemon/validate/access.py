"""Rules of RoleBinding, HostGrant and IdentityGrant."""

from __future__ import annotations

import re

from artemon.model.access import (
    MESH_ADMIN,
    ROLES,
    SERVICE_ACCOUNT,
    SUBJECTS,
    Fact,
    HostGrant,
    IdentityGrant,
    RoleBinding,
)
from artemon.model.envelope import is_dns_label, is_subdomain
from artemon.model.resource import Resource
from artemon.pki.spiffe import SYSTEM_NAMESPACE
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error
from artemon.validate.hosts import is_label, wildcard_domain

MAX_NAME = 512
_ATTESTOR = re.compile(r"[a-z0-9-]{1,40}")


def role_binding(resource: Resource[RoleBinding], context: Context) -> Problems:
    """What is wrong with one RoleBinding."""
    spec, namespace = resource.spec, resource.meta.namespace
    if spec.role not in ROLES:
        yield error("spec.role", f'"{spec.role}" is not a role (known: {", ".join(ROLES)})')
    if spec.role == MESH_ADMIN and namespace != SYSTEM_NAMESPACE:
        yield error("spec.role", f"{MESH_ADMIN} is bound in namespace {SYSTEM_NAMESPACE} only")
    if not spec.subjects:
        yield error("spec.subjects", "must not be empty")
    for index, subject in enumerate(spec.subjects):
        path = f"spec.subjects[{index}]"
        if subject.kind not in SUBJECTS:
            yield error(f"{path}.kind", f'"{subject.kind}" is not one of {", ".join(SUBJECTS)}')
        if not subject.name or len(subject.name) > MAX_NAME or not subject.name.isprintable():
            yield error(f"{path}.name", f"must be 1 to {MAX_NAME} printable characters")
        if subject.namespace and subject.kind != SERVICE_ACCOUNT:
            yield error(f"{path}.namespace", f"is only for a {SERVICE_ACCOUNT}")
        elif subject.namespace and not is_dns_label(subject.namespace):
            yield error(f"{path}.namespace", f'"{subject.namespace}" is not a namespace')


def host_grant(resource: Resource[HostGrant], context: Context) -> Problems:
    """What is wrong with one HostGrant."""
    for field, values in (("hosts", resource.spec.hosts), ("namespaces", resource.spec.namespaces)):
        if not values:
            yield error(f"spec.{field}", "must not be empty")
    for index, host in enumerate(resource.spec.hosts):
        if why := wildcard_domain(host):
            yield error(f"spec.hosts[{index}]", why)
    for index, namespace in enumerate(resource.spec.namespaces):
        if not is_label(namespace):
            yield error(f"spec.namespaces[{index}]", f'"{namespace}" is not a namespace')


def identity_grant(resource: Resource[IdentityGrant], context: Context) -> Problems:
    """What is wrong with one IdentityGrant."""
    spec = resource.spec
    if not _ATTESTOR.fullmatch(spec.attestor):
        yield error("spec.attestor", f'"{spec.attestor}" is not the name of an attestor')
    if not spec.facts:
        yield error("spec.facts", "must not be empty: it would give identities to whoever asks")
    for index, fact in enumerate(spec.facts):
        yield from _fact(fact, f"spec.facts[{index}]")
    if not spec.service_accounts and not spec.service_account_fact:
        yield error("spec.serviceAccounts", "must not be empty, unless serviceAccountFact is set")
    is_system = resource.meta.namespace == SYSTEM_NAMESPACE
    for index, account in enumerate(spec.service_accounts):
        if not is_subdomain(account):
            yield error(f"spec.serviceAccounts[{index}]", f'"{account}" is not the name of a service account')
        if is_system and account == "citadeld":
            yield error(f"spec.serviceAccounts[{index}]", "citadeld certifies itself")
    if is_system and spec.service_account_fact:
        yield error("spec.serviceAccountFact", f"is not for namespace {SYSTEM_NAMESPACE}: name the accounts")


def _fact(fact: Fact, path: str) -> Problems:
    if not fact.name or len(fact.name) > MAX_NAME or not fact.name.isprintable():
        yield error(f"{path}.name", f"must be 1 to {MAX_NAME} printable characters")
    if not fact.values:
        yield error(f"{path}.values", "must not be empty")
    for index, value in enumerate(fact.values):
        inner = value.removesuffix("*") if value.endswith("*") else value.removeprefix("*")
        if not value or len(value) > MAX_NAME or not value.isprintable():
            yield error(f"{path}.values[{index}]", f"must be 1 to {MAX_NAME} printable characters")
        elif "*" in inner:
            yield error(
                f"{path}.values[{index}]", f'"{value}": one "*" at its begin or end is all there can be'
            )
