"""YAML as Kubernetes clients read it, without its traps: no aliases, no duplicate keys, no dates.

Numbers and booleans are told as YAML 1.1 does (so do kubectl and istioctl), but sexagesimal numbers and
timestamps stay text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from artemon.model.limits import MAX_DEPTH
from artemon.model.words import kind_of

_TRUE = {"true", "yes", "on"}
_FALSE = {"false", "no", "off"}
_NULL = {"", "~", "null", "Null", "NULL"}
_INT = re.compile(r"[-+]?(0b_*[01][01_]*|0x_*[0-9a-fA-F][0-9a-fA-F_]*|0o?_*[0-7][0-7_]*|0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CORE = "tag:yaml.org,2002:"
_PLAIN_TAGS = {f"{_CORE}{name}" for name in ("int", "float", "bool", "null", "map", "seq")}
_LONGEST_NUMBER = 64
TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep; nothing after it was read"


@dataclass(slots=True)
class Document:
    """One document of a stream. index: from 1. line: where it starts, from 1. problems: line and reason."""

    index: int
    line: int
    value: Any = None
    problems: list[tuple[int, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Open:
    """A collection that is being read; `key` is the mapping key that waits for its value."""

    value: dict[str, Any] | list[Any]
    key: str | None = None


def parse(text: str) -> Iterator[Document]:
    """The documents of `text`; one that is broken carries its problems. A syntax error ends the stream."""
    document = Document(0, 1)
    reader: _Reader | None = None
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.DocumentStartEvent):
                document = Document(document.index + 1, _line(event))
                reader = _Reader(document)
            elif isinstance(event, yaml.DocumentEndEvent):
                yield document
                reader = None
            elif reader is not None and not reader.feed(event):
                yield document  # the scanner takes quadratic time at great depth, so nothing more is read
                return
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else document.line
        reason = str(error.problem or error.context)
        deep = "nesting depth" in reason  # libyaml reads ahead, and newer ones have a limit of their own
        if "cannot start any token" in reason and _begins_with_tab(text, line):
            reason = "a tab cannot indent; write blanks"
        yield _broken(document, reader, line, TOO_DEEP if deep else f"is not YAML: {reason}")
    except (yaml.YAMLError, UnicodeError) as error:
        yield _broken(document, reader, document.line, f"is not YAML: {str(error).splitlines()[0]}")


def _begins_with_tab(text: str, line: int) -> bool:
    found = text.split("\n", line)[line - 1 : line]
    return any("\t" in one[: len(one) - len(one.lstrip())] for one in found)


def _broken(document: Document, reader: _Reader | None, line: int, reason: str) -> Document:
    if reader is None:
        document = Document(document.index + 1, line)
    document.problems.append((line, reason))
    return document


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Reader:
    """Builds one document from parser events, without recursion."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: list[_Open] = []

    def feed(self, event: yaml.Event) -> bool:
        """Take one event; what must not be there becomes a problem. False: too deep, do not go on."""
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            self._refuse(line, f"alias *{event.anchor} is not allowed; write the value out")
            self._put(None, line)
            return True
        anchor = getattr(event, "anchor", None)
        if anchor:
            self._refuse(line, f"anchor &{anchor} is not allowed; write the value out")
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            if len(self._open) >= MAX_DEPTH:
                self._refuse(line, TOO_DEEP)
                return False
            self._start({} if isinstance(event, yaml.MappingStartEvent) else [], event.tag, line)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._open.pop()
        return True

    def _start(self, value: dict[str, Any] | list[Any], tag: str | None, line: int) -> None:
        if tag and tag not in _PLAIN_TAGS:
            self._refuse(line, f"tag {tag} is not allowed")
        if self._wants_key():
            self._refuse(line, "a key must be text, not a collection")
            self._open[-1].key = ""
        else:
            self._put(value, line)
        self._open.append(_Open(value))

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        text = str(event.value)
        tag = event.tag
        if tag and tag not in _PLAIN_TAGS and tag not in {f"{_CORE}str", "!"}:
            self._refuse(line, f"tag {tag} is not allowed")
        plain = bool(event.implicit[0]) if tag is None else tag in _PLAIN_TAGS
        value = self._resolve(text, line) if plain else text
        if self._wants_key():
            self._key(text, value, line)
        else:
            self._put(value, line)

    def _key(self, text: str, value: Any, line: int) -> None:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            self._refuse(line, f"key {text} is read as {kind_of(value)}; put it in quotes")
            value = text
        mapping = self._open[-1]
        if value in mapping.value:
            self._refuse(line, f'key "{value}" is given twice')
        mapping.key = value

    def _put(self, value: Any, line: int) -> None:
        if not self._open:
            self._document.value = value
            return
        parent = self._open[-1]
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.key is None:
            self._refuse(line, "a key must be text")
            parent.key = ""
        else:
            parent.value[parent.key] = value
            parent.key = None

    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def _refuse(self, line: int, reason: str) -> None:
        self._document.problems.append((line, reason))

    def _resolve(self, text: str, line: int) -> Any:
        """The value of a plain scalar (YAML 1.1 core types without dates and base 60)."""
        if text in _NULL:
            return None
        lowered = text.lower()
        if lowered in _TRUE | _FALSE and text in {lowered, lowered.title(), text.upper()}:
            return lowered in _TRUE
        if _NOT_FINITE.fullmatch(text):
            self._refuse(line, f"{text} is not a finite number")
            return None
        whole = _INT.fullmatch(text)
        if not whole and not _FLOAT.fullmatch(text):
            return text
        if len(text) > _LONGEST_NUMBER:
            self._refuse(line, "number is too long")
            return None
        return _integer(text) if whole else float(text)


_BASES = {"0b": 2, "0x": 16, "0o": 8}


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    sign, digits = (-1, digits[1:]) if digits.startswith("-") else (1, digits.removeprefix("+"))
    base = _BASES.get(digits[:2])
    if base:
        return sign * int(digits[2:], base)
    return sign * int(digits, 8 if digits.startswith("0") else 10)
