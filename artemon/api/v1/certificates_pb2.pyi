from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Certificate(_message.Message):
    __slots__ = ("serial", "identity", "node", "issuer", "not_before", "not_after", "issued", "revoked", "reason")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    ISSUED_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    serial: str
    identity: str
    node: str
    issuer: str
    not_before: str
    not_after: str
    issued: str
    revoked: str
    reason: str
    def __init__(self, serial: _Optional[str] = ..., identity: _Optional[str] = ..., node: _Optional[str] = ..., issuer: _Optional[str] = ..., not_before: _Optional[str] = ..., not_after: _Optional[str] = ..., issued: _Optional[str] = ..., revoked: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Ban(_message.Message):
    __slots__ = ("identity", "at", "by", "reason")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    identity: str
    at: str
    by: str
    reason: str
    def __init__(self, identity: _Optional[str] = ..., at: _Optional[str] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ListCertificatesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCertificatesResponse(_message.Message):
    __slots__ = ("certificates", "bans")
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    BANS_FIELD_NUMBER: _ClassVar[int]
    certificates: _containers.RepeatedCompositeFieldContainer[Certificate]
    bans: _containers.RepeatedCompositeFieldContainer[Ban]
    def __init__(self, certificates: _Optional[_Iterable[_Union[Certificate, _Mapping]]] = ..., bans: _Optional[_Iterable[_Union[Ban, _Mapping]]] = ...) -> None: ...

class RevokeCertificateRequest(_message.Message):
    __slots__ = ("serial", "identity", "reason", "by")
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    serial: str
    identity: str
    reason: str
    by: str
    def __init__(self, serial: _Optional[str] = ..., identity: _Optional[str] = ..., reason: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class RevokeCertificateResponse(_message.Message):
    __slots__ = ("certificates", "revision")
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    certificates: int
    revision: int
    def __init__(self, certificates: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class ReinstateRequest(_message.Message):
    __slots__ = ("identity", "by")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    identity: str
    by: str
    def __init__(self, identity: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class ReinstateResponse(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    def __init__(self, revision: _Optional[int] = ...) -> None: ...
