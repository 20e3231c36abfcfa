"""The Container Network Interface as a plug-in speaks it (CNI specification 1.1.0)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from artemon.errors import ArtemonError

VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
INCOMPATIBLE, ENVIRONMENT, UNREADABLE, WRONG, LATER, NOT_NOW = 1, 4, 6, 7, 11, 50
"""Codes of the specification: version; environment variable; input; configuration; try again; plug-in cannot
serve now."""
NOT_INTERCEPTED, NOT_SET_UP = 100, 101
"""Our own: CHECK found no rules; rules could not be set."""
NEEDED = {
    "ADD": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "CHECK": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "DEL": ("CNI_CONTAINERID", "CNI_IFNAME"),
    "GC": (),
    "STATUS": (),
    "VERSION": (),
}
"""Command -> variables that must be set."""


class CniError(ArtemonError):
    """What the runtime is told. code: of the specification, or from 100 on ours."""

    def __init__(self, code: int, message: str, details: str = "") -> None:
        super().__init__(message)
        self.code, self.details = code, details

    def shown(self, version: str) -> dict[str, Any]:
        """As JSON."""
        found = {"cniVersion": version, "code": self.code, "msg": str(self)}
        return found | ({"details": self.details} if self.details else {})


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a runtime. previous: the result of the plug-ins before, None where there is none."""

    command: str
    version: str
    config: Mapping[str, Any] = field(default_factory=dict)
    netns: str = ""
    pod: str = ""
    namespace: str = ""

    @property
    def previous(self) -> Any:
        """What this plug-in passes on."""
        return self.config.get("prevResult")


def read(environ: Mapping[str, str], text: str) -> Call:
    """What is asked. Raises CniError."""
    command = environ.get("CNI_COMMAND", "")
    if command not in NEEDED:
        raise CniError(ENVIRONMENT, f'CNI_COMMAND: "{command}" is none of {", ".join(NEEDED)}')
    config = _config(text)
    version = str(config.get("cniVersion", "0.1.0"))
    if command != "VERSION" and version not in VERSIONS:
        known = ", ".join(VERSIONS)
        raise CniError(INCOMPATIBLE, f"cniVersion {version} is not spoken here", f"spoken are {known}")
    missing = [name for name in NEEDED[command] if not environ.get(name)]
    if missing:
        raise CniError(ENVIRONMENT, f"{', '.join(missing)}: not set")
    arguments = dict(part.partition("=")[::2] for part in environ.get("CNI_ARGS", "").split(";") if part)
    return Call(
        command,
        version,
        config,
        netns=environ.get("CNI_NETNS", ""),
        pod=arguments.get("K8S_POD_NAME", ""),
        namespace=arguments.get("K8S_POD_NAMESPACE", ""),
    )


def simple(call: Call) -> dict[str, Any] | None:
    """The answer to what needs neither a cluster nor a network namespace: rules go with theirs, and nothing
    else is kept."""
    return (
        {"cniVersion": call.version, "supportedVersions": list(VERSIONS)}
        if call.command == "VERSION"
        else None
    )


def _config(text: str) -> Mapping[str, Any]:
    try:
        config = json.loads(text)
    except ValueError as error:
        raise CniError(UNREADABLE, f"the network configuration is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise CniError(UNREADABLE, "the network configuration is not a JSON object")
    return config
