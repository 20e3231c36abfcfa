"""Where the instances are, as gRPC takes it: every locality written out, addresses that are IPs."""

from __future__ import annotations

from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Endpoint, Service
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import Destination
from artemon.translate.clusters import prefers_near
from artemon.translate.endpoints import Choice, load_assignment
from artemon.translate.grpc.clusters import offered
from artemon.xds.resource import Resource
from artemon.xds.types import ENDPOINTS


def service_assignments(
    memo: Memo,
    service: Service,
    destination: Destination | None,
    *,
    endpoints: tuple[Endpoint, ...],
    mesh: MeshConfig,
    locality: str,
) -> tuple[Resource, ...]:
    """The instances of each cluster of a service, for clients at `locality` where that matters."""
    chosen: tuple[tuple[str, Choice, bool], ...] = memo.get(_choices, service, destination, mesh)
    place = locality if any(near for _, _, near in chosen) else ""
    return memo.get(_assignments, chosen, endpoints, memo, by=(place,))


def _choices(
    service: Service, destination: Destination | None, mesh: MeshConfig
) -> tuple[tuple[str, Choice, bool], ...]:
    return tuple(
        (one.name, _choice(one.choice()), prefers_near(one.policy, mesh))
        for one in offered(service, destination, mesh)
    )


def _choice(choice: Choice) -> Choice:
    """Names are left out: gRPC does not resolve what EDS says."""
    return Choice(choice.port, choice.labels)


def _assignments(
    chosen: tuple[tuple[str, Choice, bool], ...],
    endpoints: tuple[Endpoint, ...],
    memo: Memo,
    locality: str,
) -> tuple[Resource, ...]:
    found = []
    for name, choice, near in chosen:
        placed = Choice(choice.port, choice.labels, locality if near else "")
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
