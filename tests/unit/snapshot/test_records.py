"""Values of the registry: what can be read comes in, what cannot is told and hurts nothing else."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artemon import validate
from artemon.errors import Refused
from artemon.model.mesh_config import MeshConfig
from artemon.model.proxy import WorkloadPort
from artemon.model.service import Health, Protocol
from artemon.model.workload import Workload, decode_workload, encode_workload
from artemon.snapshot.changes import Bad, Delete, Upsert
from artemon.snapshot.records import read

ENTRY = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "e", "namespace": "ns"},
    "spec": {"hosts": ["a.com"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]},
}
KEY = "config/serviceentries/ns/e"


def value(**more: Any) -> bytes:
    return json.dumps(ENTRY | more).encode()


def test_a_good_object() -> None:
    change = read(KEY, value(), check=validate.problems)
    assert isinstance(change, Upsert)
    assert change.key == KEY


@pytest.mark.parametrize(
    ("key", "content", "reason"),
    [
        pytest.param(KEY, b"{", "is not JSON", id="not-json"),
        pytest.param(KEY, b"\xff", "is not JSON", id="not-text"),
        pytest.param(KEY, value(spec={"hosts": 1}), "spec.hosts", id="wrong-type"),
        pytest.param("config/serviceentries/ns/f", value(), "but kept under", id="another-name"),
        pytest.param("config/serviceentries/other/e", value(), "but kept under", id="another-namespace"),
        pytest.param("config/things/ns/e", value(), "nothing is kept", id="unknown-kind"),
        pytest.param("config/serviceentries/e", value(), "nothing is kept", id="short-key"),
        pytest.param(KEY, value(spec={"hosts": ["*"]}), "spec.hosts[0]", id="invalid"),
        pytest.param("mesh", b'{"connectTimeout": 5}', "connectTimeout", id="mesh"),
        pytest.param("workloads/ns/web/a", b"[]", "is not a workload record", id="workload-list"),
        pytest.param("workloads/ns/web/a", b"[" * 99999, "is not a workload record", id="workload-deep"),
        pytest.param("workloads/ns/web/a", b'{"weight": 1e999}', "is not a workload", id="workload-endless"),
        pytest.param("workloads/ns/web/a", b'{"weight": 0}', "weight 0 is below 1", id="workload-weight"),
        pytest.param(
            "workloads/ns/web/a",
            b'{"ports": [{"number": 0}]}',
            "is not a port",
            id="workload-port",
        ),
    ],
)
def test_a_bad_value(key: str, content: bytes, reason: str) -> None:
    change = read(key, content, check=validate.problems)
    assert isinstance(change, Bad)
    assert any(reason in str(problem) for problem in change.problems), change.problems


@pytest.mark.parametrize(
    ("key", "content", "expected"),
    [
        pytest.param(KEY, None, Delete(KEY), id="gone"),
        pytest.param("trust/issued/1", b"{}", None, id="no-part-of-the-world"),
        pytest.param("mesh", b"{}", Upsert("mesh", MeshConfig()), id="mesh"),
    ],
)
def test_what_else_there_is(key: str, content: bytes | None, expected: object) -> None:
    assert read(key, content) == expected


ports = st.builds(
    WorkloadPort,
    number=st.integers(1, 65535),
    name=st.text(max_size=5),
    protocol=st.sampled_from(Protocol),
    listen_port=st.integers(1, 65535),
    app_port=st.integers(1, 65535),
)
workloads = st.builds(
    Workload,
    node=st.text(),
    namespace=st.just("ns"),
    service=st.text(),
    address=st.text(),
    ports=st.lists(ports, max_size=3).map(tuple),
    labels=st.dictionaries(st.text(), st.text(), max_size=3),
    service_account=st.text(min_size=1),
    locality=st.text(),
    network=st.text(),
    weight=st.integers(1, 1000),
    health=st.sampled_from(Health),
    mtls=st.booleans(),
)


@pytest.mark.slow
@given(workload=workloads)
def test_workload_records_keep_what_they_are_given(workload: Workload) -> None:
    assert decode_workload("ns", encode_workload(workload)) == workload


@pytest.mark.slow
@given(
    content=st.binary()
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode)
)
def test_no_value_breaks_the_reader(content: bytes) -> None:
    with suppress(Refused):
        decode_workload("ns", content)
