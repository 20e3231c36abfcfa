"""What quotas have in common: how much of what may be used in which time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from artemon.adapters import Params, Row, Shape
from artemon.errors import ArtemonError, Problem
from artemon.model.duration import Duration
from artemon.model.message import Seq
from mixerd.adapters.plain import text

SECOND = 1_000_000_000
LONGEST = 31 * 86_400 * SECOND
Algorithm = Literal["FIXED_WINDOW", "ROLLING_WINDOW"]


class Override(Params):
    """Another amount for instances with these values of dimensions; the first that fits counts."""

    required: ClassVar[tuple[str, ...]] = ("dimensions", "maxAmount")

    dimensions: dict[str, str] = Field(default_factory=dict)
    max_amount: Annotated[int, Field(ge=0, le=2**31)] = 0
    valid_duration: Duration | None = None


class Quota(Params):
    """name: of the instance. maxAmount in validDuration, whole seconds, for every combination of values."""

    required: ClassVar[tuple[str, ...]] = ("name", "maxAmount", "validDuration")

    name: str = ""
    max_amount: Annotated[int, Field(ge=1, le=2**31)] = 1
    valid_duration: Duration | None = None
    rate_limit_algorithm: Algorithm = "FIXED_WINDOW"
    overrides: Seq[Override] = ()

    def terms_for(self, dimensions: Mapping[str, str]) -> tuple[int, int]:
        """Amount and nanoseconds."""
        usual = int(self.valid_duration or SECOND)
        for one in self.overrides:
            if one.dimensions.items() <= dimensions.items():
                return one.max_amount, int(one.valid_duration or usual)
        return self.max_amount, usual


Q = TypeVar("Q", bound=Quota)


def is_of(quota: Quota, instance: str) -> bool:
    """Whether a quota is about an instance: `name`, `name.namespace`, `name.instance.namespace`."""
    namespace, _, name = instance.partition("/")
    return quota.name in (name, f"{name}.{namespace}", f"{name}.instance.{namespace}", instance)


def quota_of(quotas: Sequence[Q], row: Row) -> Q:
    """The first of the quotas that is about a row's instance. Raises ArtemonError."""
    for quota in quotas:
        if is_of(quota, row.instance):
            return quota
    raise ArtemonError(f"there is no quota for {row.instance}")


def dimensions_of(row: Row) -> dict[str, str]:
    """The values that are told apart."""
    return {name: text(value) for name, value in row.values.get("dimensions", {}).items()}


def quota_problems(params: Any, shapes: Sequence[Shape]) -> Iterator[Problem]:
    """What is wrong with `params.quotas`, and with what rules send."""
    quotas: Sequence[Quota] = params.quotas
    if not quotas:
        yield Problem("spec.params.quotas", "must not be empty")
    for index, quota in enumerate(quotas):
        path = f"spec.params.quotas[{index}]"
        yield from _time(quota.valid_duration, f"{path}.valid_duration")
        for number, override in enumerate(quota.overrides):
            where = f"{path}.overrides[{number}]"
            if override.valid_duration is not None:
                yield from _time(override.valid_duration, f"{where}.valid_duration")
            if not override.dimensions:
                yield Problem(f"{where}.dimensions", "must not be empty")
            for shape in shapes:
                unknown = override.dimensions.keys() - shape.types.get("dimensions", {}).keys()
                if is_of(quota, shape.name) and unknown:
                    text_ = f"{shape.name} has no {', '.join(sorted(unknown))}"
                    yield Problem(f"{where}.dimensions", text_)
    for shape in shapes:
        if not any(is_of(quota, shape.name) for quota in quotas):
            yield Problem("spec.params.quotas", f"none is called {shape.name}, which a rule sends")


def _time(value: Duration | None, path: str) -> Iterator[Problem]:
    if value is None or not SECOND <= value <= LONGEST or value % SECOND:
        yield Problem(path, "must be whole seconds, 1s to 744h")
