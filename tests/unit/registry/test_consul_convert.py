"""What Consul's answers are in the mesh: each defect of Istio's old adapter is a row here."""

from __future__ import annotations

from typing import Any

import pytest

from artemon.model.service import Endpoint, Health, Protocol, Resolution, Service
from artemon.registry.consul.convert import sources
from artemon.registry.consul.poll import Bucket, Index
from artemon.registry.consul.settings import ConsulSettings


def row(identity: str = "web-1", *, status: str = "passing", checks: Any = None, **service: Any) -> Any:
    return {
        "Node": {
            "Node": "n1",
            "Address": "10.0.0.1",
            "Datacenter": "dc1",
            "TaggedAddresses": {"lan": "10.0.0.1", "wan": "198.51.100.1"},
        },
        "Service": {"ID": identity, "Service": "web", "Address": "10.0.0.9", "Port": 8080, **service},
        "Checks": checks
        if checks is not None
        else [{"CheckID": "serfHealth", "Status": "passing"}, {"CheckID": "x", "Status": status}],
    }


def settings(**more: Any) -> ConsulSettings:
    return ConsulSettings(name="consul", **more)


def one(found: Any, **more: Any) -> tuple[Service, tuple[Endpoint, ...]]:
    (source,) = sources("web", found, settings(**more))
    return source.services[0], source.inline


def test_a_service_is_known_by_consuls_own_name() -> None:
    service, (endpoint,) = one([row()])
    assert (service.host, service.namespace) == ("web.service.consul", "default")
    assert [(port.number, port.name) for port in service.ports] == [(8080, "auto-8080")]
    assert (endpoint.address, endpoint.ports) == ("10.0.0.9", {"auto-8080": 8080})


@pytest.mark.parametrize(
    ("given", "health", "weight"),
    [
        pytest.param(row(), Health.HEALTHY, 7, id="passing"),
        pytest.param(row(status="warning"), Health.HEALTHY, 2, id="warning"),
        pytest.param(row(status="critical"), Health.UNHEALTHY, 7, id="critical"),
        pytest.param(
            row(checks=[{"CheckID": "_node_maintenance", "Status": "critical"}]),
            Health.DRAINING,
            7,
            id="node-maintenance",
        ),
        pytest.param(
            row(checks=[{"CheckID": "_service_maintenance:web-1", "Status": "critical"}]),
            Health.DRAINING,
            7,
            id="service-maintenance",
        ),
        pytest.param(
            row(checks=[{"CheckID": "serfHealth", "Status": "critical"}]),
            Health.UNHEALTHY,
            7,
            id="node-dead",
        ),
        pytest.param(row(checks=[]), Health.HEALTHY, 7, id="no-checks"),
    ],
)
def test_health_is_the_worst_of_the_checks(given: Any, health: Health, weight: int) -> None:
    given["Service"]["Weights"] = {"Passing": 7, "Warning": 2}
    _, (endpoint,) = one([given])
    assert (endpoint.health, endpoint.weight) == (health, weight)


def test_a_warning_of_weight_zero_takes_no_requests() -> None:
    _, (endpoint,) = one([row(status="warning", Weights={"Passing": 1, "Warning": 0})])
    assert (endpoint.health, endpoint.weight) == (Health.DRAINING, 1)


def test_tags_and_metadata_are_labels_and_metadata_wins() -> None:
    tags = ["version|v1", "team=red", "canary", "bad key|x", "zone|a"]
    _, (endpoint,) = one([row(Tags=tags, Meta={"zone": "b", "anything": "is tolerated"})])
    assert endpoint.labels == {
        "version": "v1",
        "team": "red",
        "canary": "true",
        "zone": "b",
        "anything": "is tolerated",
    }


def test_a_tag_is_a_host_of_its_own_where_that_is_asked_for() -> None:
    rows = [
        row("web-1", Tags=["v1", "Primary"]),
        row("web-2", Tags=["v1", "a=b", "no_host"], Address="10.0.0.8"),
    ]
    assert [one.services[0].host for one in sources("web", rows, settings())] == ["web.service.consul"]
    found = {one.services[0].host: one for one in sources("web", rows, settings(tag_hosts=True))}
    assert {host: len(one.inline) for host, one in found.items()} == {
        "web.service.consul": 2,
        "primary.web.service.consul": 1,
        "v1.web.service.consul": 2,
    }
    assert found["primary.web.service.consul"].inline[0].service_account == "web"


def test_the_order_of_tags_and_of_instances_changes_nothing() -> None:
    first, second = row("web-1", Tags=["a|1", "b|2"]), row("web-2", Port=8081)
    other = row("web-1", Tags=["b|2", "a|1"])
    assert sources("web", [first, second], settings()) == sources("web", [second, other], settings())


@pytest.mark.parametrize(
    ("given", "more", "protocol"),
    [
        pytest.param({"Meta": {"protocol": "http"}}, {}, Protocol.HTTP, id="meta"),
        pytest.param({"Tags": ["protocol=grpc"]}, {}, Protocol.GRPC, id="tag"),
        pytest.param({}, {"protocol": "http2"}, Protocol.HTTP2, id="the-registrys"),
        pytest.param({}, {}, Protocol.AUTO, id="sniffed"),
        pytest.param({"Meta": {"protocol": "carrier-pigeon"}}, {}, Protocol.TCP, id="unknown"),
    ],
)
def test_protocols(given: Any, more: Any, protocol: Protocol) -> None:
    service, _ = one([row(**given)], **more)
    assert service.ports[0].protocol is protocol


