"""What VirtualServices and Gateways claim of others at proxies that several namespaces share. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from artemon.model.gateway import Gateway
from artemon.model.hosts import covers, overlap, resolve
from artemon.model.resource import Resource
from artemon.model.selector import matches
from artemon.model.service_entry import ServiceEntry
from artemon.model.virtual_service import VirtualService
from artemon.snapshot.gateway_conflicts import same_proxies
from galleyd.holds import MESH, Claim, Stock, is_older, named, owners, plain


def gateways_of(one: Resource[VirtualService]) -> frozenset[str]:
    named = {
        name if name == MESH or "/" in name else f"{one.meta.namespace}/{name}" for name in one.spec.gateways
    }
    return frozenset(named or {MESH})


def claims_at_gateways(path: str, host: str, one: Resource[VirtualService], stock: Stock) -> Iterator[Claim]:
    mine, namespace = beside(gateways_of(one) - {MESH}, stock), one.meta.namespace
    if host.endswith(f".svc.{stock.domain}"):
        for owner in sorted(owners(host, stock) - {namespace}):
            yield Claim(path, host, owner, f"is a host of {named(owner)}")
    for other in stock.routes:
        owner = other.meta.namespace
        if owner == namespace or not mine & gateways_of(other) or not is_older(other, one):
            continue
        for taken in (plain(name) for name in other.spec.hosts):
            if _takes(taken, host):
                text = f"is routed at the same gateway by VirtualService {owner}/{other.meta.name} ({taken})"
                yield Claim(path, host, owner, text)


def claims_of_the_routed(path: str, host: str, one: Resource[ServiceEntry], stock: Stock) -> Iterator[Claim]:
    """What a ServiceEntry that others see claims of who offers a host to the world by its name: clients in
    the mesh would no longer go there."""
    for other in stock.routes:
        owner, gateways = other.meta.namespace, gateways_of(other)
        if owner == one.meta.namespace or not gateways or MESH in gateways or not is_older(other, one):
            continue
        for taken in (plain(resolve(name, owner, domain=stock.domain)) for name in other.spec.hosts):
            if not taken.startswith("*") and overlap(taken, host):
                text = f"is routed at a gateway by VirtualService {owner}/{other.meta.name} ({taken})"
                yield Claim(path, host, owner, text, abroad=True)


def beside(names: Collection[str], stock: Stock) -> set[str]:
    """These Gateways, and all that the same proxies run: the routes of one port are one table."""
    ours = [one.spec for one in stock.gateways if _name(one) in names]
    found = {_name(one) for one in stock.gateways if any(_share(one.spec, each, stock) for each in ours)}
    return {*names, *found}


def _share(one: Gateway, other: Gateway, stock: Stock) -> bool:
    """Whether a proxy may run both."""
    if same_proxies(one, other):
        return True
    return any(
        matches(one.selector, labels) and matches(other.selector, labels) for labels in stock.workloads
    )


def _name(one: Resource[Any]) -> str:
    return f"{one.meta.namespace}/{one.meta.name}"


def claims_of_gateway(one: Resource[Gateway], stock: Stock) -> Iterator[Claim]:
    """What a Gateway claims of others at proxies that both run: a host that they serve or route there. (A
    more exact name would take its connections away from them.)"""
    namespace = one.meta.namespace
    near = [
        other
        for other in stock.gateways
        if other.meta.namespace != namespace and _share(other.spec, one.spec, stock)
    ]
    names = {_name(other) for other in near}
    for index, server in enumerate(one.spec.servers):
        for number, written in enumerate(server.hosts):
            path, host = f"spec.servers[{index}].hosts[{number}]", plain(written.rpartition("/")[2])
            for other in near:
                hosts = (plain(each.rpartition("/")[2]) for each in served_by(other))
                if is_older(other, one) and any(_takes(taken, host) for taken in hosts):
                    text = f"is served by the same proxies for Gateway {_name(other)}"
                    yield Claim(path, host, other.meta.namespace, text)
            for route in stock.routes:
                owner = route.meta.namespace
                if owner == namespace or not names & gateways_of(route) or not is_older(route, one):
                    continue
                if any(_takes(plain(each), host) for each in route.spec.hosts):
                    text = f"is routed at the same proxies by VirtualService {_name(route)}"
                    yield Claim(path, host, owner, text)


def served_by(gateway: Resource[Gateway]) -> Iterator[str]:
    for server in gateway.spec.servers:
        yield from server.hosts


def _takes(taken: str, host: str) -> bool:
    """Whether what is asked for belongs to who has `taken`; who has everything has nothing by name."""
    return covers(taken, host) and (taken != "*" or host == "*")
