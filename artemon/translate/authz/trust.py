"""Principals under several trust domains: a mesh that was renamed still knows its old names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from artemon.model.mesh_config import MeshConfig

LOCAL = "cluster.local"
"""In a policy: whatever the mesh's own trust domain is."""


def trust_domains(mesh: MeshConfig) -> tuple[str, ...]:
    """The mesh's own trust domain and its aliases."""
    return tuple(dict.fromkeys((mesh.trust_domain or LOCAL, *mesh.trust_domain_aliases)))


def with_aliases(principals: Iterable[str], domains: tuple[str, ...]) -> tuple[str, ...]:
    """Each principal of the mesh under each of its trust domains; foreign ones as they are."""
    return tuple(dict.fromkeys(one for principal in principals for one in _spellings(principal, domains)))


def _spellings(principal: str, domains: tuple[str, ...]) -> Iterator[str]:
    domain, *rest = principal.split("/")
    if len(rest) != 4 or domain == "*" or not (domain == LOCAL or any(_fits(domain, one) for one in domains)):
        yield principal
        return
    for one in domains:
        keeps = domain.startswith("*") and one.endswith(domain[1:])
        yield principal if keeps else "/".join((one, *rest))


def _fits(wanted: str, domain: str) -> bool:
    """Exact, `prefix*` or `*suffix`."""
    if wanted.startswith("*"):
        return domain.endswith(wanted[1:])
    return domain.startswith(wanted[:-1]) if wanted.endswith("*") else domain == wanted
