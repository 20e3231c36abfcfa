"""A cluster's services, change by change.

The same as if everything had been read at once, and nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artemon.model.mesh_config import MeshConfig
from artemon.model.service import Health
from artemon.registry.cluster.view import KINDS, ClusterView, Delta
from artemon.registry.kubernetes_read import read

SPACES, NAMES, ADDRESSES = ("shop", "lab"), ("web", "db"), ("10.0.0.1", "10.0.0.2", "10.0.0.3")
WEB = "registry/east/Service/shop/web"


class Told:
    """A view that is told of objects by their fields."""

    def __init__(self, *, only_known: bool = False, loading: bool = False) -> None:
        self._view = ClusterView(
            prefix="registry/east/",
            rank=4,
            created="",
            mesh=MeshConfig(),
            domain="cluster.local",
            only_known=only_known,
            loading=loading,
        )
        self.every = self._view.every

    def replace(self, kind: str, objects: Iterable[dict[str, Any]]) -> Delta:
        return self._view.replace(kind, [read(kind, one) for one in objects])

    def change(self, kind: str, one: dict[str, Any], *, deleted: bool = False) -> Delta:
        return self._view.change(kind, read(kind, one), deleted=deleted)


def named(space: str, name: str, labels: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": space, "labels": labels or {}}, **fields}


def service(name: str = "web", space: str = "shop", **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return named(space, name, spec={"clusterIP": "10.9.0.1", "ports": ports, **spec})


def endpoint_slice(
    *addresses: str, name: str = "web-1", owner: str = "web", space: str = "shop"
) -> dict[str, Any]:
    endpoints = [{"addresses": [address], "nodeName": "n1"} for address in addresses]
    label = {"kubernetes.io/service-name": owner}
    return named(space, name, label, endpoints=endpoints, ports=[{"name": "http", "port": 8080}])


def pod(address: str, name: str = "p", account: str = "cart", **labels: str) -> dict[str, Any]:
    spec = {"serviceAccountName": account, "nodeName": "n1"}
    return named("shop", name, labels, spec=spec, status={"podIP": address, "phase": "Running"})


def node(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}}


def ids(delta: Delta) -> list[str]:
    return [source.id for source in delta.sources]


def test_a_slice_changes_its_service_alone() -> None:
    made = Told()
    made.replace("Service", [service(), service("db")])
    assert ids(made.change("EndpointSlice", endpoint_slice("10.0.0.1"))) == [WEB]
    delta = made.change("EndpointSlice", endpoint_slice("10.0.0.2"))
    assert [one.address for one in delta.sources[0].inline] == ["10.0.0.2"]


def test_what_is_not_read_changes_nothing() -> None:
    made = Told()
    made.replace("Service", [service()])
    made.change("EndpointSlice", endpoint_slice("10.0.0.1"))
    made.change("Pod", pod("10.0.0.1"))
    later = pod("10.0.0.1")
    later["metadata"]["resourceVersion"] = "7"
    later["status"]["containerStatuses"] = [{"restartCount": 3}]
    assert made.change("Pod", later) == Delta()


def test_a_pod_gives_its_service_account_and_its_nodes_place() -> None:
    made = Told()
    made.replace("Service", [service()])
    made.change("EndpointSlice", endpoint_slice("10.0.0.1"))
    delta = made.change("Pod", pod("10.0.0.1"))
    assert delta.sources[0].inline[0].service_account == "cart"
    labels = {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z"}
    delta = made.change("Node", node("n1", **labels))
    assert delta.sources[0].inline[0].locality == "r/z"


def test_a_service_that_goes_is_told_once() -> None:
    made = Told()
    made.replace("Service", [service()])
    assert made.change("Service", service(), deleted=True).gone == (WEB,)
    assert made.change("Service", service(), deleted=True) == Delta()


def test_a_new_list_takes_out_what_is_not_in_it() -> None:
    made = Told()
    made.replace("Service", [service(), service("db")])
    delta = made.replace("Service", [service("db")])
    assert (ids(delta), delta.gone) == ([], (WEB,))


def test_a_bad_object_hurts_only_itself() -> None:
    made = Told()
    made.replace("Service", [service()])
    delta = made.change("Service", service(ports="all"))
    assert (ids(delta), [problem.path for problem in delta.problems]) == (
        [],
        ["Service/shop/web: spec.ports"],
    )
    assert ids(made.replace("Service", [service(ports="all"), service("db")])) == [
        "registry/east/Service/shop/db"
    ]
    assert len(made.every()) == 2


def test_only_the_namespaces_that_were_told_of() -> None:
    made = Told(only_known=True)
    made.replace("Service", [service(), service(space="lab")])
    assert made.every() == ()
    assert ids(made.change("Namespace", node("shop"))) == [WEB]
    assert made.change("Namespace", node("shop"), deleted=True).gone == (WEB,)


@pytest.mark.parametrize(
    ("conditions", "health"),
    [
        ({"ready": False}, Health.UNHEALTHY),
        ({"ready": False, "serving": True, "terminating": True}, Health.DRAINING),
        ({}, Health.HEALTHY),
    ],
)
def test_conditions(conditions: dict[str, bool], health: Health) -> None:
    made = Told()
    made.replace("Service", [service()])
    slice_ = endpoint_slice("10.0.0.1")
    slice_["endpoints"][0]["conditions"] = conditions
    assert made.change("EndpointSlice", slice_).sources[0].inline[0].health is health


def test_a_pod_is_an_instance_of_its_deployment() -> None:
    """As its proxy says too, whatever the names of its pods are."""
    made = Told()
    made.replace("Service", [service()])
    made.change("EndpointSlice", endpoint_slice("10.0.0.1"))
    one = pod("10.0.0.1", "cart-5d9f-x2x", **{"pod-template-hash": "5d9f"})
    owner = {"name": "cart-5d9f", "kind": "ReplicaSet", "apiVersion": "apps/v1", "controller": True}
    one["metadata"] |= {"generateName": "cart-5d9f-", "ownerReferences": [owner]}
    assert [each.workload for each in made.change("Pod", one).sources[0].inline] == ["cart"]


def objects(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    spaces, names = st.sampled_from(SPACES), st.sampled_from(NAMES)
    addresses = st.lists(st.sampled_from(ADDRESSES), max_size=3, unique=True)
    labels = st.sampled_from([{}, {"app": "web"}, {"app": "db", "topology.kubernetes.io/zone": "z"}])
    match kind:
        case "Service":
            selectors = st.sampled_from([{}, {"app": "web"}, {"app": "db"}])
            return st.builds(lambda n, s, sel: service(n, s, selector=sel), names, spaces, selectors)
        case "EndpointSlice":
            return st.builds(
                lambda a, n, o, s: endpoint_slice(*a, name=n, owner=o, space=s),
                addresses,
                st.sampled_from(["s1", "s2"]),
                names,
                spaces,
            )
        case "Pod":
            return st.builds(
                lambda a, n, lab, s: {
                    **pod(a, n),
                    "metadata": {"name": n, "namespace": s, "labels": lab},
                },
                st.sampled_from(ADDRESSES),
                st.sampled_from(["p1", "p2"]),
                labels,
                spaces,
            )
        case "Node":
            return labels.map(lambda found: node("n1", **found))
        case _:
            return spaces.map(node)


STEP = st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), objects(kind), st.booleans()))


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(st.lists(STEP, max_size=25), st.booleans())
def test_change_by_change_is_as_all_at_once(
    steps: list[tuple[str, dict[str, Any], bool]], known: bool
) -> None:
    grown, told = Told(only_known=known), dict[str, Any]()
    last: dict[str, dict[tuple[str, str], dict[str, Any]]] = {kind: {} for kind in KINDS}
    for kind, one, deleted in steps:
        key = (one["metadata"].get("namespace", ""), one["metadata"]["name"])
        delta = grown.change(kind, one, deleted=deleted)
        told.update((source.id, source) for source in delta.sources)
        for gone in delta.gone:
            del told[gone]
        if deleted:
            last[kind].pop(key, None)
        else:
            last[kind][key] = one
    fresh = Told(only_known=known)
    for kind in KINDS:
        fresh.replace(kind, last[kind].values())
    addresses = [one["status"]["podIP"] for one in last["Pod"].values()]
    if len(set(addresses)) == len(addresses):  # whose an address is that two pods claim is nobody's promise
        assert told == {source.id: source for source in fresh.every()}
    assert told.keys() == {source.id for source in fresh.every()}


def test_a_node_changes_the_services_whose_slices_name_it() -> None:
    made = Told()
    made.replace("Service", [service(), service("db")])
    made.replace("EndpointSlice", [endpoint_slice("10.0.0.1")])
    delta = made.change("Node", node("n1", **{"topology.kubernetes.io/region": "r"}))
    assert [(one.id, one.inline[0].locality) for one in delta.sources] == [(WEB, "r")]


def test_while_it_is_loaded_nothing_is_said_and_then_everything() -> None:
    """Whatever comes first."""
    objects = {
        "Service": [service(), service("db")],
        "EndpointSlice": [endpoint_slice("10.0.0.1")],
        "Node": [node("n1", **{"topology.kubernetes.io/region": "r"})],
    }
    wanted = Told()
    for kind, many in objects.items():
        wanted.replace(kind, many)
    for order in (list(objects), list(reversed(objects))):
        made = Told(loading=True)
        assert [made.replace(kind, objects[kind]) for kind in order] == [Delta()] * 3
        assert made.every() == wanted.every()
        assert made.change("EndpointSlice", endpoint_slice("10.0.0.2")).sources
