"""Ingresses of `networking.k8s.io/v1` at a gateway: hosts, paths, defaults, certificates, who wins."""

from __future__ import annotations

import json
from typing import Any

import pytest
from edge_calls import Edge, service

SERVICES = (service("web"), service("api", http=8080, admin=9090), service("tea"))


def backend(text: str) -> dict[str, Any]:
    """`service:port`, by name or number."""
    name, _, port = text.partition(":")
    return {"service": {"name": name, "port": {"number": int(port)} if port.isdigit() else {"name": port}}}


def path(written: str, kind: str, to: str) -> dict[str, Any]:
    return {"path": written, "pathType": kind, "backend": backend(to)}


def ingress(name: str, *rules: Any, age: int = 1, annotations: Any = None, **spec: Any) -> str:
    """One Ingress of namespace shop, made on the day `age`; rules: host and paths."""
    meta = {
        "name": name,
        "namespace": "shop",
        "creationTimestamp": f"2026-01-{age:02}T00:00:00Z",
        "annotations": annotations or {},
    }
    listed = [{"host": host, "http": {"paths": list(paths)}} for host, *paths in rules]
    fields = {"ingressClassName": "istio", **spec} | ({"rules": listed} if listed else {})
    whole = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": fields}
    return json.dumps(whole)


def edge(*ingresses: str, mesh: Any = None, services: Any = SERVICES) -> Edge:
    return Edge("\n---\n".join(ingresses), *services, mesh=mesh)


@pytest.mark.parametrize(
    ("kind", "written", "matching", "others"),
    [
        ("Prefix", "/", ["/", "/foo", "/a/b"], []),
        ("Exact", "/foo", ["/foo", "/foo?a=b"], ["/bar", "/foo/", "/foobar", "/FOO"]),
        ("Exact", "/foo/", ["/foo/"], ["/foo"]),
        ("Prefix", "/foo", ["/foo", "/foo/", "/foo/bar", "/foo?a"], ["/foobar", "/"]),
        ("Prefix", "/foo/", ["/foo", "/foo/", "/foo/bar"], ["/foobar"]),
        ("Prefix", "/aaa/bb", ["/aaa/bb", "/aaa/bb/ccc"], ["/aaa/bbb", "/aaa"]),
        ("Prefix", "/aaa/bbb/", ["/aaa/bbb", "/aaa/bbb/"], ["/aaa/bbbxyz"]),
        ("ImplementationSpecific", "/foo", ["/foo"], ["/foo/", "/foobar"]),
        ("ImplementationSpecific", "/foo*", ["/foo", "/foobar", "/foo/x"], ["/fo"]),
        ("ImplementationSpecific", "/foo/.*", ["/foo/", "/foo/x"], ["/foo"]),
        ("ImplementationSpecific", "", ["/", "/x"], []),
    ],
)
def test_paths_are_matched_as_kubernetes_says(
    kind: str, written: str, matching: list[str], others: list[str]
) -> None:
    found = edge(ingress("a", ("shop.example", path(written, kind, "web:80"))))
    assert {one: found.reaches(f"shop.example{one}") for one in matching} == dict.fromkeys(matching, "web:80")
    assert {one: found.reaches(f"shop.example{one}") for one in others} == dict.fromkeys(others, "404")


def test_the_longest_path_is_first_and_exact_before_prefix() -> None:
    paths = [
        path("/", "Prefix", "web:80"),
        path("/a", "Prefix", "api:http"),
        path("/a/b", "Prefix", "tea:80"),
        path("/a", "Exact", "api:admin"),
    ]
    found = edge(ingress("a", ("shop.example", *paths)))
    asked = {url: found.reaches(f"shop.example{url}") for url in ("/", "/a", "/a/", "/a/b/c", "/ab")}
    assert asked == {"/": "web:80", "/a": "api:9090", "/a/": "api:8080", "/a/b/c": "tea:80", "/ab": "web:80"}


@pytest.mark.parametrize(
    ("host", "asked", "answer"),
    [
        ("shop.example", "shop.example", "web:80"),
        ("shop.example", "SHOP.example:80", "web:80"),
        ("shop.example", "a.shop.example", "404"),
        ("*.shop.example", "a.shop.example", "web:80"),
        ("*.shop.example", "shop.example", "404"),
        ("", "whatever.example", "web:80"),
    ],
)
def test_hosts(host: str, asked: str, answer: str) -> None:
    assert edge(ingress("a", (host, path("/", "Prefix", "web:80")))).reaches(f"{asked}/") == answer


def test_an_exact_host_goes_before_a_wildcard() -> None:
    found = edge(
        ingress("a", ("*.shop.example", path("/", "Prefix", "web:80"))),
        ingress("b", ("tea.shop.example", path("/", "Prefix", "tea:80"))),
    )
    assert found.reaches("tea.shop.example/") == "tea:80"
    assert found.reaches("a.shop.example/") == "web:80"


