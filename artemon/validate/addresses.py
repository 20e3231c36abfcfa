"""IP addresses, CIDR blocks and Unix sockets."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from artemon.validate.findings import Reason

UNIX = "unix://"


def is_ip(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def ip(text: str) -> Reason:
    """Why `text` is not an IP address."""
    return None if is_ip(text) else f'"{text}" is not an IP address'


def ip_or_block(text: str) -> Reason:
    """Why `text` is neither an IP address nor a CIDR block."""
    address, slash, length = text.partition("/")
    if not slash:
        return f'"{text}" must not have a zone' if "%" in text and is_ip(text) else ip(text)
    try:
        ip_network(text, strict=False)
    except ValueError:
        fits = False
    else:
        fits = length.isascii() and length.isdigit() and "%" not in address
    return None if fits else f'"{text}" is not a CIDR block'


def unix_path(path: str) -> Reason:
    """Why `path`, without `unix://`, is not a socket: an absolute path to a file, or an abstract `@name`."""
    if not path:
        return "path of the Unix socket must not be empty"
    if path.startswith("@"):
        return None
    absolute = path.startswith("/") and not path.endswith("/")
    return None if absolute else f'"{path}" must be an absolute path to a file, or @ and an abstract name'


def bind(text: str) -> Reason:
    """Why a listener cannot bind to `text`: an IP address or a Unix socket."""
    return unix_path(text.removeprefix(UNIX)) if text.startswith(UNIX) else ip(text)
