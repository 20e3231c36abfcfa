"""The words of an expression, as the Go language specification tells them ("Lexical elements")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from artemon.expr.errors import ExpressionRefused

MAX_LENGTH = 16_384
"""Characters of one expression."""
_WORD = re.compile(
    r"""
      (?P<space>[ \t\r\n]+)
    | (?P<float>[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)
    | (?P<integer>0[xX][0-9a-fA-F]+|[0-9]+)
    | (?P<text>"(?:[^"\\\n]|\\.)*")
    | (?P<raw>`[^`]*`)
    | (?P<rune>'(?:[^'\\\n]|\\[^\n][^'\n]*)')
    | (?P<name>[^\W\d]\w*)
    | (?P<sign>==|!=|<=|>=|:=|\|\||&&|[|&^<>+\-*/%!()\[\],.={};:])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"\\(?:(?P<letter>[abfnrtv\\\"'])|(?P<octal>[0-7]{3})|x(?P<byte>[0-9a-fA-F]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"
)
_OPENERS = {
    '"': "string literal not terminated",
    "`": "raw string literal not terminated",
    "'": "illegal rune literal: texts stand in double quotes",
}
_LETTERS = dict(zip("abfnrtv\\\"'", "\a\b\f\n\r\t\v\\\"'", strict=True))


@dataclass(frozen=True, slots=True)
class Token:
    """One word. kind: float, integer, text, name, sign or end. place: `line:column`, from 1."""

    kind: str
    text: str
    place: str


def tokens(source: str) -> Iterator[Token]:
    """The words of `source`, then one of kind `end`. Raises ExpressionRefused."""
    if len(source) > MAX_LENGTH:
        raise ExpressionRefused(f"is longer than {MAX_LENGTH} characters")
    position = 0
    while position < len(source):
        found = _WORD.match(source, position)
        if found is None:
            raise ExpressionRefused(f"{_place(source, position)}: {_illegal(source[position])}")
        kind = str(found.lastgroup)
        if kind != "space":
            yield Token("text" if kind in ("raw", "rune") else kind, found.group(), _place(source, position))
        position = found.end()
    yield Token("end", "EOF", _place(source, position))


def _illegal(character: str) -> str:
    if character in _OPENERS:
        return _OPENERS[character]
    return f"illegal character U+{ord(character):04X} {character!r}"


def _place(source: str, position: int) -> str:
    line_start = source.rfind("\n", 0, position) + 1
    return f"{source.count(chr(10), 0, position) + 1}:{position - line_start + 1}"


def unquoted(token: Token) -> str:
    """The text that a string literal stands for. Raises ExpressionRefused."""
    inner = token.text[1:-1]
    if token.text.startswith("`"):
        return inner.replace("\r", "")
    made, position = bytearray(), 0
    while position < len(inner):
        if inner[position] != "\\":
            made += inner[position].encode()
            position += 1
            continue
        escape = _ESCAPE.match(inner, position)
        other = "'" if token.text.startswith('"') else '"'
        if escape is None or escape["letter"] == other:
            raise ExpressionRefused(
                f"{token.place}: unknown escape sequence {inner[position : position + 2]}"
            )
        made += _escaped(escape, token)
        position = escape.end()
    try:
        return made.decode()
    except UnicodeDecodeError as error:
        raise ExpressionRefused(f"{token.place}: the text is not UTF-8") from error


def _escaped(escape: re.Match[str], token: Token) -> bytes:
    groups = escape.groupdict()
    if groups["letter"]:
        return _LETTERS[groups["letter"]].encode()
    byte = int(groups["octal"], 8) if groups["octal"] else int(groups["byte"], 16) if groups["byte"] else None
    try:
        if byte is not None:
            return bytes([byte])
        return chr(int(groups["short"] or groups["long"], 16)).encode()
    except (ValueError, UnicodeEncodeError) as error:
        raise ExpressionRefused(f"{token.place}: {escape.group()} is no character") from error
