"""Clusters and their instances: what a DestinationRule and a ServiceEntry mean for Envoy."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from envoy.config.core.v3.proxy_protocol_pb2 import ProxyProtocolConfig
from envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import UpstreamTlsContext
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from google.protobuf.json_format import MessageToDict
from translate_mesh import view_of

from artemon.translate import messages
from artemon.xds.types import CLUSTER, ENDPOINTS

NAME = "outbound|80||a.com"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def mesh(
    policy: dict[str, Any] | None = None, *, mesh: dict[str, Any] | None = None, **entry: Any
) -> dict[str, dict[str, Any]]:
    """The messages for a client of a.com, by type."""
    spec: dict[str, Any] = {
        "hosts": ["a.com"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "endpoints": [{"address": "10.0.0.1", "serviceAccount": "sa"}],
    }
    objects = [{"kind": "ServiceEntry", "spec": spec | entry}]
    if policy is not None:
        objects.append({"kind": "DestinationRule", "spec": {"host": "a.com", "trafficPolicy": policy}})
    for one in objects:
        one |= {"apiVersion": "networking.istio.io/v1", "metadata": {"name": "x", "namespace": "default"}}
    view = view_of(yaml.safe_dump_all(objects), mesh=mesh)
    return {url: dict(named) for url, named in messages(view).items()}


def cluster(policy: dict[str, Any] | None = None, **more: Any) -> Any:
    return mesh(policy, **more)[CLUSTER][NAME]


def fields(policy: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return MessageToDict(cluster(policy, **more))


@pytest.mark.parametrize(
    ("balancer", "expected"),
    [
        pytest.param({}, {"lbPolicy": "LEAST_REQUEST"}, id="default"),
        pytest.param({"simple": "LEAST_CONN"}, {"lbPolicy": "LEAST_REQUEST"}, id="old-name"),
        pytest.param({"simple": "ROUND_ROBIN"}, {}, id="round-robin-is-envoys-zero"),
        pytest.param({"simple": "RANDOM"}, {"lbPolicy": "RANDOM"}, id="random"),
        pytest.param(
            {"simple": "PASSTHROUGH"},
            {"lbPolicy": "CLUSTER_PROVIDED", "type": "ORIGINAL_DST"},
            id="passthrough",
        ),
        pytest.param(
            {"consistentHash": {"httpHeaderName": "x"}},
            {"lbPolicy": "RING_HASH", "ringHashLbConfig": {"minimumRingSize": "1024"}},
            id="hash",
        ),
        pytest.param(
            {"consistentHash": {"useSourceIp": True, "ringHash": {"minimumRingSize": 64}}},
            {"lbPolicy": "RING_HASH", "ringHashLbConfig": {"minimumRingSize": "64"}},
            id="ring-size",
        ),
        pytest.param(
            {"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 1009}}},
            {"lbPolicy": "MAGLEV", "maglevLbConfig": {"tableSize": "1009"}},
            id="maglev",
        ),
    ],
)
def test_balancing(balancer: dict[str, Any], expected: dict[str, Any]) -> None:
    found = fields({"loadBalancer": balancer} if balancer else None)
    wanted = {"type": "EDS"} | expected
    assert {key: found.get(key) for key in wanted} == wanted


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        pytest.param({}, (2**32 - 1,) * 4, id="no-limits"),
        pytest.param({"tcp": {"maxConnections": 0}}, (2**32 - 1,) * 4, id="zero-is-no-limit"),
        pytest.param(
            {
                "tcp": {"maxConnections": 1},
                "http": {"http1MaxPendingRequests": 2, "http2MaxRequests": 3, "maxRetries": 4},
            },
            (1, 2, 3, 4),
            id="all",
        ),
    ],
)
def test_limits(pool: dict[str, Any], expected: tuple[int, ...]) -> None:
    (found,) = cluster({"connectionPool": pool} if pool else None).circuit_breakers.thresholds
    limits = (found.max_connections, found.max_pending_requests, found.max_requests, found.max_retries)
    assert tuple(limit.value for limit in limits) == expected


@pytest.mark.parametrize(
    ("resolution", "entry", "kind"),
    [
        pytest.param("STATIC", {}, "EDS", id="static"),
        pytest.param("DNS", {"endpoints": [{"address": "b.com"}]}, "STRICT_DNS", id="dns"),
        pytest.param(
            "DNS_ROUND_ROBIN",
            {"endpoints": [{"address": "b.com"}]},
            "LOGICAL_DNS",
            id="round-robin",
        ),
        pytest.param("NONE", {"endpoints": []}, "ORIGINAL_DST", id="none"),
    ],
)
def test_discovery(resolution: str, entry: dict[str, Any], kind: str) -> None:
    made = mesh(resolution=resolution, **entry)
    assert MessageToDict(made[CLUSTER][NAME])["type"] == kind
    assert (NAME in made[ENDPOINTS]) == (kind == "EDS")


@pytest.mark.parametrize(
    ("protocol", "http", "shape"),
    [
        pytest.param("HTTP", {}, None, id="http1"),
        pytest.param("GRPC", {}, "http2", id="grpc"),
        pytest.param("HTTP", {"h2UpgradePolicy": "UPGRADE"}, "http2", id="upgrade"),
        pytest.param("HTTP", {"useClientProtocol": True}, "client", id="as-the-client"),
        pytest.param("", {}, "client", id="unknown"),
        pytest.param("TCP", {}, None, id="tcp"),
        pytest.param("HTTP", {"maxRequestsPerConnection": 3}, "http1", id="http1-with-options"),
    ],
)
def test_upstream_protocol(protocol: str, http: dict[str, Any], shape: str | None) -> None:
    ports = [{"number": 80, "name": "p", "protocol": protocol}]
    made = cluster({"connectionPool": {"http": http}} if http else None, ports=ports)
    options = HttpProtocolOptions()
    if HTTP_OPTIONS in made.typed_extension_protocol_options:
        made.typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)
    explicit = options.explicit_http_config.WhichOneof("protocol_config")
    found = {"http2_protocol_options": "http2", "http_protocol_options": "http1", None: None}[explicit]
    client = options.WhichOneof("upstream_protocol_options") == "use_downstream_protocol_config"
    assert ("client" if client else found) == shape


def tls_of(socket: Any) -> UpstreamTlsContext:
    context = UpstreamTlsContext()
    assert socket.typed_config.Unpack(context)
    return context


def expected_names(context: UpstreamTlsContext) -> list[str]:
    default = context.common_tls_context.combined_validation_context.default_validation_context
    return [one.matcher.exact or one.matcher.prefix + "*" for one in default.match_typed_subject_alt_names]


@pytest.mark.parametrize(
    ("more", "names"),
    [
        pytest.param({}, ["spiffe://cluster.local/ns/default/sa/sa"], id="accounts-of-the-instances"),
        pytest.param({"endpoints": []}, ["spiffe://cluster.local/*"], id="no-instance-yet"),
        pytest.param(
            {"subjectAltNames": ["spiffe://x/y"]},
            ["spiffe://cluster.local/ns/default/sa/sa", "spiffe://x/y"],
            id="with-written-names",
        ),
        pytest.param(
            {"mesh": {"trustDomain": "td", "trustDomainAliases": ["old"]}},
            ["spiffe://old/ns/default/sa/sa", "spiffe://td/ns/default/sa/sa"],
            id="trust-domain-and-alias",
        ),
    ],
)
def test_mutual_tls_where_instances_have_it(more: dict[str, Any], names: list[str]) -> None:
    mutual, plain = cluster(**more).transport_socket_matches
    context = tls_of(mutual.transport_socket)
    assert (mutual.name, dict(mutual.match), plain.name, dict(plain.match)) == (
        "tlsMode-istio",
        {"tlsMode": "istio"},
        "tlsMode-disabled",
        {},
    )
    assert expected_names(context) == names
    assert context.sni == "outbound_.80_._.a.com"
    assert context.HasField("max_session_keys")
    assert context.max_session_keys.value == 0


@pytest.mark.parametrize(
    ("policy", "more"),
    [
        pytest.param(None, {"location": "MESH_EXTERNAL"}, id="outside"),
        pytest.param(None, {"mesh": {"enableAutoMtls": False}}, id="not-wanted"),
        pytest.param({"tls": {"mode": "DISABLE"}}, {}, id="disabled"),
        pytest.param(None, {"resolution": "NONE", "endpoints": []}, id="unknown-instances"),
    ],
)
def test_no_tls(policy: dict[str, Any] | None, more: dict[str, Any]) -> None:
    made = cluster(policy, **more)
    assert not made.transport_socket_matches
    assert not made.HasField("transport_socket")


@pytest.mark.parametrize(
    ("tls", "certificate", "roots", "names", "sni"),
    [
        pytest.param(
            {"mode": "ISTIO_MUTUAL"},
            "default",
            "ROOTCA",
            ["spiffe://cluster.local/ns/default/sa/sa"],
            "outbound_.80_._.a.com",
            id="of-the-mesh",
        ),
        pytest.param({"mode": "SIMPLE"}, None, "file-root:system", [], "", id="machine-roots"),
        pytest.param(
            {"mode": "SIMPLE", "caCertificates": "/ca.pem", "sni": "s", "subjectAltNames": ["n"]},
            None,
            "file-root:/ca.pem",
            ["n"],
            "s",
            id="written-roots",
        ),
        pytest.param(
            {"mode": "MUTUAL", "clientCertificate": "/c", "privateKey": "/k"},
            "file-cert:/c~/k",
            "file-root:system",
            [],
            "",
            id="client-files",
        ),
        pytest.param(
            {"mode": "MUTUAL", "credentialName": "c"},
            "kubernetes://c",
            "kubernetes://c-cacert",
            [],
            "",
            id="credential",
        ),
        pytest.param({"mode": "SIMPLE", "insecureSkipVerify": True}, None, None, [], "", id="unchecked"),
    ],
)
def test_tls_as_the_rule_says(
    tls: dict[str, Any], certificate: str | None, roots: str | None, names: list[str], sni: str
) -> None:
    context = tls_of(cluster({"tls": tls}).transport_socket)
    common = context.common_tls_context
    own = [one.name for one in common.tls_certificate_sds_secret_configs]
    trusted = common.combined_validation_context.validation_context_sds_secret_config.name
    assert (own, trusted or None, expected_names(context), context.sni) == (
        [certificate] if certificate else [],
        roots,
        names,
        sni,
    )


def test_ejection_never_by_success_rate_and_without_panic() -> None:
    made = cluster({"outlierDetection": {"consecutive5xxErrors": 0, "consecutiveGatewayErrors": 3}})
    found = made.outlier_detection
    assert (found.enforcing_success_rate.value, found.enforcing_consecutive_5xx.value) == (0, 0)
    assert (found.consecutive_gateway_failure.value, found.enforcing_consecutive_gateway_failure.value) == (
        3,
        100,
    )
    assert made.common_lb_config.healthy_panic_threshold.value == 0


@pytest.mark.covers(
    "DestinationRule.trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes",
)
def test_answers_that_count_as_failures() -> None:
    """outlierDetectionHttpErrorCodes: other answers than Envoy's 5xx."""
    options = HttpProtocolOptions()
    made = cluster({"outlierDetection": {"outlierDetectionHttpErrorCodes": [429, 503]}})
    made.typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)
    found = [
        header.string_match.exact
        for rule in options.outlier_detection.error_matcher.or_match.rules
        for header in rule.http_response_headers_match.headers
    ]
    assert found == ["429", "503"]


