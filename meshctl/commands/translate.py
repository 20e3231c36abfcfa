"""meshctl translate: the Envoy configuration of one proxy, from files alone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from google.protobuf.json_format import MessageToDict

from artemon.errors import Problem, Refused
from artemon.model.rejected_patch import RejectedPatch
from artemon.registry.files import read_proxy, snapshot_of
from artemon.snapshot.view import ProxyView
from artemon.translate import Translator, messages, names
from artemon.translate.bootstrap import Credentials, static_bootstrap
from artemon.translate.patches.bootstrap import patched_bootstrap, with_extensions
from artemon.translate.telemetry.standalone import standalone_listener
from artemon.xds.types import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES
from meshctl.inputs import FILE, read_mesh_config, read_objects, read_one

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
CERTIFICATE_FILES = ("cert-chain.pem", "key.pem", "root-cert.pem")
_TYPES = {
    "listeners": LISTENER,
    "clusters": CLUSTER,
    "routes": ROUTES,
    "endpoints": ENDPOINTS,
}


@click.command()
@click.option("-f", "--filename", "paths", multiple=True, required=True, help="File, folder, or - for stdin.")
@click.option("--proxy", "proxy_file", type=FILE, required=True, help="The proxy, as YAML or JSON.")
@click.option("--mesh-config", type=FILE, help="MeshConfig, as YAML.")
@click.option("--certs", type=FOLDER, help="Folder with cert-chain.pem, key.pem and root-cert.pem.")
@click.option("--format", "form", type=click.Choice(["resources", "bootstrap"]), default="resources")
def translate(
    paths: tuple[str, ...], proxy_file: Path, mesh_config: Path | None, certs: Path | None, form: str
) -> None:
    """Print the Envoy configuration of one proxy; Kubernetes objects stand for its registry.

    Example: meshctl translate -f mesh.yaml --proxy proxy.yaml --certs certs --format bootstrap
    """
    proxy, mesh = read_proxy(read_one(proxy_file, "proxy")), read_mesh_config(mesh_config)
    view = snapshot_of(read_objects(paths), mesh).view(proxy)
    credentials = _credentials(certs) if certs else None
    made = _bootstrap(view, credentials) if form == "bootstrap" else _resources(view, credentials)
    _say(Translator().translate(view).rejected if view.envoy_filters else ())
    click.echo(json.dumps(made, indent=2, sort_keys=True))


def _resources(view: ProxyView, credentials: Credentials | None) -> dict[str, Any]:
    found = messages(view)
    shown = {kind: list(found[url].values()) for kind, url in _TYPES.items()}
    shown["listeners"] = [standalone_listener(one) for one in found[LISTENER].values()]
    out: dict[str, Any] = {kind: [MessageToDict(one) for one in many] for kind, many in shown.items()}
    if EXTENSION in found:
        out["extensions"] = [MessageToDict(one) for one in found[EXTENSION].values()]
    own = (names.WORKLOAD_SECRET, names.ROOT_SECRET) if credentials else ()
    out["secrets"] = [MessageToDict(credentials.secret(name)) for name in own if credentials]
    return out


def _bootstrap(view: ProxyView, credentials: Credentials | None) -> dict[str, Any]:
    found = messages(view)
    try:
        made = static_bootstrap(
            view.proxy,
            listeners=with_extensions(found[LISTENER].values(), found.get(EXTENSION, {})),
            clusters=found[CLUSTER].values(),
            routes=found[ROUTES],
            endpoints=found[ENDPOINTS],
            credentials=credentials,
        )
    except KeyError as error:
        why = f"the configuration needs secret {error.args[0]}; say where it is with --certs"
        raise Refused([Problem("--certs", why)]) from error
    patched, rejected = patched_bootstrap(made, view)
    _say(rejected)
    fields: dict[str, Any] = MessageToDict(patched)
    return fields


def _say(rejected: Iterable[RejectedPatch]) -> None:
    for one in rejected:
        click.echo(f"left out: {one}", err=True)


def _credentials(folder: Path) -> Credentials:
    missing = [name for name in CERTIFICATE_FILES if not (folder / name).is_file()]
    if missing:
        raise Refused([Problem(str(folder / name), "is not there") for name in missing])
    chain, key, roots = ((folder / name).read_bytes() for name in CERTIFICATE_FILES)
    return Credentials(chain=chain, key=key, roots=roots)
