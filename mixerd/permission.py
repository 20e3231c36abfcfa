"""What Envoy is told of a request that goes on: headers of the request and of its response."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from artemon.adapters.requests import HeaderChange

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def permission() -> CheckResponse:
    """The request goes on."""
    out = CheckResponse()
    out.status.code = 0
    out.ok_response.SetInParent()
    return out


class Changed:
    """Changes of one request. headers: those with which it came."""

    def __init__(self, out: CheckResponse, headers: Mapping[str, str]) -> None:
        self._ok, self._now = out.ok_response, dict(headers)

    def by(self, change: HeaderChange, attributes: Mapping[str, Any]) -> None:
        """Do one change. Raises EvaluationError; ValueError: the value cannot stand in a header."""
        values = [str(one.evaluate(attributes).value) for one in change.values]
        if any(map(_CONTROL.search, values)):
            raise ValueError("the value has control characters")
        if change.response:
            self._respond(change, values)
        elif change.operation == "REMOVE":
            self._now.pop(change.name, None)
            self._forget(change.name)
            self._ok.headers_to_remove.append(change.name)
        else:
            # Envoy appends to what is there alone, so that the whole new value is set.
            before = (
                [self._now[change.name]] if change.operation == "APPEND" and change.name in self._now else []
            )
            self._now[change.name] = ",".join([*before, *values])
            self._forget(change.name)
            self._ok.headers.add().header.MergeFrom(
                HeaderValue(key=change.name, value=self._now[change.name])
            )

    def _forget(self, name: str) -> None:
        """What was to become of this header before."""
        for kept in [one for one in self._ok.headers if one.header.key == name]:
            self._ok.headers.remove(kept)
        while name in self._ok.headers_to_remove:
            self._ok.headers_to_remove.remove(name)

    def _respond(self, change: HeaderChange, values: list[str]) -> None:
        action = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
        if change.operation == "APPEND":
            action = HeaderValueOption.APPEND_IF_EXISTS_OR_ADD
        for value in values:
            self._ok.response_headers_to_add.append(
                HeaderValueOption(header=HeaderValue(key=change.name, value=value), append_action=action)
            )
            action = HeaderValueOption.APPEND_IF_EXISTS_OR_ADD
