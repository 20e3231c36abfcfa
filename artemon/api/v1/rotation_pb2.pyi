from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class RotationStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RotationStatus(_message.Message):
    __slots__ = ("phase", "old_root", "new_root", "since", "confirmed", "confirmed_count", "total_count", "behind", "leader", "roots", "root_ends", "roots_pem")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    OLD_ROOT_FIELD_NUMBER: _ClassVar[int]
    NEW_ROOT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    ROOT_ENDS_FIELD_NUMBER: _ClassVar[int]
    ROOTS_PEM_FIELD_NUMBER: _ClassVar[int]
    phase: str
    old_root: str
    new_root: str
    since: str
    confirmed: bool
    confirmed_count: int
    total_count: int
    behind: _containers.RepeatedScalarFieldContainer[str]
    leader: str
    roots: _containers.RepeatedScalarFieldContainer[str]
    root_ends: _containers.RepeatedScalarFieldContainer[str]
    roots_pem: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, phase: _Optional[str] = ..., old_root: _Optional[str] = ..., new_root: _Optional[str] = ..., since: _Optional[str] = ..., confirmed: bool = ..., confirmed_count: _Optional[int] = ..., total_count: _Optional[int] = ..., behind: _Optional[_Iterable[str]] = ..., leader: _Optional[str] = ..., roots: _Optional[_Iterable[str]] = ..., root_ends: _Optional[_Iterable[str]] = ..., roots_pem: _Optional[_Iterable[str]] = ...) -> None: ...

class RotateRequest(_message.Message):
    __slots__ = ("by",)
    BY_FIELD_NUMBER: _ClassVar[int]
    by: str
    def __init__(self, by: _Optional[str] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("by",)
    BY_FIELD_NUMBER: _ClassVar[int]
    by: str
    def __init__(self, by: _Optional[str] = ...) -> None: ...
