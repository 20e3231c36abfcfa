"""Which hosts and addresses an object lays hold on, and whose they are (a namespace routes its own). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from artemon.model.access import HostGrant
from artemon.model.gateway import Gateway
from artemon.model.hosts import covers, overlap, owner_namespace, resolve
from artemon.model.kinds import VIRTUAL_SERVICE
from artemon.model.resource import Resource
from artemon.model.service_entry import ServiceEntry
from artemon.model.virtual_service import VirtualService
from galleyd.edge_claims import claims_at_gateways, claims_of_the_routed, gateways_of, served_by
from galleyd.holds import MESH, OTHERS, Claim, Stock, is_older, named, owners, plain, stays_home

Network = IPv4Network | IPv6Network
_NAT64 = ip_network("64:ff9b::/96")


def claims_of_routes(one: Resource[VirtualService], stock: Stock) -> Iterator[Claim]:
    """What a VirtualService claims of others."""
    namespace, spec = one.meta.namespace, one.spec
    gateways = gateways_of(one)
    for index, written in enumerate(spec.hosts):
        path = f"spec.hosts[{index}]"
        host = plain(resolve(written, namespace, domain=stock.domain))
        if MESH in gateways and not stays_home(spec.export_to, namespace):
            yield from _of_the_mesh(path, host, one, stock)
        if gateways - {MESH}:
            yield from claims_at_gateways(path, host, one, stock)


def held(one: Resource[Any], stock: Stock) -> tuple[frozenset[str], object]:
    """What an object names so far, as claims say it, and by which way others meet it."""
    spec, namespace = one.spec, one.meta.namespace
    if isinstance(spec, Gateway):
        return frozenset(plain(each.rpartition("/")[2]) for each in served_by(one)), dict(spec.selector)
    if isinstance(spec, VirtualService):
        hosts = frozenset(plain(resolve(each, namespace, domain=stock.domain)) for each in spec.hosts)
        return hosts, (gateways_of(one), spec.export_to)
    if isinstance(spec, ServiceEntry):
        return frozenset({*map(plain, spec.hosts), *spec.addresses}), spec.export_to
    return frozenset(), None


def _of_the_mesh(path: str, host: str, one: Resource[Any], stock: Stock) -> Iterator[Claim]:
    """A host that clients of every namespace are to reach as `one` says."""
    namespace, by_name = one.meta.namespace, owners(host, stock)
    foreign = sorted(by_name - {namespace})
    for owner in foreign:
        yield Claim(path, host, owner, f"is a host of {named(owner)}", abroad=True)
    if foreign or by_name:
        return
    defined = _definers(host, one, stock)
    others = sorted(defined - {namespace})
    if one.kind is VIRTUAL_SERVICE and namespace in defined:
        return
    if others:
        yield Claim(path, host, others[0], f"is defined by a ServiceEntry of namespace {others[0]}", True)
    elif one.kind is VIRTUAL_SERVICE:
        yield Claim(path, host, OTHERS, f"is of no service of namespace {namespace}", True)


def _definers(host: str, one: Resource[Any], stock: Stock) -> set[str]:
    """The namespaces of the ServiceEntries that define a host: one's own, and those that were there first and
    that others see."""
    found = set()
    for other in stock.entries:
        namespace = other.meta.namespace
        own = namespace == one.meta.namespace
        if other.ref == one.ref or not any(overlap(plain(name), host) for name in other.spec.hosts):
            continue
        if own or (is_older(other, one) and not stays_home(other.spec.export_to, namespace)):
            found.add(namespace)
    return found


def claims_of_entry(one: Resource[ServiceEntry], stock: Stock) -> Iterator[Claim]:
    """What a ServiceEntry claims of others."""
    namespace, spec = one.meta.namespace, one.spec
    for index, endpoint in enumerate(spec.endpoints):
        yield from claims_of_address(f"spec.endpoints[{index}].address", endpoint.address, stock)
    if not spec.endpoints and spec.resolution not in ("NONE", "STATIC"):
        for index, host in enumerate(spec.hosts):
            yield from claims_of_address(f"spec.hosts[{index}]", host, stock)
    for index, address in enumerate(spec.addresses):
        yield from _of_addresses(f"spec.addresses[{index}]", address, one, stock)
    for index, written in enumerate(spec.hosts):
        path, host = f"spec.hosts[{index}]", plain(written)
        owner = owner_namespace(host, stock.domain)
        if owner and owner != namespace and not host.startswith("*"):
            text = f"is a host of namespace {owner}, which alone can define it"
            yield Claim(path, host, owner, text, lendable=False)
        elif not stays_home(spec.export_to, namespace):
            yield from _of_the_mesh(path, host, one, stock)
            yield from claims_of_the_routed(path, host, one, stock)


def _of_addresses(path: str, text: str, one: Resource[ServiceEntry], stock: Stock) -> Iterator[Claim]:
    mine = _network(text)
    if mine is None:
        return
    for guarded in sorted(stock.guarded):
        inside = _network(guarded)
        if inside is not None and _meet(mine, inside):
            yield Claim(path, text, OTHERS, "takes in an address of the control plane")
    if mine.is_loopback or mine.is_link_local or mine.prefixlen < 8:
        yield Claim(path, text, OTHERS, "takes in addresses that are nobody's")
    if stays_home(one.spec.export_to, one.meta.namespace):
        return
    for other in stock.entries:
        owner = other.meta.namespace
        for taken in other.spec.addresses if owner != one.meta.namespace else ():
            network = _network(taken)
            if network is not None and _meet(mine, network):
                text_of = f"meets {taken} of ServiceEntry {owner}/{other.meta.name}"
                yield Claim(path, text, owner, text_of, True)


def claims_of_address(path: str, text: str, stock: Stock) -> Iterator[Claim]:
    """Why no user-written endpoint may lead to an address: a proxy's own machine, or the control plane."""
    if text.startswith("unix://"):
        yield Claim(path, text, OTHERS, "is a socket of the machine that the proxy runs on")
        return
    host = plain(text)
    if host in stock.guarded:
        yield Claim(path, text, OTHERS, "is an address of the control plane")
    elif host == "localhost" or host.endswith(".localhost"):
        yield Claim(path, text, OTHERS, "is the machine that the proxy runs on")
    elif (address := _address(host)) is not None and str(address) in stock.guarded:
        yield Claim(path, text, OTHERS, "is an address of the control plane")
    elif address is not None and not _is_reachable(address):
        yield Claim(path, text, OTHERS, "is an address of the machine or link that the proxy is on")


