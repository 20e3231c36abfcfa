"""Gateway API at a gateway: listeners, attachment, matches and their order, filters, backends, conditions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from edge_calls import Edge, service

from artemon.model.decode import decode
from artemon.model.mesh_config import MeshConfig
from artemon.registry.kubernetes import sources
from artemon.snapshot.build import build
from artemon.snapshot.changes import Change, Delete, Upsert
from artemon.snapshot.records import upsert
from artemon.snapshot.world import World

PROXY = {
    "type": "router",
    "namespace": "infra",
    "labels": {"gateway.networking.k8s.io/gateway-name": "edge"},
}
SERVICES = (service("web"), service("api"), service("tea"), service("far", "other"))
HTTP = {"name": "http", "port": 80, "protocol": "HTTP"}
ALL = {"allowedRoutes": {"namespaces": {"from": "All"}}}


def obj(kind: str, name: str, spec: Any, namespace: str, *, age: int = 1) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace, "creationTimestamp": f"2026-01-{age:02}T00:00:00Z"}
    version = "v1beta1" if kind == "ReferenceGrant" else "v1"
    group = f"gateway.networking.k8s.io/{version}"
    return {"apiVersion": group, "kind": kind, "metadata": meta, "spec": spec}


def gateway(*listeners: Any, namespace: str = "infra", **spec: Any) -> dict[str, Any]:
    fields = {"gatewayClassName": "istio", "listeners": list(listeners) or [HTTP | ALL], **spec}
    return obj("Gateway", "edge", fields, namespace)


def to(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "port": 80} for name in names]


def route(
    *rules: Any, name: str = "r", namespace: str = "shop", age: int = 1, parent: Any = None, **spec: Any
) -> dict[str, Any]:
    parents = [{"name": "edge", "namespace": "infra"} | (parent or {})]
    listed = {"rules": list(rules)} if rules else {"rules": [{"backendRefs": to("web")}]}
    return obj("HTTPRoute", name, {"parentRefs": parents, **listed, **spec}, namespace, age=age)


def rule(backend: str, *matches: Any, **fields: Any) -> dict[str, Any]:
    return {"matches": list(matches), "backendRefs": to(backend), **fields}


def under(value: str, **more: Any) -> dict[str, Any]:
    return {"path": {"type": "PathPrefix", "value": value}, **more}


def edge(*objects: Any, services: Any = SERVICES, proxy: Any = PROXY) -> Edge:
    return Edge("\n---\n".join(map(json.dumps, objects)), *services, proxy=proxy)


def said(found: Edge, kind: str = "Accepted", parent: int = 0) -> tuple[bool, str]:
    """A condition of the only route."""
    (one,) = found.derived.routes_said
    return one.parents[parent][kind].holds, one.parents[parent][kind].reason


def listener(found: Edge, name: str, kind: str) -> tuple[bool, str]:
    (one,) = found.derived.gateways_said
    (of,) = [each for each in one.listeners if each.name == name]
    return of.conditions[kind].holds, of.conditions[kind].reason


@pytest.mark.parametrize(
    ("ours", "theirs", "reached"),
    [
        ("", [], {"a.example": True}),
        ("", ["a.example"], {"a.example": True, "b.example": False}),
        ("a.example", [], {"a.example": True, "b.example": False}),
        ("*.example", ["a.example", "b.other"], {"a.example": True, "b.other": False}),
        ("a.example", ["*.example"], {"a.example": True, "b.example": False}),
        ("*.example", ["*.a.example"], {"x.a.example": True, "b.example": False}),
        ("*.example", ["example"], {"example": False}),
        ("*.a.example", ["*.example"], {"x.a.example": True, "a.example": False}),
        ("*.EXAMPLE", ["a.example"], {"a.example": True}),
    ],
)
def test_hosts_are_those_that_both_have(ours: str, theirs: list[str], reached: dict[str, bool]) -> None:
    found = edge(gateway({**HTTP, **ALL, "hostname": ours}), route(hostnames=theirs))
    assert {host: found.reaches(f"{host}/") == "web:80" for host in reached} == reached
    accepted = any(reached.values())
    assert said(found) == (accepted, "Accepted" if accepted else "NoMatchingListenerHostname")


@pytest.mark.parametrize(
    ("allowed", "accepted"),
    [
        (None, False),
        ({"from": "Same"}, False),
        ({"from": "All"}, True),
        ({"from": "None"}, False),
        ({"from": "Selector", "selector": {"matchLabels": {"edge": "yes"}}}, True),
        ({"from": "Selector", "selector": {"matchLabels": {"edge": "no"}}}, False),
        (
            {"from": "Selector", "selector": {"matchExpressions": [{"key": "edge", "operator": "Exists"}]}},
            True,
        ),
        (
            {
                "from": "Selector",
                "selector": {
                    "matchExpressions": [
                        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["shop"]}
                    ]
                },
            },
            False,
        ),
        ({"from": "Selector", "selector": {}}, True),
    ],
)
def test_only_allowed_namespaces_attach(allowed: Any, accepted: bool) -> None:
    listener_of = {**HTTP, "allowedRoutes": {"namespaces": allowed}} if allowed else HTTP
    space = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "shop", "labels": {"edge": "yes"}},
    }
    found = edge(gateway(listener_of), route(), space)
    assert said(found)[0] is accepted
    assert found.reaches("a.example/") == ("web:80" if accepted else "404")
    assert found.derived.gateways_said[0].listeners[0].attached == int(accepted)


def test_a_route_of_the_same_namespace_attaches_without_a_word() -> None:
    found = edge(gateway(HTTP, namespace="shop"), route(parent={"namespace": "shop"}))
    assert said(found) == (True, "Accepted")


@pytest.mark.parametrize(
    ("parent", "reason"),
    [
        ({"sectionName": "http"}, "Accepted"),
        ({"sectionName": "nope"}, "NoMatchingParent"),
        ({"port": 80}, "Accepted"),
        ({"port": 81}, "NoMatchingParent"),
        ({"port": 8080, "sectionName": "http"}, "NoMatchingParent"),
    ],
)
def test_parents_by_name_and_port(parent: Any, reason: str) -> None:
    other = {"name": "alt", "port": 8080, "protocol": "HTTP", **ALL}
    assert said(edge(gateway(HTTP | ALL, other), route(parent=parent)))[1] == reason


def test_a_section_is_that_listener_alone() -> None:
    other = {"name": "alt", "port": 8080, "protocol": "HTTP", **ALL}
    found = edge(gateway(HTTP | ALL, other), route(parent={"sectionName": "alt"}))
    assert found.reaches("a.example/", port=8080) == "web:80"
    assert found.reaches("a.example/") == "404"


def test_other_classes_and_unknown_parents_are_none_of_ours() -> None:
    foreign = gateway()
    foreign["spec"]["gatewayClassName"] = "other"
    found = edge(foreign, route())
    assert found.derived.gateways_said == ()
    assert found.derived.routes_said == ()


def test_matches() -> None:
    exact = {"path": {"type": "Exact", "value": "/exact"}}
    regex = {"path": {"type": "RegularExpression", "value": "/r[0-9]+"}}
    header = under("/h", headers=[{"name": "X-A", "value": "1"}, {"name": "x-a", "value": "2"}])
    query = under("/q", queryParams=[{"name": "a", "value": "b.*", "type": "RegularExpression"}])
    matches = [exact, regex, under("/foo"), header, query, under("/m", method="POST")]
    found = edge(gateway(), route(rule("web", *matches)))
    yes: list[tuple[str, dict[str, Any]]] = [
        ("/exact", {}),
        ("/r12", {}),
        ("/foo/bar", {}),
        ("/h", {"headers": {"x-a": "1"}}),
        ("/q?a=bcd", {}),
        ("/m", {"method": "POST"}),
    ]
    no: list[tuple[str, dict[str, Any]]] = [
        ("/exact/", {}),
        ("/r12x", {}),
        ("/foobar", {}),
        ("/h", {"headers": {"x-a": "2"}}),
        ("/q?a=c", {}),
        ("/m", {}),
    ]
    assert [found.reaches(f"a.example{path}", **call) for path, call in yes] == ["web:80"] * len(yes)
    assert [found.reaches(f"a.example{path}", **call) for path, call in no] == ["404"] * len(no)


def test_what_is_tried_first_across_rules_and_routes() -> None:
    many = under("/a", headers=[{"name": "x", "value": "1"}, {"name": "y", "value": "1"}])
    found = edge(
        gateway(),
        route(rule("web", under("/")), rule("web", under("/a")), name="old"),
        route(
            rule("tea", under("/a")),
            rule("api", {"path": {"type": "Exact", "value": "/a"}}),
            rule("api", under("/a/b")),
            rule("tea", many),
            rule("api", under("/a", headers=[{"name": "x", "value": "1"}])),
            rule("tea", under("/a", method="PUT")),
            name="young",
            age=2,
        ),
    )
    x, y = {"headers": {"x": "1"}}, {"headers": {"x": "1", "y": "1"}}
    asked: list[tuple[str, dict[str, Any], str]] = [
        ("/", {}, "web:80"),
        ("/a", {}, "api:80"),
        ("/a/x", {}, "web:80"),
        ("/a/b/c", {}, "api:80"),
        ("/a/x", x, "api:80"),
        ("/a/x", y, "tea:80"),
        ("/a/x", {**y, "method": "PUT"}, "tea:80"),
        ("/a/x", {**x, "method": "PUT"}, "tea:80"),
        ("/a/b", y, "api:80"),
    ]
    assert [found.reaches(f"a.example{path}", **call) for path, call, _ in asked] == [to for *_, to in asked]


@pytest.mark.parametrize(
    ("redirect", "url", "answer"),
    [
        ({}, "/a", (302, "http://a.example/a")),
        ({"scheme": "https"}, "/a", (302, "https://a.example/a")),
        ({"hostname": "b.example", "statusCode": 301}, "/a", (301, "http://b.example/a")),
        ({"port": 8443, "scheme": "https"}, "/a", (302, "https://a.example:8443/a")),
        ({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/x"}}, "/a/b", (302, "http://a.example/x")),
        (
            {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"}},
            "/a/b",
            (302, "http://a.example/x/b"),
        ),
        (
            {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x/"}},
            "/a",
            (302, "http://a.example/x"),
        ),
        (
            {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
            "/a/b",
            (302, "http://a.example/b"),
        ),
    ],
)
def test_redirects(redirect: Any, url: str, answer: tuple[int, str]) -> None:
    filters = [{"type": "RequestRedirect", "requestRedirect": redirect}]
    found = edge(gateway(), route({"matches": [under("/a")], "filters": filters}))
    response = found.ask(f"a.example{url}")["response"]
    assert (response["status"], response["location"]) == answer


def test_rewrites_mirrors_headers_and_timeouts() -> None:
    header = {"set": [{"name": "a", "value": "100%"}], "add": [{"name": "b", "value": "2"}], "remove": ["c"]}
    mirror = {"backendRef": to("tea")[0], "fraction": {"numerator": 1, "denominator": 8}}
    rewrite = {
        "hostname": "in.example",
        "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"},
    }
    made = rule(
        "web",
        under("/a"),
        filters=[
            {"type": "RequestHeaderModifier", "requestHeaderModifier": header},
            {"type": "ResponseHeaderModifier", "responseHeaderModifier": header},
            {"type": "RequestMirror", "requestMirror": mirror},
            {"type": "URLRewrite", "urlRewrite": rewrite},
        ],
        timeouts={"request": "10s", "backendRequest": "2s"},
    )
    (vs,) = edge(gateway(), route(made)).derived.routes
    exact, below = vs.spec.http
    assert [one.match[0].uri.model_dump(exclude_none=True) for one in (exact, below)] == [
        {"exact": "/a"},
        {"prefix": "/a/"},
    ]
    assert [(one.rewrite.uri, one.rewrite.authority) for one in (exact, below)] == [("/", "in.example")] * 2
    assert exact.headers.request.set_ == {"a": "100%%"}
    assert (exact.headers.response.add, exact.headers.response.remove) == ({"b": "2"}, ("c",))
    assert (exact.mirrors[0].destination.host, exact.mirrors[0].percentage.value) == (
        "tea.shop.svc.cluster.local",
        12.5,
    )
    assert (exact.timeout.seconds, exact.retries.per_try_timeout.seconds) == (10, 2)


def test_weights_and_the_share_of_backends_that_are_none() -> None:
    refs = [{"name": name, "port": 80, "weight": weight} for name, weight in (("web", 3), ("tea", 0))]
    refs.append({"name": "gone", "port": 80})
    found = edge(gateway(), route({"backendRefs": refs}))
    (vs,) = found.derived.routes
    (made,) = vs.spec.http
    assert [(one.destination.host, one.weight) for one in made.route] == [("web.shop.svc.cluster.local", 3)]
    assert (made.fault.abort.http_status, made.fault.abort.percentage.value) == (500, 25.0)
    assert said(found, "ResolvedRefs") == (False, "BackendNotFound")


@pytest.mark.parametrize(
    ("refs", "reason"),
    [
        ([{"name": "web"}], "BackendNotFound"),
        ([{"name": "web", "port": 81}], "BackendNotFound"),
        ([{"name": "gone", "port": 80}], "BackendNotFound"),
        ([{"name": "web", "port": 80, "kind": "Bucket", "group": "x.example"}], "InvalidKind"),
        ([{"name": "far", "port": 80, "namespace": "other"}], "RefNotPermitted"),
        ([{"name": "web", "port": 80, "weight": 0}], "ResolvedRefs"),
        ([], "ResolvedRefs"),
    ],
)
def test_nothing_to_send_to_is_500(refs: Any, reason: str) -> None:
    found = edge(gateway(), route({"backendRefs": refs}))
    assert found.reaches("a.example/") == "500"
    assert said(found, "ResolvedRefs")[1] == reason
    assert said(found) == (True, "Accepted")


@pytest.mark.parametrize(
    ("spec", "reached"),
    [
        ({}, "far.other:80"),
        ({"to": [{"group": "", "kind": "Service", "name": "far"}]}, "far.other:80"),
        ({"to": [{"group": "", "kind": "Service", "name": "near"}]}, "500"),
        ({"to": [{"group": "", "kind": "Secret"}]}, "500"),
        ({"from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "x"}]}, "500"),
        ({"from": [{"group": "gateway.networking.k8s.io", "kind": "GRPCRoute", "namespace": "shop"}]}, "500"),
    ],
)
def test_other_namespaces_must_grant_it(spec: Any, reached: str) -> None:
    fields = {
        "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop"}],
        "to": [{"group": "", "kind": "Service"}],
        **spec,
    }
    far = route({"backendRefs": [{"name": "far", "port": 80, "namespace": "other"}]})
    assert edge(gateway(), far, obj("ReferenceGrant", "g", fields, "other")).reaches("a.example/") == reached
    elsewhere = edge(gateway(), far, obj("ReferenceGrant", "g", fields, "third"))
    assert elsewhere.reaches("a.example/") == "500"


def test_a_filter_that_cannot_be_done_fails_the_rule_alone() -> None:
    extension = {"type": "ExtensionRef", "extensionRef": {"group": "x.example", "kind": "X", "name": "x"}}
    found = edge(gateway(), route(rule("web", under("/")), rule("tea", under("/t"), filters=[extension])))
    assert found.reaches("a.example/") == "web:80"
    assert found.reaches("a.example/t") == "500"
    assert said(found) == (False, "UnsupportedValue")


def test_listeners_that_clash_or_are_not_supported() -> None:
    other = {"name": "other", "port": 80, "protocol": "HTTP", **ALL}
    clashing = edge(gateway(HTTP | ALL, other), route())
    assert listener(clashing, "http", "Conflicted") == (True, "HostnameConflict")
    assert clashing.derived.gateways == ()
    tls = {"certificateRefs": [{"name": "cert"}]}
    mixed = edge(
        gateway(
            HTTP | ALL,
            {"name": "tls", "port": 80, "protocol": "HTTPS", "tls": tls, **ALL},
            {"name": "tcp", "port": 90, "protocol": "TCP"},
            {"name": "good", "port": 91, "protocol": "HTTP", **ALL},
        ),
        route(),
    )
    assert listener(mixed, "tls", "Conflicted") == (True, "ProtocolConflict")
    assert listener(mixed, "tcp", "Accepted") == (False, "UnsupportedProtocol")
    assert mixed.reaches("a.example/", port=91) == "web:80"
    (gw,) = mixed.derived.gateways_said
    assert (gw.conditions["Accepted"].holds, gw.conditions["Accepted"].reason) == (True, "ListenersNotValid")


@pytest.mark.parametrize(
    ("tls", "reason"),
    [
        ({"certificateRefs": [{"name": "cert"}]}, "ResolvedRefs"),
        ({"certificateRefs": [{"name": "cert", "namespace": "infra"}]}, "ResolvedRefs"),
        ({"certificateRefs": [{"name": "cert", "namespace": "shop"}]}, "RefNotPermitted"),
        ({"certificateRefs": [{"name": "c", "kind": "ConfigMap"}]}, "InvalidCertificateRef"),
        ({}, "InvalidCertificateRef"),
    ],
)
def test_certificates(tls: Any, reason: str) -> None:
    https = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": tls, **ALL}
    found = edge(gateway(https), route())
    good = reason == "ResolvedRefs"
    assert listener(found, "https", "ResolvedRefs") == (good, reason)
    assert listener(found, "https", "Programmed")[0] is good
    if good:
        (made,) = found.derived.gateways
        assert made.spec.servers[0].tls is not None
        assert made.spec.servers[0].tls.credential_name == "cert"
        assert found.reaches("a.example/", port=443, tls="tls", sni="a.example") == "web:80"


def test_a_certificate_of_another_namespace_needs_a_grant_there() -> None:
    tls = {"certificateRefs": [{"name": "cert", "namespace": "shop"}]}
    https = gateway({"name": "https", "port": 443, "protocol": "HTTPS", "tls": tls, **ALL})

    def lent(asking: str, namespace: str = "infra", **to: str) -> dict[str, Any]:
        whose = {"group": "gateway.networking.k8s.io", "kind": asking, "namespace": namespace}
        spec = {"from": [whose], "to": [{"group": "", "kind": "Secret", **to}]}
        return obj("ReferenceGrant", "g", spec, "shop")

    for wrong in (lent("HTTPRoute"), lent("Gateway", "other"), lent("Gateway", name="other")):
        assert listener(edge(https, route(), wrong), "https", "ResolvedRefs") == (False, "RefNotPermitted")
    found = edge(https, route(), lent("Gateway", name="cert"))
    assert listener(found, "https", "ResolvedRefs") == (True, "ResolvedRefs")
    (made,) = found.derived.gateways
    assert made.spec.servers[0].tls is not None
    assert made.spec.servers[0].tls.credential_name == "kubernetes-gateway://shop/cert"


def test_a_gateway_is_for_proxies_of_its_own_namespace() -> None:
    stranger = edge(gateway(), route(), proxy={**PROXY, "namespace": "shop"})
    assert stranger.ask("a.example/")["error"] == "no listener matched"


def test_proxies_behind_a_service_by_its_name() -> None:
    front = service("front", "infra")
    front["spec"]["selector"] = {"app": "front"}
    proxy = {**PROXY, "labels": {"app": "front"}}
    for address in ("front", "front.infra.svc.cluster.local"):
        named = gateway(addresses=[{"type": "Hostname", "value": address}])
        assert (
            edge(named, route(), services=(*SERVICES, front), proxy=proxy).reaches("a.example/") == "web:80"
        )
    foreign = gateway(addresses=[{"type": "Hostname", "value": "far.other.svc.cluster.local"}])
    (found,) = edge(foreign, route()).derived.gateways_said
    assert (found.conditions["Programmed"].holds, found.conditions["Programmed"].reason) == (
        False,
        "AddressNotUsable",
    )
    (found,) = edge(gateway(addresses=[{"value": "192.0.2.1"}]), route()).derived.gateways_said
    assert found.conditions["Accepted"].reason == "UnsupportedAddress"


@pytest.mark.parametrize(
    ("namespace", "client", "reached"),
    [
        ("shop", "shop", "tea:80"),
        ("shop", "other", "tea:80"),
        ("other", "other", "tea:80"),
        ("other", "shop", "web:80"),
    ],
)
def test_routes_of_a_service_are_for_its_clients(namespace: str, client: str, reached: str) -> None:
    """A route in another namespace than the Service is for clients of that namespace alone."""
    parent = {"group": "", "kind": "Service", "name": "web", "namespace": "shop"}
    refs = [{"name": "tea", "port": 80, "namespace": "shop"}]
    made = route({"matches": [under("/t")], "backendRefs": refs}, namespace=namespace, parent=parent)
    fields = {
        "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "other"}],
        "to": [{"group": "", "kind": "Service"}],
    }
    grant = obj("ReferenceGrant", "g", fields, "shop")
    found = edge(made, grant, proxy={"type": "sidecar", "namespace": client})
    call: dict[str, Any] = {"mode": "outbound", "address": "10.0.0.1"}
    answer = found.reaches("web.shop.svc.cluster.local/t/x", **call)
    assert answer == reached


def test_services_that_come_and_go_change_what_routes_do() -> None:
    """And what does not change stays the same object, so that nobody is told of it."""
    world = World()
    world.apply([upsert(decode(gateway())), upsert(decode(route()))])
    first = build(world)
    assert first.config.edge.routes_said[0].parents[0]["ResolvedRefs"].reason == "BackendNotFound"
    (source,) = sources([service("web")], MeshConfig(), "cluster.local")
    steps: list[Change] = [Upsert(source.id, source), Delete(source.id)]
    second = build(world, first, world.apply(steps[:1]))
    assert second.config.edge.routes_said[0].parents[0]["ResolvedRefs"].holds
    assert second.config.gateways is first.config.gateways
    again = build(world)
    assert again.config.virtual_services == second.config.virtual_services
    third = build(world, second, world.apply([upsert(decode(gateway(HTTP | ALL, HTTP | ALL)))]))
    assert third.config.gateways == ()
