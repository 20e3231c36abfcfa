"""Filters of HTTPRoutes in VirtualServices' words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from artemon.model.gateway_routes import (
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRequestMirrorFilter,
    HTTPRequestRedirectFilter,
    HTTPRouteFilter,
    HTTPURLRewriteFilter,
)
from artemon.model.virtual_service import (
    Headers,
    HeadersHeaderOperations,
    HTTPMirrorPolicy,
    HTTPRedirect,
    HTTPRewrite,
    Percent,
    RegexRewrite,
    StringMatch,
)
from artemon.snapshot.edge.backends import Backends
from artemon.snapshot.edge.paths import rewritten
from artemon.snapshot.edge.said import Condition


class Unsupported(Exception):
    """A filter that cannot be done: the rule must not be done without it."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What the filters of a rule do."""

    headers: Headers | None = None
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()
    redirect: HTTPRequestRedirectFilter | None = None
    rewrite: HTTPURLRewriteFilter | None = None

    @property
    def changes_path(self) -> bool:
        """Whether host or path are other ones behind them."""
        return self.rewrite is not None

    def by_path(self, prefix: str) -> Iterator[tuple[tuple[StringMatch, ...], Mapping[str, Any]]]:
        """For requests below `prefix` ("": their path is asked for otherwise): paths (none: whatever is asked
        for), and the fields of a route by which those are redirected or rewritten."""
        path = (self.redirect or self.rewrite).path if (self.redirect or self.rewrite) else None  # type: ignore[union-attr]
        if path is None or path.replace_prefix_match is None or not prefix:
            yield (), self._fields(path, "")
            return
        for match, other in rewritten(prefix, path.replace_prefix_match):
            yield (match,), self._fields(path, other)

    def _fields(self, path: HTTPPathModifier | None, prefix: str) -> dict[str, Any]:
        whole = path.replace_full_path if path else None
        if self.redirect is not None:
            one = self.redirect
            derived = "FROM_PROTOCOL_DEFAULT" if one.scheme else "FROM_REQUEST_PORT"
            port: dict[str, Any] = {"port": one.port} if one.port else {"derive_port": derived}
            made = HTTPRedirect(
                uri=whole or "",
                prefix_rewrite=prefix,
                authority=one.hostname,
                scheme=one.scheme,
                redirect_code=one.status_code,
                **port,
            )
            return {"redirect": made}
        if self.rewrite is None:
            return {}
        regex = RegexRewrite(match="^[^?]*", rewrite=_literal(whole)) if whole else None
        return {"rewrite": HTTPRewrite(uri=prefix, authority=self.rewrite.hostname, uri_regex_rewrite=regex)}


def _literal(text: str) -> str:
    """Text as the replacement of a regular expression."""
    return text.replace("\\", "\\\\")


def filters_of(
    filters: Iterable[HTTPRouteFilter],
    where: str,
    namespace: str,
    backends: Backends,
    problems: list[Condition],
) -> Filters:
    """What they do together. problems: gets those of mirrors, which no request waits for. Raises
    Unsupported."""
    request = response = redirect = rewrite = None
    mirrors: list[HTTPMirrorPolicy] = []
    for index, one in enumerate(filters):
        path = f"{where}[{index}]"
        match one.type:
            case "RequestHeaderModifier" if one.request_header_modifier:
                request = _operations(one.request_header_modifier)
            case "ResponseHeaderModifier" if one.response_header_modifier:
                response = _operations(one.response_header_modifier)
            case "RequestMirror" if one.request_mirror and one.request_mirror.backend_ref:
                found = _mirror(one.request_mirror, path, namespace, backends)
                if isinstance(found, Condition):
                    problems.append(found)
                else:
                    mirrors.append(found)
            case "RequestRedirect" if one.request_redirect:
                redirect = one.request_redirect
            case "URLRewrite" if one.url_rewrite:
                rewrite = one.url_rewrite
            case _:
                raise Unsupported(f"{path}: a filter of type {one.type} is not supported")
    if redirect and rewrite:
        raise Unsupported(f"{where}: RequestRedirect and URLRewrite exclude one another")
    headers = Headers(request=request, response=response) if request or response else None
    return Filters(headers, tuple(mirrors), redirect, rewrite)


def _operations(change: HTTPHeaderFilter) -> HeadersHeaderOperations:
    return HeadersHeaderOperations(
        set_={one.name: one.value.replace("%", "%%") for one in change.set_},
        add={one.name: one.value.replace("%", "%%") for one in change.add},
        remove=change.remove,
    )


def _mirror(
    mirror: HTTPRequestMirrorFilter, path: str, namespace: str, backends: Backends
) -> HTTPMirrorPolicy | Condition:
    assert mirror.backend_ref is not None
    found = backends.find(mirror.backend_ref, namespace, f"{path}.requestMirror.backendRef")
    if isinstance(found, Condition):
        return found
    share = None
    if mirror.percent is not None:
        share = Percent(value=float(mirror.percent))
    elif mirror.fraction is not None:
        share = Percent(value=100.0 * mirror.fraction.numerator / (mirror.fraction.denominator or 100))
    return HTTPMirrorPolicy(destination=found, percentage=share)
