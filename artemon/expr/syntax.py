"""The tree of an expression, with the precedence of the Go language specification ("Operators")."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from artemon.expr.errors import ExpressionRefused
from artemon.expr.lexer import Token, tokens, unquoted
from artemon.expr.values import Value, ValueType
from artemon.model.duration import parse_duration

MAX_DEPTH = 64
"""Levels of parentheses, arguments and operands below one another."""
_SHOWN = 200
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal."""

    type: ValueType
    value: Value
    written: str

    def __str__(self) -> str:
        return self.written


@dataclass(frozen=True, slots=True)
class Attribute:
    """The value of an attribute."""

    name: str

    def __str__(self) -> str:
        return f"${self.name}"


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator. target: what a method is called on."""

    function: str
    arguments: tuple[Node, ...]
    target: Node | None = None

    def __str__(self) -> str:
        head = f"{self.target}:{self.function}" if self.target is not None else self.function
        return f"{head}({', '.join(map(str, self.arguments))})"


Node = Constant | Attribute | Call

_BINARY = MappingProxyType(
    {
        "||": (1, "LOR"),
        "&&": (2, "LAND"),
        "==": (3, "EQ"),
        "!=": (3, "NEQ"),
        "<": (3, "LT"),
        "<=": (3, "LEQ"),
        ">": (3, "GT"),
        ">=": (3, "GEQ"),
        "+": (4, "ADD"),
        "-": (4, "SUB"),
        "|": (4, "OR"),
        "^": (4, "XOR"),
        "*": (5, "MUL"),
        "/": (5, "QUO"),
        "%": (5, "REM"),
        "&": (5, "AND"),
    }
)
"""Sign -> (precedence, function)."""
_UNARY = MappingProxyType({"!": "NOT", "-": "SUB", "+": "ADD"})


def parse(source: str) -> Node:
    """The tree of `source`. Raises ExpressionRefused with the place."""
    try:
        parser = _Parser(list(tokens(source)))
        node = parser.binary(1)
        parser.expect("end", "'EOF'")
    except ExpressionRefused as refused:
        raise ExpressionRefused(f"unable to parse expression '{_shown(source)}': {refused}") from refused
    return node


def _shown(source: str) -> str:
    """The expression in one line, long ones by their beginning."""
    line = " ".join(source.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


class _Parser:
    def __init__(self, words: list[Token]) -> None:
        self._words = words
        self._next = 0
        self._depth = 0

    @property
    def _word(self) -> Token:
        return self._words[self._next]

    def _take(self) -> Token:
        word = self._word
        self._next += 1
        return word

    def _sign(self, text: str) -> bool:
        """Whether the next word is this sign, which is taken then."""
        if self._word.kind == "sign" and self._word.text == text:
            self._next += 1
            return True
        return False

    def expect(self, text: str, wanted: str) -> None:
        """Take the word that must come now."""
        word = self._word
        if word.kind != text and not (word.kind == "sign" and word.text == text):
            raise _unexpected(word, wanted)
        if word.kind != "end":
            self._next += 1

    def binary(self, least: int) -> Node:
        """Operands joined by operators of at least this precedence, from the left."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionRefused(f"{self._word.place}: is nested more than {MAX_DEPTH} levels deep")
        left, length = self._unary(), 0
        while self._word.kind == "sign" and self._word.text in _BINARY:
            precedence, function = _BINARY[self._word.text]
            if precedence < least:
                break
            length += 1
            if length > 4 * MAX_DEPTH:
                raise ExpressionRefused(
                    f"{self._word.place}: has more than {4 * MAX_DEPTH} operands in a row"
                )
            self._next += 1
            left = Call(function, (left, self.binary(precedence + 1)))
        if self._word.kind == "sign" and self._word.text == "=":
            raise _unexpected(self._word, "'=='")
        self._depth -= 1
        return left

    def _unary(self) -> Node:
        word = self._word
        if word.kind != "sign" or word.text not in _UNARY:
            return self._primary()
        self._next += 1
        if word.text == "-" and self._word.kind in ("integer", "float"):
            return _number(self._take(), "-")
        if self._word.kind == "sign" and self._word.text in _UNARY:
            raise _unexpected(self._word, "operand")
        return Call(_UNARY[word.text], (self._unary(),))

    def _primary(self) -> Node:
        node = self._operand()
        while True:
            if self._sign("["):
                node = Call("INDEX", (node, self.binary(1)))
                self.expect("]", "']'")
            elif self._sign("."):
                node = self._selected(node)
            else:
                return node

    def _selected(self, node: Node) -> Node:
        word = self._take()
        if word.kind != "name":
            raise _unexpected(word, "selector")
        if self._sign("("):
            return Call(word.text, self._arguments(), target=node)
        if isinstance(node, Attribute):
            return Attribute(f"{node.name}.{word.text}")
        raise ExpressionRefused(
            f"{word.place}: unexpected expression: only attributes have parts; {node} has none"
        )

    def _operand(self) -> Node:
        word = self._take()
        if word.kind == "name":
            if word.text.lower() in ("true", "false"):
                return Constant(ValueType.BOOL, word.text.lower() == "true", word.text.lower())
            return Call(word.text, self._arguments()) if self._sign("(") else Attribute(word.text)
        if word.kind == "text":
            return _text(word)
        if word.kind in ("integer", "float"):
            return _number(word)
        if word.kind == "sign" and word.text == "(":
            node = self.binary(1)
            self.expect(")", "')'")
            return node
        raise _unexpected(word, "operand")

    def _arguments(self) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._sign(")"):
            found.append(self.binary(1))
            if self._word.text != ")":
                self.expect(",", "',' or ')'")
        return tuple(found)


def _text(word: Token) -> Constant:
    """A text, or the duration that it spells: "19ms" is of type DURATION, as in Mixer."""
    text = unquoted(word)
    try:
        return Constant(ValueType.DURATION, parse_duration(text), word.text)
    except ValueError:
        return Constant(ValueType.STRING, text, word.text)


def _unexpected(word: Token, wanted: str) -> ExpressionRefused:
    return ExpressionRefused(f"{word.place}: expected {wanted}, found '{word.text}'")


def _number(word: Token, sign: str = "") -> Constant:
    """A number in decimals. Mixer takes no others: a 0 in front means nothing."""
    written = sign + word.text
    if word.kind == "float":
        number = float(written)
        if number in (float("inf"), float("-inf")):
            raise ExpressionRefused(f"{word.place}: {written} is too large for DOUBLE")
        return Constant(ValueType.DOUBLE, number, written)
    try:
        value = int(written, 10)
    except ValueError as error:
        raise ExpressionRefused(f"{word.place}: {written} is not a decimal number") from error
    if value not in _INT64:
        raise ExpressionRefused(f"{word.place}: {written} does not fit INT64")
    return Constant(ValueType.INT64, value, written)
