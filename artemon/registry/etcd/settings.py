"""Where records of services lie in etcd, and what they are called in the mesh."""

from __future__ import annotations

from pydantic import Field, field_validator

from artemon.errors import StoreError
from artemon.registry.api import RegistrySettings
from artemon.store.etcd.settings import EtcdSettings
from artemon.store.limits import check_prefix


class EtcdRegistrySettings(RegistrySettings, EtcdSettings):
    """The query of an `etcd://` URL among the registries."""

    prefix: str = Field("services/", description="Keys are <prefix><namespace>/<service>/<instance>.")
    host: str = Field(
        "{service}.{namespace}.svc.cluster.local", description="What a service is called in the mesh."
    )

    @field_validator("prefix")
    @classmethod
    def _is_prefix(cls, value: str) -> str:
        try:
            check_prefix(value)
        except StoreError as error:
            raise ValueError(str(error)) from error
        if not value.endswith("/"):
            raise ValueError(f'"{value}" must end with /')
        return value

    @field_validator("host")
    @classmethod
    def _names_both(cls, value: str) -> str:
        try:
            first, second = value.format(service="a", namespace="b"), value.format(service="b", namespace="b")
        except (LookupError, ValueError) as error:
            raise ValueError(f'"{value}" may have {{service}} and {{namespace}} alone') from error
        if first == second:
            raise ValueError(f'"{value}" must have {{service}}')
        return value
