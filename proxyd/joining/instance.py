"""One of several proxies on a machine: what its name decides, unless settings say otherwise."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from artemon.errors import ArtemonError
from proxyd.capture_settings import INSTANCE
from proxyd.joining.running import INSTANCES

PORTS = {
    "admin_port": 15000,
    "outbound_port": 15001,
    "inbound_port": 15006,
    "status_port": 15020,
    "ready_port": 15021,
    "stats_port": 15090,
}
"""Of the proxy without a name; the first with one has them 100 higher, and so on."""
STEP, MOST = 100, 80


def config_of(name: str) -> Path:
    """The file of settings of this proxy. Raises ArtemonError for what is no name."""
    if not INSTANCE.fullmatch(name):
        raise ArtemonError(f'--name: "{name}" must be 1 to 17 of a-z, 0-9 and -, and begin with a letter')
    return INSTANCES / f"{name}.yaml"


def defaults(name: str, config: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the proxy `name`: directories, user and ports of its own. It has the ports of its service.
    Raises ArtemonError when there are too many proxies, or the ports given are not a list."""
    return {
        "instance": name,
        "node": f"{socket.gethostname()}-{name}",
        "data_dir": f"/var/lib/artemon/proxies/{name}",
        "run_dir": f"/run/artemon/proxies/{name}",
        "proxy_user": f"artemon-proxy-{name}",
        **_ports(config),
        **({"include_inbound_ports": served} if (served := _served(given)) else {}),
    }


def _ports(config: Path) -> dict[str, int]:
    """Those that it has already, or the first that nobody else has."""
    own = _content(config)
    if "admin_port" in own:
        return {key: int(own[key]) for key in PORTS if key in own}
    taken = {_content(path).get("admin_port") for path in config.parent.glob("*.yaml")}
    for slot in range(1, MOST):
        if PORTS["admin_port"] + slot * STEP not in taken:
            return {key: port + slot * STEP for key, port in PORTS.items()}
    raise ArtemonError(f"{config.parent}: there are {MOST} proxies on this machine already")


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _served(given: Mapping[str, Any]) -> list[str]:
    """Where peers connect to the service."""
    ports = given.get("ports") or []
    try:
        listed = json.loads(ports) if isinstance(ports, str) else ports
        return [str(port) for one in listed for port in _listens(one)]
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise ArtemonError(f"ports: must be a list of ports: {error!r}") from error


def _listens(port: Mapping[str, Any]) -> Iterator[int]:
    for names in (("listen_port", "listenPort"), ("app_port", "appPort"), ("number",)):
        for name in names:
            if port.get(name):
                yield int(port[name])
                return
