"""What rules do besides sending instances: choose among reports, and change headers of requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from artemon.errors import Problem
from artemon.expr import ExpressionRefused, Manifest, Program, compile_expression
from artemon.expr.values import ValueType
from artemon.model.mixer import HeaderOperation, Rule

_SHARES = {"HUNDRED": 100, "TEN_THOUSAND": 10_000}


@dataclass(frozen=True, slots=True)
class SampleTerms:
    """Which reports are looked at. numerator, denominator: a share of them, all where the latter is 0;
    expression: gives the numerator instead; independent: of the request's identifier. seconds: a window in
    which the first `most` are looked at, then one of `one_of` (0: none); 0 for no such window."""

    numerator: int = 0
    denominator: int = 0
    expression: Program | None = None
    independent: bool = False
    seconds: float = 0.0
    most: int = 0
    one_of: int = 0


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """What becomes of one header of requests, or of responses."""

    name: str
    operation: str
    values: tuple[Program, ...]
    response: bool


def sample_terms(rule: Rule, manifest: Manifest, problems: list[Problem]) -> SampleTerms | None:
    """The terms of a rule; None where all reports are looked at."""
    sampling = rule.sampling
    if sampling is None or (sampling.random is None and sampling.rate_limit is None):
        return None
    random, rate = sampling.random, sampling.rate_limit
    percent = random.percent_sampled if random else None
    expression = None
    if random is not None and random.attribute_expression:
        path = "spec.sampling.random.attributeExpression"
        expression = _compiled(random.attribute_expression, manifest, path, problems)
        if expression is not None and expression.type not in (ValueType.INT64, ValueType.DOUBLE):
            problems.append(Problem(path, f"is {expression.type}, must be INT64 or DOUBLE"))
    return SampleTerms(
        numerator=percent.numerator if percent else 0,
        denominator=_SHARES[percent.denominator if percent else "HUNDRED"] if random else 0,
        expression=expression,
        independent=bool(random and random.use_independent_randomness),
        seconds=rate.sampling_duration.seconds if rate and rate.sampling_duration else 0.0,
        most=rate.max_unsampled_entries if rate else 0,
        one_of=rate.sampling_rate if rate else 0,
    )


def header_changes(rule: Rule, manifest: Manifest, problems: list[Problem]) -> tuple[HeaderChange, ...]:
    """What a rule does with headers, in its order."""
    found = [
        *_changes("requestHeaderOperations", rule.request_header_operations, manifest, problems),
        *_changes("responseHeaderOperations", rule.response_header_operations, manifest, problems),
    ]
    return tuple(found)


def _changes(
    field: str, operations: tuple[HeaderOperation, ...], manifest: Manifest, problems: list[Problem]
) -> Iterator[HeaderChange]:
    for index, one in enumerate(operations):
        programs = []
        for number, text in enumerate(one.values):
            path = f"spec.{field}[{index}].values[{number}]"
            program = _compiled(text, manifest, path, problems)
            if program is not None and program.type is not ValueType.STRING:
                problems.append(Problem(path, f"is {program.type}, must be STRING"))
            if program is not None:
                programs.append(program)
        yield HeaderChange(
            one.name.lower(), one.operation, tuple(programs), response=field.startswith("response")
        )


def _compiled(text: str, manifest: Manifest, path: str, problems: list[Problem]) -> Program | None:
    try:
        return compile_expression(text, manifest)
    except ExpressionRefused as refused:
        problems.append(Problem(path, str(refused)))
        return None