def test_ports_by_name_and_what_cannot_be_answered_is_said() -> None:
    resource = {"resource": {"kind": "Bucket", "name": "b"}}
    paths = [
        path("/named", "Exact", "api:admin"),
        path("/name", "Exact", "api:nope"),
        path("/number", "Exact", "api:99"),
        path("/gone", "Exact", "gone:80"),
        {"path": "/bucket", "pathType": "Exact", "backend": resource},
    ]
    found = edge(ingress("a", ("shop.example", *paths)))
    assert found.reaches("shop.example/named") == "api:9090"
    assert found.reaches("shop.example/name") == "503"
    assert found.reaches("shop.example/bucket") == "503"
    host, place = "api.shop.svc.cluster.local", "spec.rules[0].http.paths"
    assert found.derived.ingresses["shop/a"] == [
        f"{place}[1].backend.service.port: Service {host} has no port nope; requests get 503",
        f"{place}[2].backend.service.port: Service {host} has no port 99; requests get 503",
        "spec.rules[0].http.paths[3].backend.service: there is no Service gone.shop.svc.cluster.local;"
        " requests get 503",
        "spec.rules[0].http.paths[4].backend.resource: only Services are supported; requests get 503",
    ]


def test_default_backends() -> None:
    only = edge(ingress("a", defaultBackend=backend("web:80")))
    assert only.reaches("any.example/x") == "web:80"
    both = edge(
        ingress("a", ("a.example", path("/a", "Prefix", "api:http")), defaultBackend=backend("tea:80")),
        ingress("b", ("b.example", path("/b", "Prefix", "api:http")), age=2),
        ingress("c", defaultBackend=backend("web:80"), age=3),
    )
    assert both.reaches("a.example/a") == "api:8080"
    assert both.reaches("a.example/other") == "tea:80"
    assert both.reaches("b.example/other") == "tea:80"
    assert both.reaches("c.example/") == "tea:80"
    assert both.derived.ingresses == {
        "shop/c": ["spec.defaultBackend: Ingress shop/a has the default backend"]
    }


def test_several_ingresses_for_one_host_and_the_older_wins() -> None:
    found = edge(
        ingress("young", ("shop.example", path("/a", "Prefix", "tea:80")), age=2),
        ingress("old", ("shop.example", path("/a/", "Prefix", "web:80"))),
        ingress("other", ("shop.example", path("/b", "Prefix", "api:http")), age=3),
        ingress("exact", ("shop.example", path("/a", "Exact", "api:admin")), age=4),
    )
    assert found.reaches("shop.example/a/x") == "web:80"
    assert found.reaches("shop.example/b") == "api:8080"
    assert found.reaches("shop.example/a") == "api:9090"
    told = "spec.rules[0].http.paths[0]: Ingress shop/old has shop.example/a, and is older"
    assert found.derived.ingresses == {"shop/young": [told]}


def test_certificates_by_host_and_the_older_wins() -> None:
    rule = ("shop.example", path("/", "Prefix", "web:80"))
    found = edge(
        ingress("a", rule, tls=[{"hosts": ["shop.example"], "secretName": "shop"}]),
        ingress(
            "b",
            tls=[{"hosts": ["shop.example", "tea.example"], "secretName": "tea"}, {"hosts": ["x.example"]}],
            age=2,
            defaultBackend=backend("tea:80"),
        ),
    )
    (made,) = found.derived.gateways
    served = [
        (one.port.number, one.hosts, one.tls.credential_name if one.tls else "") for one in made.spec.servers
    ]
    assert served == [
        (80, ("./*",), ""),
        (443, ("./shop.example",), "shop"),
        (443, ("./tea.example",), "tea"),
    ]
    assert found.derived.ingresses["shop/b"] == [
        "spec.tls[0]: shop.example has the certificate shop of Ingress shop/a",
        "spec.tls[1].secretName: is required; no certificate is served",
    ]
    https = {"port": 443, "tls": "tls", "sni": "shop.example"}
    assert found.reaches("shop.example/", **https) == "web:80"
    assert found.reaches("tea.example/", **https | {"sni": "tea.example"}) == "tea:80"


@pytest.mark.parametrize(
    ("spec", "annotations", "mesh", "served"),
    [
        ({"ingressClassName": "istio"}, {}, {}, True),
        ({"ingressClassName": "nginx"}, {}, {}, False),
        ({"ingressClassName": ""}, {}, {}, False),
        ({"ingressClassName": ""}, {"kubernetes.io/ingress.class": "istio"}, {}, True),
        ({"ingressClassName": ""}, {"kubernetes.io/ingress.class": "nginx"}, {}, False),
        ({"ingressClassName": ""}, {}, {"ingressControllerMode": "DEFAULT"}, True),
        ({"ingressClassName": "nginx"}, {}, {"ingressControllerMode": "DEFAULT"}, False),
        ({"ingressClassName": "istio"}, {}, {"ingressControllerMode": "OFF"}, False),
        ({"ingressClassName": "edge"}, {}, {"ingressClass": "edge"}, True),
    ],
)
def test_classes(spec: Any, annotations: Any, mesh: Any, served: bool) -> None:
    made = ingress("a", ("shop.example", path("/", "Prefix", "web:80")), annotations=annotations, **spec)
    found = edge(made, mesh=mesh)
    assert bool(found.derived.routes) is served


def test_another_gateway_can_be_chosen() -> None:
    made = ingress("a", ("shop.example", path("/", "Prefix", "web:80")))
    assert (
        edge(made, mesh={"ingressSelector": "inner"}).ask("shop.example/")["error"] == "no listener matched"
    )
