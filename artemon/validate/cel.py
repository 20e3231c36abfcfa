"""Whether a text is a CEL expression (Common Expression Language, "Syntax"); nothing is evaluated."""

from __future__ import annotations

import re

from artemon.validate.findings import Reason

MAX_DEPTH = 60
_TOKEN = re.compile(
    r"""\s*(?://[^\n]*\s*)*(?:
      (?P<string>[bBrR]{0,2}(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
    | (?P<number>0x[0-9a-fA-F]+u?|[0-9]*\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+(?:[eE][-+]?[0-9]+)?[uU]?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>\|\||&&|[<>=!]=|[-+*/%<>!?:.,()\[\]{}])
    )""",
    re.VERBOSE | re.DOTALL,
)
_RESERVED = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    }
)
_BINARY = frozenset({"||", "&&", "<", "<=", ">", ">=", "==", "!=", "in", "+", "-", "*", "/", "%"})


class _Wrong(Exception):
    """The text is not an expression; the argument says why."""


def syntax(text: str) -> Reason:
    """Why `text` is not an expression."""
    try:
        parser = _Parser(_tokens(text))
        parser.expression(0)
        parser.end()
    except _Wrong as problem:
        return f"is not a CEL expression: {problem}"
    return None


def _tokens(text: str) -> list[tuple[str, str]]:
    found, position = [], 0
    text = text.rstrip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if not token or token.end() == position:
            raise _Wrong(f'unexpected "{text[position : position + 10].strip()}"')
        found.append((str(token.lastgroup), token.group(token.lastgroup or 0)))
        position = token.end()
    return found


class _Parser:
    """Recursive descent; the precedence of operators does not matter for whether a text is well formed."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def _next(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, text: str) -> bool:
        here = self._at < len(self._tokens) and self._tokens[self._at] == ("sign", text)
        self._at += here
        return here

    def _want(self, text: str) -> None:
        if not self._take(text):
            raise _Wrong(f'"{text}" is missing before "{self._next() or "the end"}"')

    def end(self) -> None:
        """Nothing may follow."""
        if self._at < len(self._tokens):
            raise _Wrong(f'unexpected "{self._next()}"')

    def expression(self, depth: int) -> None:
        """`operand (operator operand)* [? expression : expression]`."""
        if depth > MAX_DEPTH:
            raise _Wrong("it is nested too deep")
        self._operand(depth)
        while self._next() in _BINARY and self._tokens[self._at][0] != "string":
            self._at += 1
            self._operand(depth)
        if self._take("?"):
            self.expression(depth + 1)
            self._want(":")
            self.expression(depth + 1)

    def _operand(self, depth: int) -> None:
        while self._take("!") or self._take("-"):
            pass
        self._primary(depth)
        while True:
            if self._take("."):
                self._name()
                if self._take("("):
                    self._list(")", depth)
            elif self._take("["):
                self.expression(depth + 1)
                self._want("]")
            elif self._next() == "{" and self._tokens[self._at - 1][0] == "name":
                self._take("{")
                self._pairs(depth)
            else:
                return

    def _name(self) -> None:
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "the end")
        if kind != "name":
            raise _Wrong(f'a name is missing before "{text}"')
        self._at += 1

    def _primary(self, depth: int) -> None:
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "the end")
        if kind in {"string", "number"}:
            self._at += 1
        elif self._take("("):
            self.expression(depth + 1)
            self._want(")")
        elif self._take("["):
            self._list("]", depth)
        elif self._take("{"):
            self._pairs(depth)
        else:
            self._take(".")
            if text in _RESERVED or text == "in":
                raise _Wrong(f'unexpected "{text}"')
            self._name()
            if self._take("("):
                self._list(")", depth)

    def _list(self, closing: str, depth: int) -> None:
        while not self._take(closing):
            self.expression(depth + 1)
            if not self._take(","):
                self._want(closing)
                return

    def _pairs(self, depth: int) -> None:
        while not self._take("}"):
            self.expression(depth + 1)
            self._want(":")
            self.expression(depth + 1)
            if not self._take(","):
                self._want("}")
                return
