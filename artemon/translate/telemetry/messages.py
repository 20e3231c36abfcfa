"""Messages of gRPC calls, counted under Istio's names with all labels.

Envoy's `grpc_stats` counts them and leaves both numbers in one text, which no format of the metrics' logger
can take apart: a few lines of Lua do, when a response has its trailers, for requests of gRPC alone. Calls
that are reset before are not counted.
"""

from __future__ import annotations

from functools import lru_cache

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog
from envoy.extensions.common.matching.v3.extension_matcher_pb2 import ExtensionWithMatcher
from envoy.extensions.filters.common.matcher.action.v3.skip_action_pb2 import SkipFilter
from envoy.extensions.filters.http.lua.v3.lua_pb2 import Lua
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.type.matcher.v3.http_inputs_pb2 import HttpRequestHeaderMatchInput
from google.protobuf.message import Message

from artemon.translate.telemetry.metrics import Counted, tagged
from artemon.translate.telemetry.side import Side
from artemon.translate.telemetry.stats import stats_log
from artemon.translate.wire import packed

SPACE, REQUESTS, RESPONSES = "artemon.grpc", "requests", "responses"
METRICS = {
    "istio_request_messages_total": f"%DYNAMIC_METADATA({SPACE}:{REQUESTS})%",
    "istio_response_messages_total": f"%DYNAMIC_METADATA({SPACE}:{RESPONSES})%",
}
FILTER = "artemon.grpc_messages"
_CODE = f"""function envoy_on_response(handle)
  handle:trailers()
  local info = handle:streamInfo()
  local asked, answered = string.match(
    info:filterState():get("envoy.filters.http.grpc_stats") or "", "^(%d+),(%d+)$")
  if asked then
    info:dynamicMetadata():set("{SPACE}", "{REQUESTS}", asked)
    info:dynamicMetadata():set("{SPACE}", "{RESPONSES}", answered)
  end
end
"""


def counts_messages(counted: Counted) -> bool:
    """Whether any of it is counted."""
    return any(name in METRICS for name, _ in counted)


@lru_cache(maxsize=1)
def message_filter() -> HttpFilter:
    """Stands before `grpc_stats`, so that responses come to it after; not to be changed."""
    out = ExtensionWithMatcher()
    one = out.xds_matcher.matcher_list.matchers.add()
    single = one.predicate.not_matcher.single_predicate
    _extension(single.input, "content-type", HttpRequestHeaderMatchInput(header_name="content-type"))
    single.value_match.prefix = "application/grpc"
    _extension(one.on_match.action, "skip", SkipFilter())
    code = Lua()
    code.default_source_code.inline_string = _CODE
    _extension(out.extension_config, "envoy.filters.http.lua", code)
    return HttpFilter(name=FILTER, typed_config=packed(out))


def _extension(out: Message, name: str, config: Message) -> None:
    out.name = name  # type: ignore[attr-defined]
    out.typed_config.CopyFrom(packed(config))  # type: ignore[attr-defined]


@lru_cache(maxsize=1024)
def message_metrics(side: Side, counted: Counted) -> tuple[AccessLog, ...]:
    """What is counted of every call that has both numbers; not to be changed."""
    counters = [
        (name, METRICS[name], tagged(side, changes, http=True))
        for name, changes in counted
        if name in METRICS
    ]
    if not counters:
        return ()
    out = stats_log(counters)
    condition = out.filter.metadata_filter
    condition.matcher.filter = SPACE
    condition.matcher.path.add(key=REQUESTS)
    condition.matcher.value.present_match = True
    condition.match_if_key_not_found.value = False
    return (out,)
