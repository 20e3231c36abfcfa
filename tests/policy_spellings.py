"""Ways to write a path, a host, a method and a header that servers may take for the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from urllib.parse import unquote_to_bytes

TARGET = "/admin/keys"
SLASHES = (
    "/", "//", "///", "/./", "/x/../", "\\", "%2f", "%2F", "%5c", "%5C", "%252f", "%252F", "%255c",
    "/;/", "/;a=b/", "/.;/", "/x/..;/", "/x/..;a=b/", "/%2e/", "/x/%2e%2e/", "/x/%2E./", "/x/.%2e/",
    "%c0%af", "%e0%80%af", "%f0%80%80%af", "%u002f", "/x%2f..%2f", "/x\\..\\", "/x/%252e%252e/",
    "/%c0%ae/", "/x/%c0%ae%c0%ae/", "%25252f",
)  # fmt: skip
TAILS = (
    "", "?", "?a=b", "?/../..", "#", "#a", "%23", "%3f", "%3Fa", ";", ";a=b", "%3b", "%3Ba", "/",
    "//", "/.", "/x/..", "%00", "%2500", "%0a", "%0d%0a", "\t", "%09",
)  # fmt: skip


def paths() -> Iterator[bytes]:
    """Request targets; all mean `/admin/keys` to some server."""
    for first, second in product(SLASHES, SLASHES):
        yield f"{first}admin{second}keys".encode()
    for slash, tail in product(SLASHES, TAILS):
        yield f"/admin{slash}keys{tail}".encode()
    for place, form in product(
        range(1, len(TARGET)), ("%{:02x}", "%{:02X}", "%25{:02x}", "%25{:02X}", "%2525{:02x}")
    ):
        yield (TARGET[:place] + form.format(ord(TARGET[place])) + TARGET[place + 1 :]).encode()
    for place, byte in product((6, 7, 11), range(1, 256)):
        for form in ("%{:02x}", "%25{:02x}", "%{:02X}x/../"):
            yield (TARGET[:place] + form.format(byte) + TARGET[place:]).encode()
        if byte not in b" \r\n":
            yield TARGET[:place].encode() + bytes([byte]) + TARGET[place:].encode()
    for byte in range(1, 256):
        yield f"/x%{byte:02x}/../admin/keys".encode()
        yield f"/x%{byte:02x}..%{byte:02x}admin/keys".encode()
        yield f"/admin/keys%{byte:02x}".encode()
    for path in ("/admin/keys", "//admin/keys", "/%61dmin/keys", "/x/../admin/keys", "/x/../../admin/keys"):
        yield from (f"http://a.example{path}".encode(), f"HTTP://A.Example{path}".encode(), path.encode())


def lenient(line: str, *, parameters: bool, twice: bool, backslashes: bool) -> str:
    """The path that a lenient server makes of a request target (latin-1)."""
    path = re.sub(r"^https?://[^/]*", "", line, flags=re.IGNORECASE)
    path = re.split(r"[?#]", path)[0]
    for _ in range(2 if twice else 1):
        if parameters:
            path = re.sub(r";[^/]*", "", path)
        path = unquote_to_bytes(re.sub("%u00", "%", path)).decode("latin-1")
        for overlong, plain in (
            ("\xc0\xaf", "/"),
            ("\xe0\x80\xaf", "/"),
            ("\xf0\x80\x80\xaf", "/"),
            ("\xc0\xae", "."),
        ):
            path = path.replace(overlong, plain)
        path = re.split(r"[?#\0\r\n]", path)[0]
    if parameters:
        path = re.sub(r";[^/]*", "", path)
    if backslashes:
        path = path.replace("\\", "/")
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)


def is_target(line: str) -> bool:
    """Whether some server would take it for the target."""
    return any(
        lenient(line, parameters=a, twice=b, backslashes=c) == TARGET
        for a, b, c in product((False, True), repeat=3)
    )


HOSTS = (
    "secret.example",
    "SECRET.example",
    "Secret.Example",
    "secret.example:80",
    "secret.example:18080",
    "secret.example.",
    "secret.example.:80",
    "SECRET.EXAMPLE.:8080",
    "secret.example:",
    "secret.example:080",
    "u@secret.example",
    "u:p@secret.example:80",
    "secret.example..",
    "secret%2eexample",
    "secret.example,other",
    "other,secret.example",
    "other,SECRET.example.:80",
)
METHODS = ("DELETE", "delete", "Delete", "dELETE")
HEADERS = (
    [("x-role", "admin")],
    [("X-Role", "admin")],
    [("x-role", "user"), ("x-role", "admin")],
    [("x_role", "admin")],
    [("x-role", "admin"), ("x-role", "user")],
    [("x-role", "user,admin")],
    [("x-role", "admin,user")],
    [("x-role", "user, admin")],
    [("x-role", "user ,\t admin , x")],
    [("x-role", " admin")],
    [("x-role", "admin ")],
    [("x-role", "\xff,admin")],
    [("x-role", "admin,\xe9\xff")],
    [("x-role", "user"), ("x_role", "admin")],
    [("x-role", ",admin")],
    [("x-role", "a"), ("x-role", "b"), ("x-role", "admin")],
)
"""The same to servers that ignore case, ports and final dots, list values, or make variables of names."""
