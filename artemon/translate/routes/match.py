"""What a request must look like: VirtualService `http.match` to Envoy's RouteMatch."""

from __future__ import annotations

import re

from envoy.config.route.v3.route_components_pb2 import (
    HeaderMatcher,
    QueryParameterMatcher,
    RouteMatch,
)
from envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from envoy.type.matcher.v3.value_pb2 import ValueMatcher

from artemon.model.virtual_service import HTTPMatchRequest, StringMatch

_CLAIMS = "@request.auth.claims"


def route_match(match: HTTPMatchRequest | None) -> RouteMatch:
    """The condition of one route; None, or nothing asked for, is every request."""
    if match is None:
        return RouteMatch(prefix="/")
    out = _path(match.uri)
    if match.ignore_uri_case:
        out.case_sensitive.value = False
    for name in sorted(match.headers):
        if is_claim(name):
            out.dynamic_metadata.append(_claim(name, match.headers[name]))
        else:
            out.headers.append(_header(name, match.headers[name]))
    for name in sorted(match.without_headers):
        if is_claim(name):
            out.dynamic_metadata.append(_claim(name, match.without_headers[name], inverse=True))
        else:
            out.headers.append(_absent(name, match.without_headers[name]))
    pseudo = ((":method", match.method), (":authority", match.authority), (":scheme", match.scheme))
    out.headers.extend(_header(name, wanted) for name, wanted in pseudo if wanted is not None)
    out.query_parameters.extend(_query(name, match.query_params[name]) for name in sorted(match.query_params))
    return out


def is_catch_all(match: RouteMatch) -> bool:
    """Whether every request matches, so that no later route can."""
    every_path = match.prefix == "/" or match.safe_regex.regex == ".*"
    return every_path and not (match.headers or match.query_parameters or match.dynamic_metadata)


def _path(uri: StringMatch | None) -> RouteMatch:
    if uri is None:
        return RouteMatch(prefix="/")
    if uri.exact is not None:
        return RouteMatch(path=uri.exact)
    if uri.prefix is not None:
        return RouteMatch(prefix=uri.prefix)
    if uri.regex is not None:
        return RouteMatch(safe_regex=RegexMatcher(regex=".*" if uri.regex == "*" else uri.regex))
    return RouteMatch(prefix="/")


def _is_presence(wanted: StringMatch) -> bool:
    """Whether any value will do: an empty match, or the regular expression `*` that Istio reads so."""
    return (wanted.exact, wanted.prefix, wanted.regex) == (None, None, None) or wanted.regex == "*"


def _header(name: str, wanted: StringMatch) -> HeaderMatcher:
    if _is_presence(wanted):
        return HeaderMatcher(name=name, present_match=True)
    return HeaderMatcher(name=name, string_match=string_matcher(wanted))


def _absent(name: str, unwanted: StringMatch) -> HeaderMatcher:
    out = _header(name, unwanted)
    out.invert_match = True
    if not _is_presence(unwanted):
        out.treat_missing_header_as_empty = True
    return out


def is_claim(name: str) -> bool:
    """Whether a name of a header means a claim of a valid token (`@request.auth.claims...`)."""
    return name.lower().startswith(_CLAIMS)


def _claim(name: str, wanted: StringMatch, *, inverse: bool = False) -> MetadataMatcher:
    """A claim at a path of keys, `.a.b` or `[a][b]`: its text, or one text of its list."""
    rest = name[len(_CLAIMS) :]
    keys = re.findall(r"\[([^\]]*)\]", rest) if rest.startswith("[") else rest.strip(".").split(".")
    path = [MetadataMatcher.PathSegment(key=key) for key in ("payload", *keys)]
    out = MetadataMatcher(filter="envoy.filters.http.jwt_authn", path=path, invert=inverse)
    text = RegexMatcher(regex=".*") if _is_presence(wanted) else None
    plain = ValueMatcher(string_match=StringMatcher(safe_regex=text) if text else string_matcher(wanted))
    out.value.or_match.value_matchers.add().list_match.one_of.CopyFrom(plain)
    out.value.or_match.value_matchers.append(plain)
    return out


def _query(name: str, wanted: StringMatch) -> QueryParameterMatcher:
    if _is_presence(wanted):
        return QueryParameterMatcher(name=name, present_match=True)
    return QueryParameterMatcher(name=name, string_match=string_matcher(wanted))


def string_matcher(wanted: StringMatch) -> StringMatcher:
    """Exact, prefix or regular expression (RE2)."""
    if wanted.exact is not None:
        return StringMatcher(exact=wanted.exact)
    if wanted.prefix is not None:
        return StringMatcher(prefix=wanted.prefix)
    return StringMatcher(safe_regex=RegexMatcher(regex=wanted.regex or ".*"))
