"""What proxyd can be told about interception; the options are Istio's."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from proxyd.intercept.capture import INBOUND_PORT, OUTBOUND_PORT
from proxyd.intercept.cgroups import path_of

Interception = Literal["NONE", "REDIRECT", "TPROXY"]
PROXY_USER = "artemon-proxy"
ALL = "*"
_PORTS = (
    "include_inbound_ports",
    "exclude_inbound_ports",
    "include_outbound_ports",
    "exclude_outbound_ports",
)
_EVERYTHING = frozenset(
    {"include_inbound_ports", "include_outbound_cidrs", "include_users", "include_groups", "include_cgroups"}
)
"""Lists in which `*` may stand, alone."""
INSTANCE = re.compile(r"[a-z][a-z0-9-]{0,16}")
"""Names of proxies: users of Linux are named after them, which have 31 characters at most."""
_INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}\*?")


class CaptureSettings(BaseModel):
    """Settings of interception. `*` stands for everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instance: str = Field(
        "", description="Name of this proxy among several on the machine; empty: the one without a name."
    )
    interception: Interception = Field(
        "NONE",
        description="How connections reach Envoy: NONE, REDIRECT, or TPROXY (keeps the source address).",
    )
    proxy_user: str = Field(PROXY_USER, description="User (name or number) that proxyd and Envoy run as.")
    outbound_port: int = Field(
        OUTBOUND_PORT, ge=1, le=65535, description="Where Envoy takes captured outbound connections."
    )
    inbound_port: int = Field(
        INBOUND_PORT, ge=1, le=65535, description="Where Envoy takes captured inbound connections."
    )
    include_inbound_ports: tuple[str, ...] = Field((ALL,), description="Inbound ports that are captured.")
    exclude_inbound_ports: tuple[str, ...] = Field(
        (), description="Inbound ports that are not, beside SSH's and proxyd's own."
    )
    include_outbound_cidrs: tuple[str, ...] = Field((ALL,), description="Destinations that are captured.")
    exclude_outbound_cidrs: tuple[str, ...] = Field((), description="Destinations that are not.")
    include_outbound_ports: tuple[str, ...] = Field(
        (), description="Destination ports that are captured wherever they lead."
    )
    exclude_outbound_ports: tuple[str, ...] = Field((), description="Destination ports that are not.")
    include_users: tuple[str, ...] = Field((ALL,), description="Users whose connections are captured.")
    exclude_users: tuple[str, ...] = Field((), description="Users whose connections are not.")
    include_groups: tuple[str, ...] = Field((ALL,), description="Groups whose connections are captured.")
    exclude_groups: tuple[str, ...] = Field((), description="Groups whose connections are not.")
    include_cgroups: tuple[str, ...] = Field(
        (ALL,),
        description="Slices of systemd (shop-cart.slice), or paths of control groups, whose connections are"
        " captured.",
    )
    exclude_interfaces: tuple[str, ...] = Field(
        (), description="Interfaces that are left alone; a name may end in *."
    )

    virtual_interfaces: tuple[str, ...] = Field(
        (), description="Interfaces of virtual machines behind this one, whose connections are outbound ones."
    )
    intercept_dir: str = Field(
        "/var/lib/artemon/intercept", description="What is known of rules that were applied (root's, 0700)."
    )

    @field_validator("instance")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if value and not INSTANCE.fullmatch(value):
            raise ValueError(f'"{value}" must be 1 to 17 of a-z, 0-9 and -, and begin with a letter')
        return value

    @field_validator(*_PORTS, mode="before")
    @classmethod
    def _as_texts(cls, values: object) -> object:
        return [str(one) for one in values] if isinstance(values, list | tuple) else values

    @field_validator(*_PORTS)
    @classmethod
    def _are_ports(cls, values: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for value in _named(values, info):
            if not (value.isdecimal() and 1 <= int(value) <= 65535):
                raise ValueError(f'"{value}" is not a port (1 to 65535)')
        return values

    @field_validator("include_outbound_cidrs", "exclude_outbound_cidrs")
    @classmethod
    def _are_networks(cls, values: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for value in _named(values, info):
            try:
                ip_network(value, strict=False)
            except ValueError as error:
                raise ValueError(f'"{value}" is not an address or CIDR block') from error
        return values

    @field_validator("include_cgroups")
    @classmethod
    def _are_cgroups(cls, values: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for value in _named(values, info):
            path_of(value)
        return values

    @field_validator("exclude_interfaces", "virtual_interfaces")
    @classmethod
    def _are_interfaces(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not _INTERFACE.fullmatch(value):
                raise ValueError(f'"{value}" is not the name of an interface')
        return values

    @model_validator(mode="after")
    def _tell_one_thing(self) -> Self:
        if self.include_users != (ALL,) and self.include_cgroups != (ALL,):
            raise ValueError(
                "include_users, include_cgroups: one of them says whose connections are captured"
            )
        return self

    @property
    def intercepts(self) -> bool:
        """Whether connections come by interception."""
        return self.interception != "NONE"


def _named(values: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """The values that are not `*`."""
    if values == (ALL,) and info.field_name in _EVERYTHING:
        return ()
    return values
