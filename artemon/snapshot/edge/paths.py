"""Paths as Kubernetes matches them, in VirtualServices' words."""

from __future__ import annotations

from artemon.model.virtual_service import StringMatch

ROOT = StringMatch(prefix="/")


def below(prefix: str) -> tuple[StringMatch, ...]:
    """Paths whose first elements are those of `prefix`: `/foo` means `/foo` and `/foo/bar`, not `/foobar`; a
    slash at its end says nothing."""
    bare = prefix.rstrip("/")
    return (StringMatch(exact=bare), StringMatch(prefix=f"{bare}/")) if bare else (ROOT,)


def left_to_us(path: str) -> tuple[StringMatch, ...]:
    """`ImplementationSpecific` as Istio reads it: what ends in `*` is a prefix as it is, anything else exact;
    nothing is everything."""
    if not path:
        return (ROOT,)
    bare = path.removesuffix("*").removesuffix(".") if path.endswith(".*") else path.removesuffix("*")
    return (StringMatch(exact=path),) if bare == path else (StringMatch(prefix=bare or "/"),)


def rewritten(prefix: str, other: str) -> tuple[tuple[StringMatch, str], ...]:
    """Paths below `prefix`, and by what the part that matches is replaced so that `other` takes its place."""
    bare = other.rstrip("/")
    matches = below(prefix)
    if len(matches) == 1:
        return ((ROOT, f"{bare}/"),)
    return (matches[0], bare or "/"), (matches[1], f"{bare}/")
