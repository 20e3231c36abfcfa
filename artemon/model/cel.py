"""What of CEL Envoy evaluates in logs and metrics: Istio takes any expression, Envoy refuses some of them."""

from __future__ import annotations

import re

import re2

_STRING = re.compile(r"""[rR]?("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""")
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\(")
_MATCHES = re.compile(r"""\bmatches\s*\(\s*[rR]?("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')\s*\)""")
_FUNCTIONS = frozenset(
    {
        *("in", "has", "size", "contains", "startsWith", "endsWith", "matches"),
        *("int", "uint", "double", "bool", "bytes", "duration", "timestamp", "type"),
        *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    }
)
_PEERS = re.compile(r"""(?<![\w.])(upstream_peer|downstream_peer|upstream_peer_id|downstream_peer_id)\b""")
_NODE = re.compile(r"(?<![\w.])node\.")


def unsupported(text: str) -> str:
    """Why Envoy would refuse the expression, or see nothing; "" when it takes it."""
    bare = _STRING.sub('""', text)
    for found in _CALL.finditer(bare):
        if found[1] not in _FUNCTIONS:
            return f"Envoy has no {found[1]}() in expressions"
    peer = _PEERS.search(bare)
    if peer:
        return f"{peer[1]} is known to Istio's own proxy alone"
    for found in _MATCHES.finditer(text):
        try:
            re2.compile(found[1][1:-1])
        except re2.error:
            return f"{found[1]} is not a regular expression"
    return ""


def unsupported_in_label(text: str) -> str:
    """The same where it stands within `%CEL(..)%`."""
    if ")%" in text:
        return 'Envoy would end the expression at ")%"; write a space between'
    return "it must be one line" if "\n" in text else unsupported(text)


def as_envoy_names_it(text: str) -> str:
    """The expression with Istio's `node` under Envoy's name."""
    parts, position = [], 0
    for quoted in _STRING.finditer(text):
        parts += [_NODE.sub("xds.node.", text[position : quoted.start()]), quoted[0]]
        position = quoted.end()
    return "".join((*parts, _NODE.sub("xds.node.", text[position:])))
