from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProxyStart(_message.Message):
    __slots__ = ("settings", "patch")
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    settings: StartSettings
    patch: BootstrapPatch
    def __init__(self, settings: _Optional[_Union[StartSettings, _Mapping]] = ..., patch: _Optional[_Union[BootstrapPatch, _Mapping]] = ...) -> None: ...

class StartSettings(_message.Message):
    __slots__ = ("concurrency", "environment", "local_cluster")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    LOCAL_CLUSTER_FIELD_NUMBER: _ClassVar[int]
    concurrency: int
    environment: _containers.ScalarMap[str, str]
    local_cluster: str
    def __init__(self, concurrency: _Optional[int] = ..., environment: _Optional[_Mapping[str, str]] = ..., local_cluster: _Optional[str] = ...) -> None: ...

class BootstrapPatch(_message.Message):
    __slots__ = ("place", "bootstrap", "replaces_lists", "trusted")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    BOOTSTRAP_FIELD_NUMBER: _ClassVar[int]
    REPLACES_LISTS_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_FIELD_NUMBER: _ClassVar[int]
    place: int
    bootstrap: bytes
    replaces_lists: bool
    trusted: bool
    def __init__(self, place: _Optional[int] = ..., bootstrap: _Optional[bytes] = ..., replaces_lists: bool = ..., trusted: bool = ...) -> None: ...
