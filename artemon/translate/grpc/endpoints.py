"""Where the instances are, as gRPC takes it: every locality written out, addresses that are IPs."""

from __future__ import annotations

from dataclasses import replace

from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Endpoint, Service
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import Destination
from artemon.translate.endpoints import load_assignment
from artemon.translate.grpc.clusters import not_banned, offered
from artemon.translate.localities import ANYWHERE, NONE, Standpoint
from artemon.translate.targets import Target
from artemon.xds.resource import Resource
from artemon.xds.types import ENDPOINTS


def service_assignments(
    memo: Memo,
    service: Service,
    destination: Destination | None,
    *,
    endpoints: tuple[Endpoint, ...],
    mesh: MeshConfig,
    client: Standpoint,
    bans: tuple[str, ...] = (),
) -> tuple[Resource, ...]:
    """The instances of each cluster of a service, in the order that `client` prefers; none with an identity
    that is banned."""
    chosen: tuple[Target, ...] = memo.get(_chosen, service, destination, mesh)
    told = any(target.preference is not NONE for target in chosen)
    reachable = not_banned(endpoints, mesh, bans)
    return memo.get(_assignments, chosen, reachable, memo, by=(client if told else ANYWHERE,))


def _chosen(service: Service, destination: Destination | None, mesh: MeshConfig) -> tuple[Target, ...]:
    return tuple(offered(service, destination, mesh))


def _assignments(
    chosen: tuple[Target, ...],
    endpoints: tuple[Endpoint, ...],
    memo: Memo,
    client: Standpoint,
) -> tuple[Resource, ...]:
    """Names are left out: gRPC does not resolve what EDS says."""
    found = []
    for target in chosen:
        name, placed = target.name, replace(target.choice(client), by_name=False)
        assignment = ClusterLoadAssignment.FromString(load_assignment(memo, name, endpoints, placed))
        found.append(Resource.of(name, ENDPOINTS, _written_out(assignment)))
    return tuple(found)


def _written_out(assignment: ClusterLoadAssignment) -> ClusterLoadAssignment:
    """gRPC refuses a locality that is absent, even where it is the empty one, and sockets with a path."""
    out = ClusterLoadAssignment(cluster_name=assignment.cluster_name)
    for group in assignment.endpoints:
        reachable = [one for one in group.lb_endpoints if one.endpoint.address.HasField("socket_address")]
        if not reachable:
            continue
        kept = out.endpoints.add(priority=group.priority, locality=group.locality)
        kept.lb_endpoints.extend(reachable)
        kept.load_balancing_weight.value = sum(one.load_balancing_weight.value for one in reachable)
    _close_gaps(out)
    return out


def _close_gaps(assignment: ClusterLoadAssignment) -> None:
    order = sorted({group.priority for group in assignment.endpoints})
    for group in assignment.endpoints:
        group.priority = order.index(group.priority)