def test_several_ports_by_metadata() -> None:
    service, (endpoint,) = one([row(Meta={"protocol": "http", "ports": "grpc:9090, admin/http:8081,x:y"})])
    assert {port.number: port.protocol for port in service.ports} == {
        8080: Protocol.HTTP,
        9090: Protocol.GRPC,
        8081: Protocol.HTTP,
    }
    assert endpoint.ports["grpc-9090"] == 9090


def test_instances_with_ports_of_their_own() -> None:
    rows = [row("web-1", Port=20001), row("web-2", Port=20002)]
    service, (first, second) = one(rows)
    assert [port.number for port in service.ports] == [20001, 20002]
    assert (first.ports["auto-20002"], second.ports["auto-20002"]) == (0, 20002)
    service, (first, second) = one(rows, port=80)
    assert [port.number for port in service.ports] == [80]
    assert (first.ports, second.ports) == ({"auto-80": 20001}, {"auto-80": 20002})


def test_one_port_says_otherwise_and_the_first_counts() -> None:
    service, _ = one([row("web-1", Meta={"protocol": "http"}), row("web-2", Meta={"protocol": "tcp"})])
    assert [(port.number, port.protocol) for port in service.ports] == [(8080, Protocol.HTTP)]


@pytest.mark.parametrize(
    ("given", "more", "address"),
    [
        pytest.param({"Address": ""}, {}, "10.0.0.1", id="the-nodes"),
        pytest.param({}, {"address": "wan"}, "198.51.100.1", id="the-nodes-wan"),
        pytest.param(
            {"TaggedAddresses": {"wan": {"Address": "203.0.113.1", "Port": 443}}},
            {"address": "wan"},
            "203.0.113.1",
            id="the-services-wan",
        ),
        pytest.param({}, {"address": "lan"}, "10.0.0.9", id="the-services-own-before-the-nodes-lan"),
    ],
)
def test_addresses(given: Any, more: Any, address: str) -> None:
    _, (endpoint,) = one([row(**given)], **more)
    assert endpoint.address == address


def test_a_name_instead_of_an_address_is_looked_up() -> None:
    service, _ = one([row("web-1"), row("web-2", Address="db.example.com")])
    assert service.resolution is Resolution.DNS


def test_locality_is_the_datacenter_unless_more_is_known() -> None:
    assert one([row()])[1][0].locality == "dc1"
    found = row(Locality={"Region": "eu", "Zone": "eu-1"})
    assert one([found])[1][0].locality == "eu/eu-1"
    assert one([row(Meta={"istio-locality": "us.us-1.a"})])[1][0].locality == "us/us-1/a"


def test_namespaces_by_rule() -> None:
    rows = [row("web-1", Meta={"namespace": "shop"}), row("web-2"), row("web-3", Meta={"namespace": "No!"})]
    found = {source.namespace: len(source.inline) for source in sources("web", rows, settings())}
    assert found == {"default": 2, "shop": 1}


def test_an_identity_for_each_service() -> None:
    assert one([row()])[1][0].service_account == "web"
    assert one([row(Meta={"service-account": "shop-web"})])[1][0].service_account == "shop-web"
    assert one([row()])[1][0].mtls is False
    assert one([row(Meta={"security.istio.io/tlsMode": "istio"})])[1][0].mtls is True


@pytest.mark.parametrize(
    ("given", "more"),
    [
        pytest.param({"Kind": "connect-proxy"}, {}, id="connect-proxy"),
        pytest.param({"Kind": "mesh-gateway"}, {}, id="mesh-gateway"),
        pytest.param({"Kind": "terminating-gateway"}, {}, id="terminating-gateway"),
        pytest.param({"Meta": {"artemon-owner": "default"}}, {}, id="put-there-by-a-mesh"),
        pytest.param({"Tags": ["other"]}, {"tag": "mesh"}, id="without-the-tag"),
        pytest.param({"Meta": {"mesh": "no"}}, {"meta": "mesh=yes"}, id="without-the-metadata"),
    ],
)
def test_what_does_not_join(given: Any, more: Any) -> None:
    assert sources("web", [row(**given)], settings(**more)) == []


def test_gateways_that_take_plain_requests_are_services() -> None:
    assert len(sources("web", [row(Kind="api-gateway")], settings())) == 1


def test_a_name_that_no_host_can_have_joins_not() -> None:
    assert sources("no/such host", [row()], settings()) == []


def test_external_services_are_outside_the_mesh() -> None:
    assert one([row(Meta={"external": "true"})])[0].mesh_external


def test_after_an_error_or_a_fall_the_next_query_does_not_block() -> None:
    index = Index()
    index.took(30, early=True)
    assert (index.asked, index.fell) == (30, False)
    index.took(28, early=False)
    assert (index.asked, index.fell) == (0, True)
    index.took(28, early=True)
    assert (index.asked, index.fell) == (28, False)
    index.failed()
    assert index.asked == 0


def test_an_early_answer_that_is_not_newer_is_asked_for_again() -> None:
    index = Index()
    index.took(30, early=True)
    index.took(30, early=True)
    assert index.asked == 0
    index.took(30, early=True)
    assert index.asked == 30
    index.took(30, early=False)
    assert index.asked == 30


def test_queries_are_two_at_once_and_one_a_second() -> None:
    bucket = Bucket()
    assert [bucket.wait(0.0) for _ in range(4)] == [0, 0, 1, 2]
    assert bucket.wait(10.0) == 0
