"""Kubernetes objects from JSON and from fields: the same, whatever else they have."""

from __future__ import annotations

import json
from typing import Any

import pytest

from artemon.registry.kubernetes_read import Unfit, read, read_json
from artemon.registry.kubernetes_shapes import EndpointSlice, Pod

META = {"name": "a", "namespace": "shop", "managedFields": [{"manager": "x"}], "labels": {"app": "a"}}
POD = {
    "apiVersion": "v1",
    "metadata": META,
    "spec": {"nodeName": "n1", "containers": [{"name": "c", "env": [{"name": "A", "value": None}]}]},
    "status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "phase": "Running"},
}


def both(kind: str, fields: dict[str, Any]) -> Any:
    """What the object comes to, in either form."""
    found = read(kind, fields)
    assert read_json(kind, json.dumps(fields).encode()) == found
    return found


def test_only_what_is_read_tells_objects_apart() -> None:
    later = {**POD, "metadata": {**META, "resourceVersion": "9"}}
    assert both("Pod", POD) == both("Pod", later)
    assert both("Pod", POD) != both("Pod", {**POD, "spec": {"nodeName": "n2"}})


def test_a_pod_has_every_address_once() -> None:
    found = both("Pod", POD)
    assert isinstance(found, Pod)
    assert found.addresses == ("10.0.0.1", "fd00::1")
    assert (both("Pod", {"metadata": META}).addresses, found.key) == ((), ("shop", "a"))


def test_null_counts_as_absent() -> None:
    """As an API server writes lists that are empty."""
    found = both("EndpointSlice", {"metadata": META, "endpoints": None, "ports": None})
    assert found == both("EndpointSlice", {"metadata": META})
    endpoint = {"addresses": ["10.0.0.1"], "conditions": {"ready": None}, "targetRef": None}
    found = both("EndpointSlice", {"metadata": META, "endpoints": [endpoint]})
    assert isinstance(found, EndpointSlice)
    assert found.endpoints[0].conditions.ready is True


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        pytest.param(
            "Service",
            {"metadata": META, "spec": {"ports": [{"port": 0, "name": 1}], "selector": []}},
            [
                "Service/shop/a: spec.selector: must be names with texts",
                "Service/shop/a: spec.ports[0].port: must be a port number, 1 to 65535",
                "Service/shop/a: spec.ports[0].name: must be text",
            ],
            id="every-reason",
        ),
        pytest.param("Service", {"metadata": META}, ["Service/shop/a: spec: is required"], id="missing"),
        pytest.param("Node", {}, ["Node/default/(unnamed): metadata: is required"], id="nothing"),
        pytest.param("Pod", [], ["Pod/default/(unnamed): must be an object"], id="no-object"),
        pytest.param(
            "EndpointSlice",
            {"metadata": META, "endpoints": [{"conditions": {"ready": "yes"}, "zone": True}]},
            [
                "EndpointSlice/shop/a: endpoints[0].conditions.ready: must be true or false",
                "EndpointSlice/shop/a: endpoints[0].zone: must not be true or false",
            ],
            id="deep",
        ),
        pytest.param(
            "Service",
            {"metadata": META, "spec": {"ports": [{"port": 1, "targetPort": 1.5}]}},
            ["Service/shop/a: spec.ports[0].targetPort: must be a port number or name"],
            id="target",
        ),
    ],
)
def test_an_object_that_is_unfit_says_everything_that_is_wrong(
    kind: str, fields: Any, said: list[str]
) -> None:
    found = both(kind, fields)
    assert isinstance(found, Unfit)
    assert [str(one) for one in found.problems] == said


def test_what_is_not_even_json_is_no_object() -> None:
    with pytest.raises(ValueError, match="truncated"):
        read_json("Pod", b'{"metadata":')
