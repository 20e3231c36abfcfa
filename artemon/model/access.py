"""Who may do what in the mesh's API (RoleBinding), whose hosts others may route (HostGrant), and which
attested callers may have which identities (IdentityGrant)."""

from __future__ import annotations

from typing import ClassVar

from artemon.model.message import Message, Seq

MESH_ADMIN, NAMESPACE_ADMIN, EDITOR, VIEWER, AUDITOR = (
    "mesh-admin",
    "namespace-admin",
    "editor",
    "viewer",
    "auditor",
)
ROLES = (MESH_ADMIN, NAMESPACE_ADMIN, EDITOR, VIEWER, AUDITOR)
USER, GROUP, SERVICE_ACCOUNT = "User", "Group", "ServiceAccount"
SUBJECTS = (USER, GROUP, SERVICE_ACCOUNT)


class Subject(Message):
    """Who is meant, as in Kubernetes' RBAC. namespace: of a ServiceAccount; the binding's when empty."""

    required: ClassVar[tuple[str, ...]] = ("kind", "name")

    kind: str = ""
    name: str = ""
    namespace: str = ""


class RoleBinding(Message):
    """Gives a role to subjects: in its namespace, or in all of the mesh where that is the system's own."""

    required: ClassVar[tuple[str, ...]] = ("role", "subjects")

    role: str = ""
    subjects: Seq[Subject] = ()


class HostGrant(Message):
    """Lets other namespaces route hosts that its namespace owns, and define those outside of the mesh too."""

    required: ClassVar[tuple[str, ...]] = ("hosts", "namespaces")

    hosts: Seq[str] = ()
    namespaces: Seq[str] = ()


class Fact(Message):
    """One thing that an attestor found out of a caller. values: each exact, `prefix*`, `*suffix`, or `*` for
    any; one of them must fit one of the fact's."""

    required: ClassVar[tuple[str, ...]] = ("name", "values")

    name: str = ""
    values: Seq[str] = ()


class IdentityGrant(Message):
    """Gives identities of its namespace to callers of whom all `facts` hold.

    attestor: by its name in citadeld's settings. serviceAccounts: which identities; and, with
    serviceAccountFact, the one that this fact names, whatever it is.
    """

    required: ClassVar[tuple[str, ...]] = ("attestor", "facts")

    attestor: str = ""
    facts: Seq[Fact] = ()
    service_accounts: Seq[str] = ()
    service_account_fact: str = ""
