"""`istio-iptables`: a pod's interception, by proxyd's own rules. Flags are Istio's (its `istio-iptables`)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from artemon.errors import ArtemonError, Refused
from artemon.plugins import problem_of
from proxyd.intercept import iptables, nft
from proxyd.intercept.apply import Interception
from proxyd.intercept.capture import Capture
from proxyd.intercept.machine import Machine, look
from proxyd.intercept.obstacles import obstacles
from proxyd.intercept.resolve import resolve
from proxyd.intercept.steps import Backend
from proxyd.pod.switches import DNS, is_on
from proxyd.settings import ProxydSettings

LISTS = {
    "include_outbound_cidrs": "i",
    "exclude_outbound_cidrs": "x",
    "include_inbound_ports": "b",
    "exclude_inbound_ports": "d",
    "include_outbound_ports": "q",
    "exclude_outbound_ports": "o",
    "exclude_interfaces": "c",
    "virtual_interfaces": "k",
    "exclude_groups": "g",
}
"""Setting -> Istio's short flag of the list."""


def settings(flags: Mapping[str, str], environ: Mapping[str, str], *, dns: bool = False) -> ProxydSettings:
    """The settings that Istio's flags stand for, by short name. dns: queries for names are led to the proxy.

    Raises Refused with every flag that cannot be.
    """
    made: dict[str, Any] = {name: _parts(flags.get(short, "")) for name, short in LISTS.items()}
    made |= {
        "outbound_port": flags.get("p", "15001"),
        "inbound_port": flags.get("z", "15006"),
        "proxy_user": flags.get("u", "1337"),
        "interception": flags.get("m", "REDIRECT"),
    }
    if dns or is_on(environ, "ISTIO_META_DNS_CAPTURE"):
        made["dns_listen"] = DNS
    try:
        return ProxydSettings.model_validate(made)
    except ValidationError as error:
        raise Refused([problem_of(one, "is not known") for one in error.errors()]) from error


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def planned(told: ProxydSettings, resolvers: Sequence[str] = ()) -> tuple[Capture, Machine]:
    """What is captured in this network namespace. resolvers: in place of those that this machine asks.

    Raises ArtemonError: why it cannot be.
    """
    machine = look()
    capture = resolve(told, sessions=(), resolvers=resolvers or machine.resolvers)
    stops = obstacles(capture, machine)
    if stops:
        raise ArtemonError("\n".join(stops))
    return capture, machine


def script(capture: Capture, machine: Machine) -> str:
    """The rules, as nft or iptables-restore reads them."""
    if machine.backend is Backend.NFT:
        return nft.ruleset(capture)
    return "".join(iptables.restore(capture, version=version, present="") for version in (4, 6))


def put_in_force(capture: Capture, machine: Machine) -> None:
    """In place of whatever rules of ours are there: running it again changes nothing. Raises ArtemonError.

    A pod's rules live and die with it: there is no trial, and nothing to bring back at boot.
    """
    with tempfile.TemporaryDirectory() as folder:
        interception = Interception(Path(folder))
        interception.apply(capture, machine.backend, guard=lambda _: None)
        interception.confirm()


def take_away() -> None:
    """Leave no rules of ours. Raises ArtemonError."""
    machine = look()
    with tempfile.TemporaryDirectory() as folder:
        interception = Interception(Path(folder))
        interception.apply(Capture(proxy_uid=1337), machine.backend, guard=lambda _: None)
        interception.remove()
