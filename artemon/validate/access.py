"""Rules of RoleBinding and HostGrant."""

from __future__ import annotations

from artemon.model.access import MESH_ADMIN, ROLES, SERVICE_ACCOUNT, SUBJECTS, HostGrant, RoleBinding
from artemon.model.envelope import is_dns_label
from artemon.model.resource import Resource
from artemon.pki.spiffe import SYSTEM_NAMESPACE
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error
from artemon.validate.hosts import is_label, wildcard_domain

MAX_NAME = 512


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
