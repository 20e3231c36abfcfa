"""What every user-written message shares: strict decoding, camelCase on the wire, oneofs, required fields."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    Strict,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from artemon.model.words import describe

T = TypeVar("T")
Seq = Annotated[tuple[T, ...], Strict(False)]
"""A list on the wire, a tuple in memory; `null` elements are refused."""

Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Uint32 = Annotated[int, Field(ge=0, le=2**32 - 1)]
Uint64 = Annotated[int, Field(ge=0, le=2**64 - 1)]

WIRE = "wire"
"""Validation context of text that a user wrote: only wire names, and `null` is not a way to say nothing."""


def wire_name(name: str) -> str:
    """`max_retries` -> `maxRetries`: the proto3 JSON name of a field."""
    return re.sub(r"_([a-z0-9])", lambda found: found.group(1).upper(), name)


class Message(BaseModel):
    """One message of Istio's schema, immutable.

    Decoding is strict: an unknown field, a wrong type, a missing required field or two members of one oneof
    are refused, all of them at once. A field that was not written has its proto3 zero value;
    `model_fields_set` tells written from not written.

    oneofs: name -> wire names of its members. required: wire names that must be written.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=wire_name,
        populate_by_name=True,
        allow_inf_nan=False,
        defer_build=True,  # a daemon uses few of the kinds; validators take memory
    )

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {}
    required: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core_schema))
        return {**schema, "required": list(cls.required)} if cls.required else schema

    @model_validator(mode="wrap")
    @classmethod
    def _all_problems_at_once(
        cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        found = list(cls._shape(data, on_the_wire=info.context == WIRE))
        try:
            value = handler(data)
        except ValidationError as error:
            told = {item.get("loc") for item in found}
            found += (item for item in _details(error) if item.get("loc") not in told)
        else:
            if not found:
                return value
        raise ValidationError.from_exception_data(cls.__name__, found)

    @classmethod
    def _shape(cls, data: dict[str, Any], *, on_the_wire: bool) -> Iterator[InitErrorDetails]:
        """What is wrong between fields: unknown names, nulls, required fields, oneofs."""
        fields = wire_fields(cls)
        written = {wire_name(key) if isinstance(key, str) else key for key in data}
        for key, value in data.items():
            known = key in fields or (not on_the_wire and key in cls.model_fields)
            if isinstance(key, str) and not known:
                near = difflib.get_close_matches(key, fields, 1, 0.7)
                hint = f' (did you mean "{near[0]}"?)' if near else ""
                yield _problem((key,), f"unknown field{hint}", value)
            elif on_the_wire and known and value is None and not fields[key]:
                yield _problem((key,), "must not be null; leave the field out", None)
        for name in cls.required:
            if name not in written:
                yield _problem((name,), "is required", data)
        for members in cls.oneofs.values():
            both = [name for name in members if name in written and data.get(name) is not None]
            if len(both) > 1:
                yield _problem((), f"only one of {', '.join(both)} may be set", data)


@cache
def wire_fields(cls: type[Message]) -> Mapping[str, bool]:
    """Wire name of each field -> whether `null` may be written (protobuf's wrapper types)."""
    in_oneof = {name for members in cls.oneofs.values() for name in members}
    return {
        field.alias or name: (field.alias or name) not in in_oneof and _is_wrapper(field.annotation)
        for name, field in cls.model_fields.items()
    }


_SCALARS = {bool, int, float}


def _is_wrapper(annotation: Any) -> bool:
    """Whether a field is `bool | None`, `Uint32 | None` or the like."""
    parts = getattr(annotation, "__args__", ())
    return type(None) in parts and any(getattr(part, "__origin__", part) in _SCALARS for part in parts)


def _problem(location: tuple[str | int, ...], message: str, value: Any) -> InitErrorDetails:
    return {
        "type": PydanticCustomError("shape", "{words}", {"words": message}),
        "loc": location,
        "input": value,
    }


def _details(error: ValidationError) -> list[InitErrorDetails]:
    """The errors of `error` in words, to be raised again; unknown fields are told by `_shape`."""
    return [
        _problem(item["loc"], describe(item), item["input"])
        for item in error.errors(include_url=False)
        if not (item["type"] == "extra_forbidden" and len(item["loc"]) == 1)
    ]
