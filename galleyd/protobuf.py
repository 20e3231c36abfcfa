"""The few fields that are read of Kubernetes' protobuf bodies: kubectl sends some requests in no other form.

A body is `k8s\\0` and `runtime.Unknown`, whose field 2 holds the object (Kubernetes API conventions,
"Protobuf encoding").
"""

from __future__ import annotations

from collections.abc import Iterator

from galleyd.status import bad_request

_MAGIC = b"k8s\x00"
_BYTES = 2


MEDIA = "application/vnd.kubernetes.protobuf"


def raw(content: bytes) -> bytes:
    """The object in a body. Raises ApiError 400."""
    if not content.startswith(_MAGIC):
        raise bad_request("the body is not a Kubernetes protobuf message")
    return field(content[len(_MAGIC) :], 2)


def text(message: bytes, *path: int) -> str:
    """The text at a path of field numbers; "" when absent. Raises ApiError 400."""
    for number in path:
        message = field(message, number)
    try:
        return message.decode()
    except UnicodeDecodeError as error:
        raise bad_request("the body holds text that is not UTF-8") from error


def entries(message: bytes, number: int) -> dict[str, bytes]:
    """The map in field `number`, whose keys are text. Raises ApiError 400."""
    return {text(one, 1): field(one, 2) for found, one in _fields(message) if found == number}


def field(message: bytes, number: int) -> bytes:
    """The first value of a field; b"" when absent. Raises ApiError 400."""
    return next((value for found, value in _fields(message) if found == number), b"")


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Length-delimited fields; numbers are skipped."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        wire = key & 7
        if wire == 0:
            _, position = _varint(message, position)
            continue
        if wire == _BYTES:
            size, position = _varint(message, position)
        else:
            size = {1: 8, 5: 4}.get(wire, len(message) + 1)
        if position + size > len(message):
            raise bad_request("the body is not a protobuf message")
        if wire == _BYTES:
            yield key >> 3, message[position : position + size]
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
    raise bad_request("the body is not a protobuf message")
