"""Aborts on purpose: what a route answers in the place of its servers, always or by chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envoy.config.route.v3.route_components_pb2 import Route
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.type.v3.percent_pb2 import FractionalPercent

FILTER = "envoy.filters.http.fault"
_WHOLE = {FractionalPercent.HUNDRED: 100, FractionalPercent.TEN_THOUSAND: 10_000}


@dataclass(frozen=True, slots=True)
class Abort:
    """response: what the client gets; share: of how many requests, above 0 to 1."""

    response: Mapping[str, Any]
    share: float


def abort_of(route: Route) -> Abort | None:
    """The abort of a route; None for one that aborts nothing."""
    fault = HTTPFault()
    if FILTER not in route.typed_per_filter_config or not route.typed_per_filter_config[FILTER].Unpack(fault):
        return None
    abort = fault.abort
    share = abort.percentage.numerator / _WHOLE.get(abort.percentage.denominator, 1_000_000)
    match abort.WhichOneof("error_type"):
        case "http_status":
            response: dict[str, Any] = {"status": abort.http_status}
        case "grpc_status":
            response = {"grpcStatus": abort.grpc_status}
        case _:
            return None
    return Abort(response, min(share, 1.0)) if share else None
