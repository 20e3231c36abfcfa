"""What a script in a proxy may not do: Envoy gives Lua its whole library, with files and programs."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""
      --\[(?P<level>=*)\[.*?\](?P=level)\]        # comments
    | --[^\n]*
    | \[(?P<deep>=*)\[.*?\](?P=deep)\]            # texts
    | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*'
    | (?P<name>(?:[.:]\s*)?[A-Za-z_]\w*)
    """,
    re.VERBOSE | re.DOTALL,
)
_FORBIDDEN = frozenset(
    (
        *("os", "io", "package", "debug", "ffi", "jit", "require", "module", "dofile", "load", "loadfile"),
        *("loadstring", "getfenv", "setfenv", "newproxy", "_G", "_ENV"),
    )
)


def escape(code: str) -> str | None:
    """The first name in a script that leads out of the proxy, None when there is none. Compiled scripts
    are not read: all of one is a way out."""
    if code.startswith("\x1b"):
        return "compiled code"
    found = (token["name"] for token in _TOKEN.finditer(code))
    return next((name for name in found if name in _FORBIDDEN), None)
