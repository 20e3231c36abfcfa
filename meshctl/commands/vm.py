"""meshctl vm: what a machine needs to join the mesh, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import yaml

from artemon.daemon.address import address_text
from artemon.daemon.files import write_secret
from artemon.errors import ArtemonError
from artemon.model.decode import decode
from artemon.model.workload_group import WorkloadGroup
from artemon.pki.certificate import fingerprint, load_certificates
from meshctl.commands.join_token import seconds
from meshctl.connection import connected, talk
from meshctl.context import Target

CITADELD_PORT, PILOTD_PORT = 15013, 15012
_TOKENS = "/artemon/v1/jointokens"
_GROUP = "/apis/networking.istio.io/v1/namespaces/{}/workloadgroups/{}"


@click.group()
def vm() -> None:
    """Machines that join the mesh.

    Example: meshctl vm bootstrap --group cart -n shop --out cart.yaml
    """


@vm.command()
@click.option("--group", help="WorkloadGroup that says the rest; flags win.")
@click.option("--service-account", help="Service account of the workload.")
@click.option("--service", help="Service that it is an instance of; by default the group's name.")
@click.option(
    "--port", "ports", multiple=True, metavar="NAME:NUMBER[:PROTOCOL]", help="A port that it serves."
)
@click.option("--interception", type=click.Choice(["NONE", "REDIRECT", "TPROXY"]), default="REDIRECT",
              show_default=True, help="How its connections reach the proxy.")  # fmt: skip
@click.option("--citadeld", help="HOST:PORT; by default the server's host and 15013.")
@click.option("--pilotd", help="HOST:PORT; by default the server's host and 15012.")
@click.option(
    "--ttl", default="1h", show_default=True, callback=seconds, help="The token is good for: 15m, 1h."
)
@click.option("--out", required=True, metavar="FILE", help="File to write (0600); it holds a secret.")
@connected
def bootstrap(target: Target, *, group: str | None, out: str, **flags: Any) -> int:
    """Write FILE, with which one machine joins: proxyd join --bundle FILE.

    Example: meshctl vm bootstrap -n shop --service-account cart --service cart --port http:80:HTTP --out f
    """
    settings = _from_group(target, group) if group else {}
    settings |= _from_flags(flags)
    if not settings.get("service_account"):
        raise click.UsageError("say --service-account, or --group")
    if target.ca_file is None:
        raise ArtemonError("the context has no CA: name the mesh's root certificates with --ca")
    roots = load_certificates(target.ca_file.read_bytes())
    wanted = {
        "namespace": target.namespace,
        "serviceAccount": settings["service_account"],
        "ttlSeconds": flags["ttl"],
        "uses": 1,
    }
    token = talk(target, lambda client: client.request("POST", _TOKENS, body=wanted)).value
    host = urlsplit(target.access.server).hostname or ""
    settings |= {
        "namespace": target.namespace,
        "citadeld": [flags["citadeld"] or address_text(host, CITADELD_PORT)],
        "pilotd": [flags["pilotd"] or address_text(host, PILOTD_PORT)],
    }
    bundle = {"caPin": fingerprint(roots[0]), "token": token["token"], "settings": settings}
    write_secret(Path(out), yaml.safe_dump(bundle, sort_keys=False).encode())
    click.echo(
        f"{out}: for one machine, until {token['expires']}; there: proxyd join --bundle {out}", err=True
    )
    return 0


def _from_group(target: Target, name: str) -> dict[str, Any]:
    """The settings of proxyd that a WorkloadGroup stands for."""
    path = _GROUP.format(target.namespace, name)
    resource = decode(talk(target, lambda client: client.request("GET", path)).value)
    spec = resource.spec
    assert isinstance(spec, WorkloadGroup)
    template = spec.template
    labels = {**(template.labels if template else {}), **(spec.metadata.labels if spec.metadata else {})}
    settings: dict[str, Any] = {"service": name, "workload_group": name, "labels": labels}
    if spec.probe is not None:
        settings["probe"] = spec.probe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if template is None:
        return settings
    for field, value in (
        ("service_account", template.service_account),
        ("network", template.network),
        ("locality", template.locality),
        ("weight", template.weight),
    ):
        if value:
            settings[field] = value
    settings["ports"] = [_port(f"{port}:{number}:{_spoken(port)}") for port, number in template.ports.items()]
    return settings


def _spoken(name: str) -> str:
    """The protocol that a port's name says, as Istio has it: `<protocol>[-<suffix>]`."""
    first = name.partition("-")[0].upper()
    return first if first in {"HTTP", "HTTP2", "GRPC", "TLS", "TCP"} else ""


def _from_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: flags[name] for name in ("service_account", "service", "interception") if flags[name]}
    return found | ({"ports": [_port(text) for text in flags["ports"]]} if flags["ports"] else {})


def _port(text: str) -> dict[str, Any]:
    name, _, rest = text.partition(":")
    number, _, protocol = rest.partition(":")
    if not name or not number.isdecimal() or not 1 <= int(number) <= 65535:
        raise click.BadParameter(f'"{text}" is not a port such as http:80:HTTP', param_hint="--port")
    return {"name": name, "number": int(number), **({"protocol": protocol} if protocol else {})}
