"""Warnings about routes that no request reaches (Istio IST0130, IST0131)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from artemon.model.virtual_service import HTTPMatchRequest, HTTPRoute, StringMatch, TCPRoute, TLSRoute
from artemon.validate.findings import Problems, warning


def unreachable(routes: Sequence[HTTPRoute | TLSRoute | TCPRoute], path: str) -> Problems:
    """Routes after one without matches (Istio says so of a second such one alone), and matches that an
    earlier route has as well."""
    catch_all: int | None = None
    seen: dict[str, int] = {}
    for index, route in enumerate(routes):
        if not route.match:
            if catch_all is not None:
                yield warning(
                    f"{path}[{index}]", f"is never used: rule {catch_all} takes everything (it has no match)"
                )
            catch_all = index if catch_all is None else catch_all
            continue
        if catch_all is not None:
            yield warning(
                f"{path}[{index}]", f"is never used: rule {catch_all} takes everything (it has no match)"
            )
            continue
        repeated = 0
        for number, match in enumerate(route.match):
            key = match.model_dump_json(exclude={"name"})
            if key in seen:
                repeated += 1
                yield warning(f"{path}[{index}].match[{number}]", f"is the same as in rule {seen[key]}")
            else:
                seen[key] = index
        if repeated == len(route.match):
            yield warning(f"{path}[{index}]", "is never used: earlier rules have all of its matches")


@dataclass(frozen=True, slots=True)
class _Prefix:
    """What a match by path prefix also asks for, as `exact:x` or `prefix:x`."""

    path: str
    port: int
    method: str
    authority: str
    maps: tuple[Mapping[str, str], ...]

    def covers(self, other: _Prefix) -> bool:
        """Whether the other is never reached after this, given that its path begins with ours."""
        return (
            self.port == other.port
            and self.method.startswith(other.method)
            and self.authority.startswith(other.authority)
            and all(
                mine.keys() == theirs.keys() and all(mine[key].startswith(theirs[key]) for key in mine)
                for mine, theirs in zip(self.maps, other.maps, strict=True)
            )
        )


def shadowed(routes: Sequence[HTTPRoute], path: str) -> Problems:
    """Matches by path prefix that an earlier, shorter prefix takes (`/debugs` after `/debug`)."""
    earlier: dict[str, list[_Prefix]] = {}
    lengths: set[int] = set()
    for index, route in enumerate(routes):
        for number, match in enumerate(route.match):
            ours = _prefix(match, f"{path}[{index}].match[{number}]")
            if ours is None:
                continue
            prefix = match.uri.prefix if match.uri and match.uri.prefix else ""
            shorter = [length for length in lengths if length < len(prefix)]
            candidates = (other for length in shorter for other in earlier.get(prefix[:length], ()))
            covering = next((other for other in candidates if other.covers(ours)), None)
            if covering is not None:
                yield warning(ours.path, f'prefix "{prefix}" is taken by {covering.path}')
            earlier.setdefault(prefix, []).append(ours)
            lengths.add(len(prefix))


def _prefix(match: HTTPMatchRequest, path: str) -> _Prefix | None:
    if match.uri is None or not match.uri.prefix:
        return None
    return _Prefix(
        path=path,
        port=match.port,
        method=_text(match.method) or "exact:GET",
        authority=_text(match.authority),
        maps=tuple(
            {name: _text(value) for name, value in pairs.items()}
            for pairs in (match.headers, match.query_params, match.without_headers)
        ),
    )


def _text(match: StringMatch | None) -> str:
    if match is None:
        return ""
    return f"exact:{match.exact}" if match.exact else f"prefix:{match.prefix}" if match.prefix else ""
