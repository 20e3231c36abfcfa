"""Values of AuthorizationPolicy that match nothing: legal, as in Istio, but DENY denies nobody by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from artemon.model.authorization_policy import Condition, Rule
from artemon.model.message import Message, wire_name
from artemon.validate.findings import Problems, Reason, warning

_SCHEME = "spiffe://"


def _glob(value: str) -> Reason:
    """A star stands for any text at one end only."""
    inner = value[1:] if value.startswith("*") else value[:-1]
    return f'"{value}" matches its very text: a star counts at one end only' if "*" in inner else None


def _principal(value: str) -> Reason:
    if value.startswith(_SCHEME):
        return f'"{value}" matches nobody: write it without {_SCHEME}'
    return _glob(value)


def _request_principal(value: str) -> Reason:
    issuer, _, subject = value.rpartition("/")
    return (_glob(issuer) if issuer else None) or _glob(subject)


def _path(value: str) -> Reason:
    if not value.startswith(("/", "*", "{")):
        return f'"{value}" matches nothing: paths begin with "/"'
    if "?" in value or "#" in value:
        return f'"{value}" matches nothing: a path has neither query nor fragment'
    return None if "{*" in value else _glob(value)


_FIELDS: Mapping[str, Callable[[str], Reason]] = {
    "principals": _principal,
    "request_principals": _request_principal,
    "hosts": _glob,
    "methods": _glob,
    "paths": _path,
}
_CONDITIONS: Mapping[str, Callable[[str], Reason]] = {
    "source.principal": _principal,
    "request.auth.principal": _request_principal,
    "connection.sni": _glob,
}


def in_vain(rule: Rule, path: str) -> Problems:
    """A warning for each value of a rule that nothing can match."""
    for index, origin in enumerate(rule.from_):
        if origin.source:
            yield from _lists(origin.source, f"{path}.from[{index}].source")
    for index, target in enumerate(rule.to):
        if target.operation:
            yield from _lists(target.operation, f"{path}.to[{index}].operation")
    for index, when in enumerate(rule.when):
        yield from _condition(when, f"{path}.when[{index}]")


def _lists(message: Message, path: str) -> Problems:
    for name, judge in _FIELDS.items():
        for field in (name, f"not_{name}"):
            yield from _each(getattr(message, field, ()), judge, f"{path}.{wire_name(field)}")


def _condition(when: Condition, path: str) -> Problems:
    judge = _CONDITIONS.get(when.key)
    if judge is not None:
        yield from _each(when.values, judge, f"{path}.values")
        yield from _each(when.not_values, judge, f"{path}.notValues")


def _each(values: Sequence[str], judge: Callable[[str], Reason], path: str) -> Problems:
    for index, value in enumerate(values):
        reason = judge(value) if value else None
        if reason:
            yield warning(f"{path}[{index}]", reason)
