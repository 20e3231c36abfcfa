"""Values of policies as Envoy matches them: exact, `prefix*`, `*suffix`, `*` for presence.

A match is wide where missing one would let a request through (DENY, and what ALLOW excludes): other spellings
of the same host, method, path or header count as well. Elsewhere it is narrow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import product
from urllib.parse import unquote_to_bytes

from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

ANY_TEXT = ".+"
BYTE = r"\C"
"""Any byte. A dot leaves out what is no UTF-8, and a pattern with a dot would miss such a value."""
_UNRESERVED = re.compile(r"[A-Za-z0-9._~/-]")
_MOST_DASHES = 6
_ONE, _MANY = "{*}", "{**}"


def regex(pattern: str) -> StringMatcher:
    """Text that matches as a whole."""
    return StringMatcher(safe_regex=RegexMatcher(regex=pattern))


def text(value: str, *, ignore_case: bool = False) -> StringMatcher:
    """Text as the value says."""
    if value == "*":
        return regex(ANY_TEXT)
    if value.startswith("*"):
        return StringMatcher(suffix=value[1:], ignore_case=ignore_case)
    if value.endswith("*"):
        return StringMatcher(prefix=value[:-1], ignore_case=ignore_case)
    return StringMatcher(exact=value, ignore_case=ignore_case)


def header(name: str, value: str, *, wide: bool) -> list[HeaderMatcher]:
    """A header; wide: one of several values too, and the spellings of its name that servers take for one."""
    if wide and name in _PARTS:
        return _PARTS[name](value)
    if not wide or name.startswith(":"):
        return [_header(name, value)]
    names = spellings(name)
    found = [_header(one, value) for one in names]
    if value != "*":
        element = _glob(value, re.escape)
        found += [
            HeaderMatcher(name=one, string_match=regex(rf"(?:{BYTE}*,)?[ \t]*{element}[ \t]*(?:,{BYTE}*)?"))
            for one in names
        ]
    return found


def _header(name: str, value: str) -> HeaderMatcher:
    if value == "*":
        return HeaderMatcher(name=name, present_match=True)
    return HeaderMatcher(name=name, string_match=text(value))


def spellings(name: str) -> list[str]:
    """`x-user` and `x_user`: servers that make variables of headers cannot tell them apart."""
    parts = name.split("-")
    if len(parts) - 1 > _MOST_DASHES:
        return [name, "_".join(parts)]
    return [
        "".join(a + b for a, b in zip(parts, (*between, ""), strict=True))
        for between in product("-_", repeat=len(parts) - 1)
    ]


def method(value: str, *, wide: bool) -> HeaderMatcher:
    """A method; wide: in any case."""
    if value == "*":
        return HeaderMatcher(name=":method", present_match=True)
    return HeaderMatcher(name=":method", string_match=text(value, ignore_case=wide))


def host(value: str, *, wide: bool) -> HeaderMatcher:
    """A host in any case, with any port unless the value has one; wide: as a fully qualified name too, and in
    a list or with escapes, which no host has (two Host headers are a list to Envoy)."""
    if value == "*":
        return HeaderMatcher(name=":authority", present_match=True)
    if value.endswith("*"):
        before = "(?:[^@]*@)?" if wide else ""
        return _authority(rf"{before}{re.escape(value[:-1])}{BYTE}*", wide=wide)
    suffix = value.startswith("*")
    name, colon, port = value.removeprefix("*").rpartition(":")
    has_port = bool(colon) and port.isdigit()
    before = rf"{BYTE}*" if suffix else "(?:[^@]*@)?" if wide else ""
    dot = r"\.*" if wide else ""
    after = rf":0*{port}" if has_port else "(?::[0-9]*)?"
    bare = (name if has_port else value.removeprefix("*")).removesuffix("." if wide else "")
    return _authority(rf"{before}{re.escape(bare)}{dot}{after}", wide=wide)


def _authority(pattern: str, *, wide: bool) -> HeaderMatcher:
    odd = rf"|{BYTE}*[,%]{BYTE}*" if wide else ""
    return HeaderMatcher(name=":authority", string_match=regex(f"(?i)(?:{pattern}{odd})"))


def _path_header(value: str) -> list[HeaderMatcher]:
    """`:path` with its query: what is looked for is the same with any query behind it."""
    plain = _header(":path", value)
    if value.endswith("*") or "?" in value:
        return [plain]
    return [plain, HeaderMatcher(name=":path", string_match=regex(rf"{_glob(value, re.escape)}\?{BYTE}*"))]


_PARTS: Mapping[str, Callable[[str], list[HeaderMatcher]]] = {
    ":authority": lambda value: [host(value, wide=True)],
    "host": lambda value: [host(value, wide=True)],
    ":method": lambda value: [method(value, wide=True)],
    ":path": _path_header,
}
"""Parts of a request that conditions name as headers: as many spellings as the fields for them."""


def is_template(value: str) -> bool:
    """Whether a path is a template with operators for segments."""
    return _ONE in value or _MANY in value


def envoy_template(value: str) -> str:
    """A template in Envoy's spelling."""
    return value.replace(_MANY, "**").replace(_ONE, "*")


def template_pattern(value: str, *, one: str = "[^/]", anything: str = BYTE) -> str:
    """A template as a pattern of paths. one: a character of a segment; anything: of several."""
    parts = re.split(r"(\{\*\*\}|\{\*\})", value)
    return "".join({_ONE: f"{one}+", _MANY: f"{anything}*"}.get(part) or _spelled(part) for part in parts)


def path_and_query(value: str, *, wide: bool) -> StringMatcher:
    """A path, whatever its query is, for a matcher that does not part them (gRPC)."""
    if value == "*":
        return text(value)
    if is_template(value):
        bare = template_pattern(value, one="[^/?]", anything="[^?]")
    else:
        bare = _glob(value, _spelled if wide else re.escape, "[^?]")
    return regex(rf"{bare}(?:\?{BYTE}*)?")


PLAIN = r"[\t -~]*"
"""What gRPC may send as text (gRPC over HTTP2, "ASCII-Value"). Its engines have no pattern for other bytes:
where missing one would let a call through, they count as what is looked for."""


def not_plain(name: str) -> HeaderMatcher:
    """A header with other bytes than those of text."""
    return HeaderMatcher(name=name, string_match=regex(PLAIN), invert_match=True)


def without_bytes(pattern: str) -> str:
    """The same pattern for engines that know characters alone (Go, Java), which refuse BYTE."""
    return re.sub(r"(?<!\\)((?:\\\\)*)\\C", r"\1(?s:.)", pattern)


def path(value: str, *, wide: bool) -> StringMatcher:
    """A path without query; wide: with each of its characters escaped or not."""
    if not wide or value == "*" or all(_UNRESERVED.match(one) for one in value.strip("*")):
        return text(value)
    return regex(_glob(value, _spelled))


def _glob(value: str, spelled: Callable[[str], str], anything: str = BYTE) -> str:
    if value.startswith("*"):
        return f"{anything}*{spelled(value[1:])}"
    return f"{spelled(value[:-1])}{anything}*" if value.endswith("*") else spelled(value)


def _spelled(written: str) -> str:
    """A pattern for all ways to write a path: proxies unescape what is never reserved, and nothing else."""
    try:
        plain = unquote_to_bytes(written).decode()
    except UnicodeDecodeError:
        return re.escape(written)
    return "".join(re.escape(one) if _UNRESERVED.match(one) else _either(one) for one in plain)


def _either(character: str) -> str:
    escaped = "".join(f"%{byte:02x}" for byte in character.encode())
    return f"(?:{re.escape(character)}|(?i:{escaped}))"
