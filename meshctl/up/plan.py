"""What runs: the settings files of every daemon and proxy, and the programs for the supervisor."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import yaml

from artemon.snapshot.edge.listeners import NAME_LABEL
from meshctl.up import members
from meshctl.up.layout import (
    APP_PORT,
    CONTROL_PLANE,
    GATEWAY,
    GATEWAY_PORT,
    HEALTH_PORTS,
    INSTANCES,
    PROXY_PORT,
    PROXY_PORTS,
    SERVICE_PORT,
    Instance,
    Layout,
)
from meshctl.up.processes import Program

CITADELD_PORT, JOIN_PORT, PILOTD_PORT, GALLEYD_PORT, MIXERD_PORT = 15013, 15016, 15012, 15014, 15004
SYSTEM_NAMESPACE = "artemon-system"


def programs(layout: Layout, *, registry: str, demo: bool) -> list[Program]:
    """Everything that runs, in the order in which it is started. Raises ArtemonError where a server of the
    registry is to be started and cannot be found."""
    rows = members.programs(layout, registry)
    rows += [_daemon(layout, name) for name in CONTROL_PLANE]
    if demo:
        rows += [_application(layout, instance) for instance in INSTANCES]
        rows += [_proxy(layout, instance) for instance in (GATEWAY, *INSTANCES)]
    return rows


def accounts(*, demo: bool) -> Iterator[tuple[str, str, str]]:
    """Who joins with a token: (name, namespace, service account)."""
    for name in CONTROL_PLANE[1:]:
        yield name, SYSTEM_NAMESPACE, name
    if demo:
        for instance in (GATEWAY, *INSTANCES):
            yield instance.name, instance.namespace, instance.service_account


def addresses(layout: Layout, *, registry: str, demo: bool) -> Iterator[tuple[str, int, str]]:
    """Every address that will be listened on: (host, port, by whom)."""
    ports = {
        "citadeld": (CITADELD_PORT, JOIN_PORT),
        "galleyd": (GALLEYD_PORT,),
        "pilotd": (PILOTD_PORT,),
        "mixerd": (MIXERD_PORT,),
    }
    for name in CONTROL_PLANE:
        for port in (*ports[name], HEALTH_PORTS[name]):
            yield layout.control, port, name
    yield from members.addresses(layout, registry)
    if not demo:
        return
    for instance in (GATEWAY, *INSTANCES):
        own = (GATEWAY_PORT,) if instance is GATEWAY else (SERVICE_PORT, APP_PORT, PROXY_PORT)
        for port in (*own, *PROXY_PORTS.values()):
            yield layout.host(instance.number), port, instance.name


def write_settings(layout: Layout, *, registry: str, demo: bool) -> None:
    """One settings file for each daemon and proxy, and for the registry's own servers."""
    members.write_settings(layout, registry)
    registry = members.url(layout, registry)
    rows: dict[str, dict[str, Any]] = {
        "citadeld": _citadeld(layout, registry),
        "galleyd": _galleyd(layout, registry),
        "pilotd": _pilotd(layout, registry),
        "mixerd": _mixerd(layout, registry),
    }
    if demo:
        rows |= {instance.name: _proxyd(layout, instance) for instance in (GATEWAY, *INSTANCES)}
    for name, settings in rows.items():
        path = layout.config(name)
        for folder in (path.parent, layout.data(name), layout.run(name), layout.log(name).parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def _citadeld(layout: Layout, registry: str) -> dict[str, Any]:
    return {
        "http": f"{layout.control}:{HEALTH_PORTS['citadeld']}",
        "data_dir": str(layout.data("citadeld")),
        "registry": registry,
        "listen": f"{layout.control}:{CITADELD_PORT}",
        "join_listen": f"{layout.control}:{JOIN_PORT}",
        "socket": str(layout.citadeld_socket),
        "names": ["localhost", layout.control],
    }


def _identity(layout: Layout, name: str) -> dict[str, Any]:
    return {
        "citadeld": [f"{layout.control}:{CITADELD_PORT}"],
        "join_token_file": str(layout.token(name)),
        "ca_pin": str(layout.roots),
    }


def _galleyd(layout: Layout, registry: str) -> dict[str, Any]:
    return {
        "http": f"{layout.control}:{HEALTH_PORTS['galleyd']}",
        "registry": registry,
        "listen": f"{layout.control}:{GALLEYD_PORT}",
        "state_dir": str(layout.data("galleyd")),
        "identity_dir": str(layout.data("galleyd") / "identity"),
        "admin_token_file": str(layout.admin_token),
        "pilotd": [f"{layout.control}:{PILOTD_PORT}"],
        "mixerd": [f"{layout.control}:{MIXERD_PORT}"],
        "daemons": [f"{name}={layout.control}:{port}" for name, port in HEALTH_PORTS.items()],
        "secrets_key_file": str(layout.secrets_key),
        **_identity(layout, "galleyd"),
    }


def _pilotd(layout: Layout, registry: str) -> dict[str, Any]:
    return {
        "http": f"{layout.control}:{HEALTH_PORTS['pilotd']}",
        "registry": registry,
        "listen": f"{layout.control}:{PILOTD_PORT}",
        "data_dir": str(layout.data("pilotd")),
        "identity_dir": str(layout.data("pilotd") / "identity"),
        "socket": str(layout.run("pilotd") / "pilotd.sock"),
        "secrets_key_file": str(layout.secrets_key),
        **_identity(layout, "pilotd"),
    }


def _mixerd(layout: Layout, registry: str) -> dict[str, Any]:
    return {
        "registry": registry,
        "http": f"{layout.control}:{HEALTH_PORTS['mixerd']}",
        "listen": f"{layout.control}:{MIXERD_PORT}",
        "data_dir": str(layout.data("mixerd")),
        "identity_dir": str(layout.data("mixerd") / "identity"),
        **_identity(layout, "mixerd"),
    }


def _proxyd(layout: Layout, instance: Instance) -> dict[str, Any]:
    address = layout.host(instance.number)
    if instance is GATEWAY:
        labels = {"istio": "ingressgateway", "app": instance.service, NAME_LABEL: "ingressgateway"}
        port = {"name": "http", "number": 80, "protocol": "HTTP", "listen_port": GATEWAY_PORT}
    else:
        labels = {"app": instance.service, "version": instance.version}
        port = {"name": "http", "number": SERVICE_PORT, "protocol": "HTTP", "app_port": APP_PORT}
    return {
        "data_dir": str(layout.data(instance.name)),
        "run_dir": str(layout.run(instance.name)),
        "pilotd": [f"{layout.control}:{PILOTD_PORT}"],
        "type": instance.role,
        "node": instance.name,
        "namespace": instance.namespace,
        "service_account": instance.service_account,
        "service": instance.service,
        "ports": [port],
        "labels": labels,
        "ip_address": address,
        "app_address": address,
        "bind_address": address,
        "gateway_bind": address,
        **{f"{name}_port": number for name, number in PROXY_PORTS.items()},
        **_identity(layout, instance.name),
    }


def _daemon(layout: Layout, name: str) -> Program:
    argv = (sys.executable, "-P", "-m", name, "--config", str(layout.config(name)))
    return Program(name, name, argv, str(layout.log(name)))


def _proxy(layout: Layout, instance: Instance) -> Program:
    argv = (sys.executable, "-P", "-m", "proxyd", "run", "--config", str(layout.config(instance.name)))
    return Program(f"proxyd {instance.name}", "proxyd", argv, str(layout.log(instance.name)))


def _application(layout: Layout, instance: Instance) -> Program:
    address = layout.host(instance.number)
    argv = (
        *(sys.executable, "-P", "-m", "meshctl.bookinfo", instance.service),
        *("--version", instance.version, "--listen", f"{address}:{APP_PORT}"),
    )
    env = {"http_proxy": f"http://{address}:{PROXY_PORT}", "no_proxy": "", "BOOKINFO_PORT": str(SERVICE_PORT)}
    log = str(layout.log(f"app-{instance.name}"))
    return Program(f"app {instance.name}", "app", argv, log, env=env)


def remember(layout: Layout, *, demo: bool, registry: str) -> None:
    """Write down what was asked for, so that `status` and `down` need only the folder."""
    asked = {"network": str(layout.network), "demo": demo, "registry": registry}
    (layout.folder / "asked.json").write_text(json.dumps(asked) + "\n", encoding="utf-8")


def recall(folder: os.PathLike[str]) -> dict[str, Any] | None:
    """What `remember` wrote; None when no mesh was ever brought up there."""
    try:
        with open(os.path.join(folder, "asked.json"), encoding="utf-8") as file:
            asked: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return None
    return asked
