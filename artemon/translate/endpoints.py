"""Where the instances of a cluster are: ClusterLoadAssignment, put together from cached parts."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from ipaddress import ip_address

from envoy.config.core.v3.address_pb2 import Address, Pipe, SocketAddress
from envoy.config.core.v3.base_pb2 import Locality
from envoy.config.core.v3.health_check_pb2 import HealthStatus
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from google.protobuf.struct_pb2 import Struct

from artemon.model.selector import matches
from artemon.model.service import Endpoint, Health, Port
from artemon.snapshot.memo import Memo
from artemon.translate.localities import ANYWHERE, NONE, Preference, Standpoint, distance, shares_for
from artemon.translate.telemetry.marks import workload_mark

_HEALTH = {
    Health.HEALTHY: HealthStatus.UNKNOWN,
    Health.UNHEALTHY: HealthStatus.UNHEALTHY,
    Health.DRAINING: HealthStatus.DRAINING,
}
_MTLS = Struct()
_MTLS.update({"tlsMode": "istio"})
UNIX = "unix://"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")


Groups = defaultdict[tuple[tuple[int, int], str], list[tuple[Endpoint, int]]]
"""Instances with the ports where they listen, by distance and place."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which instances belong to a cluster, and in which order of preference. labels: of the subset. client:
    for whom, as far as the preference asks."""

    port: Port
    labels: tuple[tuple[str, str], ...] = ()
    client: Standpoint = ANYWHERE
    preference: Preference = NONE
    by_name: bool = False
    """Whether addresses may be host names (they are resolved by the proxy)."""
    encrypted: bool = False
    """Whether only instances belong where mutual TLS ends: what is passed on to them cannot be looked at."""


def load_assignment(memo: Memo, name: str, endpoints: tuple[Endpoint, ...], choice: Choice) -> bytes:
    """A ClusterLoadAssignment called `name`, serialized; equal instances give equal bytes."""
    head: bytes = ClusterLoadAssignment(cluster_name=name).SerializeToString()
    return head + memo.get(_localities, endpoints, memo, by=(choice,))


def _localities(endpoints: tuple[Endpoint, ...], memo: Memo, choice: Choice) -> bytes:
    labels = dict(choice.labels)
    chosen: Groups = defaultdict(list)
    for endpoint in endpoints:
        port = port_of(endpoint, choice.port)
        belongs = matches(labels, endpoint.labels) and (endpoint.mtls_on(port) or not choice.encrypted)
        if belongs and reachable(endpoint, port, by_name=choice.by_name):
            far = distance(choice.preference, choice.client, endpoint)
            chosen[far, endpoint.locality].append((endpoint, port))
    order = sorted({far for far, _ in chosen})
    weights = _weights(choice, chosen)
    return b"".join(
        _field(2, _locality(memo, key[1], chosen[key], order.index(key[0]), weights[key]))
        for key in sorted(weights, key=lambda key: (key[1], key[0]))
    )


def _weights(choice: Choice, groups: Groups) -> dict[tuple[tuple[int, int], str], int]:
    """The weight of each group that gets requests: the sum of its instances', or its written share."""
    weights = {key: sum(endpoint.weight for endpoint, _ in members) for key, members in groups.items()}
    by_place = {place: weight for (_, place), weight in weights.items()}
    shares = shares_for(choice.preference, choice.client.locality, by_place)
    if shares is None:
        return weights
    return {key: shares[key[1]] for key in weights if key[1] in shares}


def port_of(endpoint: Endpoint, port: Port) -> int:
    """Where an instance listens for a service port; 0 when it does not."""
    return endpoint.ports.get(port.name, port.target_port or port.number)


def reachable(endpoint: Endpoint, port: int, *, by_name: bool) -> bool:
    """Whether Envoy can be given the address; it would refuse all instances for one that it cannot read."""
    if endpoint.address.startswith(UNIX):
        return True
    return bool(port and endpoint.address) and (by_name or _is_ip(endpoint.address))


def _is_ip(text: str) -> bool:
    if _IPV4.fullmatch(text):  # many times as quick as the module that knows all forms
        return True
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _locality(
    memo: Memo, name: str, members: list[tuple[Endpoint, int]], priority: int, weight: int
) -> bytes:
    head = LocalityLbEndpoints(priority=priority)
    if name:
        region, zone, sub_zone, *_ = *name.split("/"), "", ""
        head.locality.CopyFrom(Locality(region=region, zone=zone, sub_zone=sub_zone))
    head.load_balancing_weight.value = weight
    parts = [head.SerializeToString(deterministic=True)]
    parts += [_field(2, memo.get(_lb_endpoint_bytes, endpoint, by=(port,))) for endpoint, port in members]
    return b"".join(parts)


def _lb_endpoint_bytes(endpoint: Endpoint, port: int) -> bytes:
    body: bytes = lb_endpoint(endpoint, port).SerializeToString(deterministic=True)
    return body


def lb_endpoint(endpoint: Endpoint, port: int) -> LbEndpoint:
    """One instance, marked when mutual TLS ends there, and with the workload that it is."""
    out = LbEndpoint(health_status=_HEALTH[endpoint.health])
    out.endpoint.address.CopyFrom(address(endpoint.address, port))
    out.load_balancing_weight.value = endpoint.weight
    if endpoint.mtls_on(port):
        out.metadata.filter_metadata["envoy.transport_socket_match"].CopyFrom(_MTLS)
    if endpoint.workload:
        out.metadata.filter_metadata["istio"].CopyFrom(workload_mark(endpoint))
    return out


def address(text: str, port: int) -> Address:
    """`text` is an IP, a host name, or `unix://` and a path."""
    if text.startswith(UNIX):
        return Address(pipe=Pipe(path=text.removeprefix(UNIX)))
    return Address(socket_address=SocketAddress(address=text, port_value=port))


def _field(number: int, body: bytes) -> bytes:
    """A length-delimited field: a repeated field is the concatenation of its elements (protobuf encoding)."""
    size, prefix = len(body), bytearray([number << 3 | 2])
    while size > 0x7F:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + body
