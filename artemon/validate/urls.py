"""Addresses of the web."""

from __future__ import annotations

from collections.abc import Collection
from unicodedata import normalize
from urllib.parse import urlsplit

from artemon.validate.findings import Reason


def url(text: str, *, schemes: Collection[str]) -> Reason:
    """Why `text` is no URL with one of `schemes` (RFC 3986); the empty scheme means that none is needed."""
    if any(letter.isspace() or not letter.isprintable() or letter == "\\" for letter in text):
        return f'"{text}" is not a URL: it has spaces, backslashes or control characters'
    scheme, mark, _ = text.partition("://")
    if not mark:
        if "" not in schemes:
            return f'"{text}" must begin with {" or ".join(f"{name}://" for name in schemes)}'
        scheme, text = "", f"http://{text}"
    if scheme.lower() not in schemes:
        return f'scheme "{scheme}" is not supported (known: {", ".join(name for name in schemes if name)})'
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises when it is no number
    except ValueError as problem:
        return f'"{text}" is not a URL: {problem}'
    return None if parts.netloc or scheme == "file" else f'"{text}" has no host'


def odd_host(text: str) -> Reason:
    """Why the host of a URL is hardly what it looks like: clients take its letters or digits for others
    (Unicode NFKC, as IDNA does; full-width digits make an address)."""
    try:
        host = urlsplit(text).hostname or ""
    except ValueError:
        return None  # `url` says so
    plain = normalize("NFKC", host).replace("\u3002", ".")
    return None if plain == host else f'the host "{host}" is read as "{plain}"; write that'
