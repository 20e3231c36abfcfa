"""Names that other tools parse, and host names that users write short."""

from __future__ import annotations

import pytest

from artemon.model.hosts import covers, most_specific, owner_namespace, resolve
from artemon.translate import names

REVIEWS = "reviews.bookinfo.svc.cluster.local"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (names.outbound_cluster(REVIEWS, 80, "v1"), f"outbound|80|v1|{REVIEWS}"),
        (names.outbound_cluster(REVIEWS, 80), f"outbound|80||{REVIEWS}"),
        (names.outbound_sni(REVIEWS, 80, "v1"), f"outbound_.80_.v1_.{REVIEWS}"),
        (names.outbound_sni(REVIEWS, 80), f"outbound_.80_._.{REVIEWS}"),
        (names.inbound_cluster(9080), "inbound|9080||"),
        (names.inbound_route(9080), "inbound|9080||"),
        (names.inbound_virtual_host(9080), "inbound|http|9080"),
        (names.outbound_route(80), "80"),
        (names.host_route(REVIEWS, 80), f"{REVIEWS}:80"),
        (names.gateway_http_route(8080), "http.8080"),
        (names.gateway_http_route(8080, "10.0.0.1"), "http.8080.10.0.0.1"),
        (names.gateway_https_route(443, "https", "gw", "ns"), "https.443.https.gw.ns"),
        (names.virtual_host(REVIEWS, 80), f"{REVIEWS}:80"),
        (names.gateway_blackhole(80), "blackhole:80"),
        (names.listener("0.0.0.0", 80), "0.0.0.0_80"),
        (names.listener("::", 80), "[::]_80"),
        (names.route_name(""), "default"),
        (names.route_name("", "m"), "m"),
        (names.route_name("r", "m"), "r.m"),
    ],
)
def test_name(name: str, expected: str) -> None:
    assert name == expected


@pytest.mark.parametrize(
    ("name", "known", "full"),
    [
        pytest.param("reviews", (), REVIEWS, id="short"),
        pytest.param("Reviews", (), REVIEWS, id="case"),
        pytest.param("reviews.bookinfo", (), "reviews.bookinfo", id="two-labels-are-full"),
        pytest.param("reviews.bookinfo", (REVIEWS,), REVIEWS, id="unless-the-mesh-knows-better"),
        pytest.param("reviews.bookinfo.svc", (REVIEWS,), REVIEWS, id="without-domain"),
        pytest.param(REVIEWS, (), REVIEWS, id="full"),
        pytest.param("api.example.com.", (), "api.example.com", id="trailing-dot"),
        pytest.param("*", (), "*", id="everything"),
        pytest.param("*.example.com", (), "*.example.com", id="wildcard"),
        pytest.param("2001:db8::1", (), "2001:db8::1", id="address"),
    ],
)
def test_short_names(name: str, known: tuple[str, ...], full: str) -> None:
    assert resolve(name, "bookinfo", known=known) == full


@pytest.mark.parametrize(
    ("pattern", "host", "covered"),
    [
        ("*", "a.com", True),
        ("*.com", "a.com", True),
        ("*.com", "a.b.com", True),
        ("*.com", "*.b.com", True),
        ("*.b.com", "*.com", False),
        ("*.com", ".com", False),
        ("a.com", "a.com", True),
        ("a.com", "b.a.com", False),
    ],
)
def test_patterns(pattern: str, host: str, covered: bool) -> None:
    assert covers(pattern, host) is covered


def test_the_most_specific_pattern_counts() -> None:
    patterns = ["*", "*.com", "*.b.com", "a.b.com"]
    found = {host: most_specific(patterns, host) for host in ("a.b.com", "c.b.com", "c.com", "net")}
    assert found == {"a.b.com": "a.b.com", "c.b.com": "*.b.com", "c.com": "*.com", "net": "*"}


@pytest.mark.parametrize(
    ("host", "namespace"),
    [
        (REVIEWS, "bookinfo"),
        ("api.example.com", ""),
        ("svc.cluster.local", ""),
        ("a.b.c.svc.cluster.local", "c"),
    ],
)
def test_whose_host_it_is(host: str, namespace: str) -> None:
    assert owner_namespace(host) == namespace


@pytest.mark.parametrize(
    ("host", "client", "domains"),
    [
        pytest.param(
            REVIEWS,
            "bookinfo",
            (REVIEWS, "reviews", "reviews.bookinfo", "reviews.bookinfo.svc", "10.0.0.1"),
            id="same-namespace",
        ),
        pytest.param(
            REVIEWS,
            "other",
            (REVIEWS, "reviews.bookinfo", "reviews.bookinfo.svc", "10.0.0.1"),
            id="other-namespace",
        ),
        pytest.param("api.example.com", "bookinfo", ("api.example.com", "10.0.0.1"), id="outside"),
    ],
)
def test_domains_of_a_service(host: str, client: str, domains: tuple[str, ...]) -> None:
    assert names.service_domains(host, f"{client}.svc.cluster.local", ("10.0.0.1", "10.0.0.0/8")) == domains
