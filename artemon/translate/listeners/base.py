"""What all listeners have in common."""

from __future__ import annotations

from envoy.config.core.v3.address_pb2 import Address, SocketAddress
from envoy.config.core.v3.base_pb2 import TrafficDirection
from envoy.config.listener.v3.listener_pb2 import Listener

from artemon.model.mesh_config import MeshConfig
from artemon.translate import names
from artemon.translate.wire import duration

WILDCARD, WILDCARD_IPV6 = "0.0.0.0", "::"


def listener(
    address: str, port: int, direction: TrafficDirection.ValueType, mesh: MeshConfig, *, name: str = ""
) -> Listener:
    """A listener without chains. Inspection may wait as long as the mesh says, then goes on without."""
    return Listener(
        name=name or names.listener(address, port),
        address=socket_address(address, port),
        traffic_direction=direction,
        listener_filters_timeout=duration(mesh.protocol_detection_timeout),
        continue_on_listener_filters_timeout=True,
    )


def also_ipv6(out: Listener) -> None:
    """Take connections to every IPv6 address, too (Envoy compares the two families one by one)."""
    place = out.address.socket_address
    if place.address == WILDCARD:
        more = out.additional_addresses.add()
        more.address.CopyFrom(socket_address(WILDCARD_IPV6, place.port_value))


def socket_address(address: str, port: int) -> Address:
    """`unix://<path>`, or an IP address and port."""
    if address.startswith("unix://"):
        out = Address()
        out.pipe.path = address.removeprefix("unix://")
        return out
    return Address(socket_address=SocketAddress(address=address, port_value=port))
