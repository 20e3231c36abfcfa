"""meshctl explain: what one proxy would do with one request, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of
from artemon.simulate import Call, Configuration, Outcome, read_call, simulate
from artemon.snapshot.view import ProxyView
from artemon.translate import messages
from artemon.xds.types import CLUSTER, LISTENER, ROUTES
from meshctl.explain_text import text_of
from meshctl.forms import output as output_form
from meshctl.inputs import FILE, read_mesh_config, read_objects, read_one


@click.command()
@click.option("-f", "--filename", "paths", multiple=True, required=True, help="File, folder, or - for stdin.")
@click.option("--proxy", "proxy_file", type=FILE, required=True, help="The proxy, as YAML or JSON.")
@click.option("--call", "call_file", type=FILE, required=True, help="The request, as YAML or JSON.")
@click.option("--mesh-config", type=FILE, help="MeshConfig, as YAML.")
@output_form("json", "text", "yaml")
def explain(
    paths: tuple[str, ...], proxy_file: Path, call_file: Path, mesh_config: Path | None, output: str
) -> None:
    """Say what a proxy would do with one request, by walking its configuration as Envoy does.

    Example: meshctl explain -f mesh.yaml --proxy proxy.yaml --call call.yaml -o text
    """
    proxy, call = read_one(proxy_file, "proxy"), read_call(read_one(call_file, "call"))
    mesh = read_mesh_config(mesh_config)
    view = snapshot_of(read_objects(paths), mesh).view(read_proxy(proxy))
    found = explanation(view, call)
    click.echo(_WRITERS[output](view, call, found))


def explained(
    objects: list[dict[str, Any]],
    proxy: Mapping[str, Any],
    call: Mapping[str, Any],
    mesh: MeshConfig | None = None,
) -> dict[str, Any]:
    """The answer as JSON has it, from what the files of the command hold."""
    view = snapshot_of(objects, mesh or MeshConfig()).view(read_proxy(proxy))
    return explanation(view, read_call(call)).fields()


def explanation(view: ProxyView, call: Call) -> Outcome:
    """What the proxy with this view does with a call."""
    return simulate(configuration(view), call)


def configuration(view: ProxyView) -> Configuration:
    """What the proxy with this view is given, for any number of calls."""
    made = messages(view)
    return Configuration(
        listeners={name: one for name, one in made[LISTENER].items() if isinstance(one, Listener)},
        routes={name: one for name, one in made[ROUTES].items() if isinstance(one, RouteConfiguration)},
        clusters={name: one for name, one in made[CLUSTER].items() if isinstance(one, Cluster)},
    )


_WRITERS = {
    "json": lambda view, call, found: json.dumps(found.fields(), indent=2),
    "yaml": lambda view, call, found: yaml.safe_dump(found.fields(), sort_keys=False).rstrip(),
    "text": text_of,
}
