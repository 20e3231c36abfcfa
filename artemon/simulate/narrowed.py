"""Filters that are skipped for some requests (`ExtensionWithMatcher` with one `SkipFilter`)."""

from __future__ import annotations

from typing import Any

from envoy.extensions.common.matching.v3.extension_matcher_pb2 import ExtensionWithMatcher
from envoy.type.matcher.v3.http_inputs_pb2 import HttpRequestHeaderMatchInput
from google.protobuf.any_pb2 import Any as Packed

from artemon.simulate.request import Request


def within(config: Packed, request: Request | None) -> Packed | None:
    """The configuration of the filter inside, or this one; None where the request does not see it."""
    wrapped = ExtensionWithMatcher()
    if not config.Unpack(wrapped):
        return config
    skips = any(holds(one.predicate, request) for one in wrapped.xds_matcher.matcher_list.matchers)
    return None if skips else wrapped.extension_config.typed_config


def holds(predicate: Any, request: Request | None) -> bool:
    """Whether the request is so; headers that are absent are like nothing."""
    kind = predicate.WhichOneof("match_type")
    if kind == "not_matcher":
        return not holds(predicate.not_matcher, request)
    if kind in ("and_matcher", "or_matcher"):
        every = all if kind == "and_matcher" else any
        return every(holds(one, request) for one in getattr(predicate, kind).predicate)
    single, header = predicate.single_predicate, HttpRequestHeaderMatchInput()
    single.input.typed_config.Unpack(header)
    value = request.headers.get(header.header_name) if request is not None else None
    if value is None:
        return False
    test = single.value_match
    way = test.WhichOneof("match_pattern")
    wanted = getattr(test, way)
    return bool(
        {"exact": value == wanted, "prefix": value.startswith(wanted), "suffix": value.endswith(wanted)}[way]
    )
