"""What every user-written message shares: strict decoding, camelCase on the wire, oneofs."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

T = TypeVar("T")
Seq = Annotated[tuple[T, ...], Strict(False)]
"""A list on the wire, a tuple in memory; `null` elements are refused."""

Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Uint32 = Annotated[int, Field(ge=0, le=2**32 - 1)]
Uint64 = Annotated[int, Field(ge=0, le=2**64 - 1)]


def wire_name(name: str) -> str:
    """`max_retries` -> `maxRetries`: the proto3 JSON name of a field."""
    return re.sub(r"_([a-z0-9])", lambda found: found.group(1).upper(), name)


class Message(BaseModel):
    """One message of Istio's schema, immutable.

    Decoding is strict: an unknown field, a wrong type or two members of one oneof are refused. A field that
    was not written has its proto3 zero value; `model_fields_set` tells written from not written.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=wire_name, populate_by_name=True
    )

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _at_most_one_of(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for members in cls.oneofs.values():
                written = [name for name in members if data.get(name) is not None]
                if len(written) > 1:
                    raise ValueError(f"only one of {', '.join(written)} may be set")
        return data