def _is_reachable(address: IPv4Address | IPv6Address) -> bool:
    unreachable = address.is_loopback or address.is_link_local or address.is_unspecified
    return not (unreachable or address.is_multicast or str(address) == "fd00:ec2::254")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, out of its wrappings: mapped, 6to4, NAT64."""
    try:
        found = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        wrapped = found.ipv4_mapped or found.sixtofour
        if wrapped is None and (found in _NAT64 or (int(found) >> 32 == 0 and int(found) > 1)):
            wrapped = IPv4Address(int(found) & 0xFFFFFFFF)
        return wrapped or found
    return found


def _network(text: str) -> Network | None:
    address, slash, length = text.partition("/")
    plain_address = _address(address)
    try:
        if plain_address is not None and not slash:
            return ip_network(plain_address)
        return ip_network(f"{address.strip('[]')}/{length}", strict=False)
    except ValueError:
        return None


def _meet(one: Network, other: Network) -> bool:
    if one.version != other.version:
        return False
    return one.network_address in other or other.network_address in one


def granted(claim: Claim, namespace: str, grants: Iterable[Resource[HostGrant]], domain: str) -> bool:
    """Whether the owner of what is claimed lends it to `namespace`."""
    for grant in grants:
        if (
            not claim.lendable
            or grant.meta.namespace != claim.owner
            or namespace not in grant.spec.namespaces
        ):
            continue
        for lent in (plain(resolve(host, claim.owner, domain=domain)) for host in grant.spec.hosts):
            if any(covers(lent, claim.what + suffix) for suffix in ("", *_rests(claim.what, domain))):
                return True
    return False


def _rests(host: str, domain: str) -> list[str]:
    """What may be missing at the end of a service's name."""
    whole = f".svc.{domain}"
    return [whole, whole.removeprefix(".svc"), *([f".{domain.rpartition('.')[2]}"] if "." in domain else [])]
