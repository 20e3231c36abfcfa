"""Gateways: who runs them, what they contend for, and the certificates that they name."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from artemon.analysis.material import Material, Running
from artemon.analysis.things import (
    Finding,
    Findings,
    Thing,
    bracketed,
    labels_of,
    mapping,
    mappings,
    text,
    texts,
)
from artemon.model.hosts import overlap
from artemon.model.secret import Credential
from artemon.model.selector import matches
from artemon.pki.credential import is_pair

_OWN = frozenset({"kubernetes", "kubernetes-gateway", ""})
_BUILT_IN = frozenset({("istio", "ingressgateway"), ("istio", "egressgateway")})
"""What Istio's own gateways are labelled with: they are installed apart, and need not be in the files."""


def selectors(material: Material) -> Findings:
    """Gateways that nobody runs (IST0101), and ports that the Service before them has not (IST0162)."""
    for thing in material.of_kind("Gateway"):
        chosen = labels_of(thing.spec.get("selector"))
        if not chosen:
            continue
        running = material.selected(chosen, None)
        if not running:
            if len(chosen) == 1 and not _BUILT_IN.isdisjoint(chosen.items()):
                continue
            shown = ",".join(f"{key}={value}" for key, value in sorted(chosen.items()))
            yield Finding("IST0101", thing, "spec.selector", f'Referenced selector not found: "{shown}"')
            continue
        yield from _ports(thing, chosen, running, material)


def _ports(thing: Thing, chosen: dict[str, str], running: list[Running], material: Material) -> Findings:
    services = [
        one for one in material.offers
        if one.selector
        and any(each.namespace == one.namespace and matches(one.selector, each.labels) for each in running)
    ]  # fmt: skip
    known = {port.target for one in services for port in one.ports}
    for index, server in mappings(thing.spec.get("servers")):
        number = mapping(server.get("port")).get("number")
        if services and number is not None and str(number) not in known:
            shown = ",".join(f"{key}={value}" for key, value in sorted(chosen.items()))
            message = (
                f"The gateway is listening on a target port (port {number}) that is not defined "
                "in the Service "
                f"associated with its workload instances (Pod selector {shown}). If you need to access the "
                "gateway port through the gateway Service, it will not be available."
            )
            yield Finding("IST0162", thing, f"spec.servers[{index}].port.number", message)


def conflicts(material: Material) -> Findings:
    """Gateways that the same proxies run and that take the same port and host (IST0145)."""
    every = list(material.of_kind("Gateway"))
    for thing in every:
        others = [one for one in every if one is not thing and _same_proxies(thing, one)]
        for index, server in mappings(thing.spec.get("servers")):
            port, hosts = mapping(server.get("port")).get("number"), texts(server.get("hosts"))
            if not isinstance(port, int):
                continue
            rivals = [one for one in others if any(_contend(hosts, each) for each in _hosts_at(one, port))]
            if rivals:
                chosen = ",".join(
                    f"{k}={v}" for k, v in sorted(labels_of(thing.spec.get("selector")).items())
                )
                names = ",".join(one.full for one in rivals)
                message = (
                    f"Conflict with gateways {names} (workload selector {chosen}, port {port}, "
                    f"hosts {','.join(hosts)})."
                )
                yield Finding("IST0145", thing, f"spec.servers[{index}]", message)


def _same_proxies(one: Thing, other: Thing) -> bool:
    mine, theirs = (labels_of(each.spec.get("selector")) for each in (one, other))
    return mine.items() <= theirs.items() or theirs.items() <= mine.items()


def _hosts_at(thing: Thing, port: int) -> Iterator[list[str]]:
    for _, server in mappings(thing.spec.get("servers")):
        if mapping(server.get("port")).get("number") == port:
            yield texts(server.get("hosts"))


def _contend(mine: list[str], theirs: list[str]) -> bool:
    return any(
        overlap(one.rpartition("/")[2], other.rpartition("/")[2]) and _spaces_meet(one, other)
        for one in mine
        for other in theirs
    )


def _spaces_meet(one: str, other: str) -> bool:
    mine, theirs = (each.rpartition("/")[0] or "*" for each in (one, other))
    return mine == theirs or "*" in (mine, theirs)


def credentials(material: Material) -> Findings:
    """Secrets that are not where the gateway runs (IST0101), or that hold no certificate (IST0161)."""
    for thing in material.of_kind("Gateway"):
        chosen = labels_of(thing.spec.get("selector"))
        places: set[str | None] = (
            {one.namespace for one in material.selected(chosen, None)} if chosen else set()
        )
        for path, written in _credentials(thing):
            scheme, _, rest = written.rpartition("://")
            space, _, name = rest.rpartition("/")
            if scheme not in _OWN or not name:
                continue
            wanted: set[str | None] = {space} if space else places or {None}
            if not any(material.secret(name, one) for one in wanted):
                yield Finding("IST0101", thing, path, f'Referenced credentialName not found: "{written}"')
            elif any(
                secret.name == name and wanted & {None, secret.namespace} and not _is_certificate(secret)
                for secret in material.of_platform("Secret")
            ):
                message = (
                    f"The credential referenced by the Gateway {thing.name} in namespace {thing.namespace} "
                    "is invalid, which can cause the traffic not to work as expected."
                )
                yield Finding("IST0161", thing, path, message)


def duplicates(material: Material) -> Findings:
    """One certificate in several Gateways of the same proxies (IST0138)."""
    every = list(material.of_kind("Gateway"))
    held = {one.full: {name for _, name in _certificates(one)} for one in every}
    for thing in every:
        chosen = labels_of(thing.spec.get("selector"))
        many = [
            one.full
            for one in every
            if one is thing
            or (held[thing.full] & held[one.full] and matches(chosen, labels_of(one.spec.get("selector"))))
        ]
        if len(many) > 1:
            path = next(path for path, name in _certificates(thing) if any(name in held[one] for one in many))
            message = (
                f"Duplicate certificate in multiple gateways {bracketed(many)} may cause 404s if clients "
                "re-use HTTP2 connections."
            )
            yield Finding("IST0138", thing, path, message)


def _certificates(thing: Thing) -> Iterator[tuple[str, str]]:
    """Where a Gateway names a certificate, and which: a Secret or a file."""
    yield from _credentials(thing)
    for index, server in mappings(thing.spec.get("servers")):
        tls = mapping(server.get("tls"))
        if tls.get("serverCertificate") and not tls.get("credentialName"):
            yield f"spec.servers[{index}].tls.serverCertificate", f"file {text(tls['serverCertificate'])}"


def _credentials(thing: Thing) -> Iterator[tuple[str, str]]:
    for index, server in mappings(thing.spec.get("servers")):
        tls = mapping(server.get("tls"))
        if tls.get("credentialName"):
            yield f"spec.servers[{index}].tls.credentialName", text(tls["credentialName"])
        for number, one in enumerate(texts(tls.get("credentialNames"))):
            yield f"spec.servers[{index}].tls.credentialNames[{number}]", one


def _is_certificate(secret: Thing) -> bool:
    """Whether it holds a certificate with its key; one without data is as servers show them all."""
    data = {name: _decoded(one) for name, one in mapping(secret.obj.get("data")).items()}
    data |= {name: text(one).encode() for name, one in mapping(secret.obj.get("stringData")).items()}
    held = Credential.of(data)
    return not data or is_pair(held.certificate, held.key)


def _decoded(value: Any) -> bytes:
    try:
        return b64decode(text(value), validate=True)
    except ValueError:
        return b""


ANALYZERS = (selectors, conflicts, credentials, duplicates)
