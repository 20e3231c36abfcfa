"""Which mesh, and as whom: the configuration file, ARTEMON_* variables, flags. Flags win, then variables.

contexts:                                  # ${XDG_CONFIG_HOME:-~/.config}/artemon/config.yaml
  artemon: {server: https://..., ca: FILE, token: FILE}
current: artemon
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from artemon.errors import ArtemonError, Problem, Refused
from artemon.kube.access import Access

VARIABLES = {
    "server": "ARTEMON_SERVER",
    "ca": "ARTEMON_CA",
    "token": "ARTEMON_TOKEN_FILE",
    "certificate": "ARTEMON_CERTIFICATE",
    "key": "ARTEMON_KEY",
    "namespace": "ARTEMON_NAMESPACE",
    "tls_server_name": "ARTEMON_TLS_SERVER_NAME",
}
"""Field of a context -> environment variable. ARTEMON_TOKEN holds a token itself, ARTEMON_CONTEXT a name."""


class Place(BaseModel):
    """One mesh. ca, token, certificate and key are paths of files."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    server: str = ""
    ca: str = ""
    token: str = ""
    certificate: str = ""
    key: str = ""
    namespace: str = "default"
    tls_server_name: str = ""


class Config(BaseModel):
    """The configuration file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    current: str = ""
    contexts: dict[str, Place] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a command goes. namespace: of objects that name none, and of lists. ca_file: whom it trusts."""

    access: Access
    namespace: str
    ca_file: Path | None = None


def home_folder() -> Path:
    """The user's home directory. Raises ArtemonError where there is none."""
    try:
        return Path.home()
    except RuntimeError as error:
        raise ArtemonError(
            "no home directory is known: set HOME, or XDG_CONFIG_HOME and XDG_STATE_HOME"
        ) from error


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the configuration file is. Raises ArtemonError."""
    home = environ.get("XDG_CONFIG_HOME") or home_folder() / ".config"
    return Path(home) / "artemon" / "config.yaml"


def read_config(path: Path) -> Config:
    """The configuration; empty when there is no file. Raises Refused."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Config.model_validate(content or {})
    except FileNotFoundError:
        return Config()
    except ValidationError as error:
        problems = [Problem(".".join(map(str, item["loc"])), item["msg"]) for item in error.errors()]
        raise Refused(problems, subject=str(path)) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Refused([Problem("", f"cannot be read: {error}")], subject=str(path)) from error


def remember_context(name: str, *, server: str, ca: Path, token: Path) -> None:
    """Write context `name` into the configuration file and make it the current one; the rest stays."""
    config = read_config(config_path())
    known = config.contexts.get(name, Place())
    place = known.model_copy(update={"server": server, "ca": str(ca), "token": str(token)})
    write_config(Config(current=name, contexts={**config.contexts, name: place}))


def write_config(config: Config) -> None:
    """Replace the configuration file, readable by its owner alone. Raises ArtemonError."""
    path = config_path()
    text = yaml.safe_dump(config.model_dump(by_alias=True, exclude_defaults=True), sort_keys=False)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(text, encoding="utf-8")
        draft.chmod(0o600)
        draft.replace(path)
    except OSError as error:
        raise ArtemonError(f"{path}: the context cannot be written: {error.strerror}") from error


def known_context(config: Config, name: str) -> Place:
    """The context of that name. Raises ArtemonError with the names that there are."""
    if name not in config.contexts:
        known = ", ".join(config.contexts) or "none"
        raise ArtemonError(f'there is no context "{name}" (known: {known})')
    return config.contexts[name]


def find_target(
    *,
    context: str = "",
    flags: Mapping[str, str | None],
    insecure: bool = False,
    environ: Mapping[str, str] = os.environ,
    config: Config | None = None,
) -> Target:
    """The mesh that is meant. flags: fields of a context that were given by hand. Raises ArtemonError."""
    config = read_config(config_path(environ)) if config is None else config
    place = _place(config, context or environ.get("ARTEMON_CONTEXT", ""), flags, environ)
    if not place.server:
        raise ArtemonError(
            "no mesh is known: bring one up with `meshctl up --demo`, or name one with --server and --ca"
        )
    token = _read(place.token, "token").strip() if place.token else ""
    if not flags.get("token"):
        token = environ.get("ARTEMON_TOKEN", "").strip() or token
    access = Access(
        server=place.server,
        ca="" if insecure or not place.ca else _read(place.ca, "CA"),
        server_name=place.tls_server_name,
        token=token,
        certificate=Path(place.certificate) if place.certificate else None,
        key=Path(place.key) if place.key else None,
        insecure=insecure,
    )
    return Target(access, place.namespace, Path(place.ca).expanduser() if place.ca else None)


def _place(config: Config, name: str, flags: Mapping[str, str | None], environ: Mapping[str, str]) -> Place:
    given = {field: environ[variable] for field, variable in VARIABLES.items() if environ.get(variable)}
    given |= {field: value for field, value in flags.items() if value}
    elsewhere = "server" in given and not name
    if name:
        known_context(config, name)
    stored: Any = Place() if elsewhere else config.contexts.get(name or config.current, Place())
    return Place(**{**stored.model_dump(), **given})


def _read(path: str, what: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtemonError(f"the {what} file {path} cannot be read: {error}") from error
