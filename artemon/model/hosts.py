"""Host names: short names made full, wildcards, and which pattern is the most specific."""

from __future__ import annotations

from collections.abc import Container, Iterable

DEFAULT_DOMAIN = "cluster.local"


def service_host(service: str, namespace: str, domain: str = DEFAULT_DOMAIN) -> str:
    """The full name of a service of the mesh: `<service>.<namespace>.svc.<domain>`."""
    return f"{service}.{namespace}.svc.{domain}"


def owner_namespace(host: str, domain: str = DEFAULT_DOMAIN) -> str:
    """The namespace that owns `host` by its name (`<service>.<namespace>.svc.<domain>`), else ""."""
    suffix = f".svc.{domain}"
    if not host.endswith(suffix):
        return ""
    return host.removesuffix(suffix).rpartition(".")[2]


def resolve(
    name: str, namespace: str, *, domain: str = DEFAULT_DOMAIN, known: Container[str] = frozenset()
) -> str:
    """The full host that `name` means in an object of `namespace`.

    A name without a dot is a service of that namespace. A dotted name is full, unless it is not `known`
    and `<name>.svc.<domain>` or `<name>.<domain>` is (`reviews.bookinfo`, `reviews.bookinfo.svc`).
    """
    if not name or name.startswith("*") or ":" in name:
        return name
    name = name.removesuffix(".").lower()
    if "." not in name:
        return service_host(name, namespace, domain)
    if name in known:
        return name
    for candidate in (f"{name}.svc.{domain}", f"{name}.{domain}"):
        if candidate in known:
            return candidate
    return name


def covers(pattern: str, host: str) -> bool:
    """Whether every name that `host` stands for is one that `pattern` stands for.

    `*` covers all; `*.foo.com` covers `a.foo.com`, `a.b.foo.com` and `*.b.foo.com`, but not `foo.com`.
    """
    if pattern in (host, "*"):
        return True
    return pattern.startswith("*") and len(host) > len(pattern) - 1 and host.endswith(pattern[1:])


def overlap(one: str, other: str) -> bool:
    """Whether some name is meant by both patterns."""
    return covers(one, other) or covers(other, one)


def specificity(pattern: str) -> tuple[int, int]:
    """A sort key: exact names above wildcards, longer wildcards above shorter ones."""
    return (0 if pattern.startswith("*") else 1, len(pattern))


def most_specific(patterns: Iterable[str], host: str) -> str | None:
    """The pattern that covers `host` best: exact, else the longest wildcard; None when none does."""
    return max((p for p in patterns if covers(p, host)), key=specificity, default=None)
