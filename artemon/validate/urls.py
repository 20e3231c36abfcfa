"""Addresses of the web."""

from __future__ import annotations

from collections.abc import Collection
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