@pytest.mark.parametrize(
    ("policy", "inner"),
    [
        pytest.param({"tls": {"mode": "DISABLE"}}, ["envoy.transport_sockets.raw_buffer"], id="plain"),
        pytest.param({"tls": {"mode": "SIMPLE"}}, ["envoy.transport_sockets.tls"], id="tls"),
        pytest.param(
            {}, ["envoy.transport_sockets.tls", "envoy.transport_sockets.raw_buffer"], id="by-instance"
        ),
    ],
)
def test_proxy_protocol_comes_before_everything(policy: dict[str, Any], inner: list[str]) -> None:
    made = cluster({"proxyProtocol": {"version": "V2"}} | policy)
    sockets = [one.transport_socket for one in made.transport_socket_matches] or [made.transport_socket]
    found = []
    for socket in sockets:
        outer = ProxyProtocolUpstreamTransport()
        assert socket.typed_config.Unpack(outer)
        assert outer.config.version == ProxyProtocolConfig.V2
        found.append(outer.transport_socket.name)
    assert found == inner


def test_revoked_servers() -> None:
    """caCrl: a file with the certificates that are not to be trusted."""
    tls = {"mode": "SIMPLE", "caCertificates": "/ca.pem", "caCrl": "/crl.pem"}
    common = tls_of(cluster({"tls": tls}).transport_socket).common_tls_context
    assert common.combined_validation_context.default_validation_context.crl.filename == "/crl.pem"


def localities(endpoints: list[dict[str, Any]], policy: dict[str, Any] | None = None) -> dict[str, Any]:
    made = mesh(policy, endpoints=endpoints)[ENDPOINTS][NAME]
    return {
        one.locality.region: (
            one.priority,
            [each.endpoint.address.socket_address.address for each in one.lb_endpoints],
        )
        for one in made.endpoints
    }


def test_instances_by_locality() -> None:
    endpoints = [
        {"address": f"10.0.0.{n}", "locality": where} for n, where in enumerate(("us/a", "eu", "us/a"))
    ]
    assert localities(endpoints) == {"eu": (0, ["10.0.0.1"]), "us": (0, ["10.0.0.0", "10.0.0.2"])}


def test_an_unreadable_address_does_not_take_the_others_away() -> None:
    endpoints = [{"address": "not-an-address"}, {"address": "10.0.0.1"}, {"address": "unix:///run/a.sock"}]
    assert localities(endpoints) == {"": (0, ["10.0.0.1", ""])}
