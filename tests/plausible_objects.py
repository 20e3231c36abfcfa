"""Hypothesis strategies for traffic objects that people could write: words that fit, numbers at the edges."""

from __future__ import annotations

import typing
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any

from hypothesis import strategies as st

from artemon.model import kinds
from artemon.model.duration import Nanoseconds
from artemon.model.message import Message

KINDS = (
    *(kinds.VIRTUAL_SERVICE,) * 4,
    *(kinds.DESTINATION_RULE,) * 3,
    kinds.GATEWAY,
    kinds.SERVICE_ENTRY,
    kinds.SIDECAR,
)
CERTIFICATE, KEY = "/tmp/artemon-plausible/cert.pem", "/tmp/artemon-plausible/key.pem"
"""Files that translated objects may name; `write_files` makes them."""


def _of(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def _many(one: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[list[Any]]:
    return st.lists(one, min_size=least, max_size=2, unique_by=repr)


HOSTS = _of(
    "reviews",
    "reviews.default.svc.cluster.local",
    "web.default",
    "*.example.com",
    "shop.example.com",
    "a.shop.example.com",
    "*.com",
    "nobody.example.org",
)
PORTS = _of(80, 81, 443, 8080, 9000, 9443, 1, 65535)
DURATIONS = _of("1s", "250ms", "1ms", "1h", "10s", "1h30m", "2s", "1m", "0s", "87600h", "1ms500us")
NUMBERS = _of(0, 1, 2, 3, 100, 1024, 65536, 2**31 - 1, 2**31 - 1, 2**32 - 1)
HEADERS = _of("x-user", "X-Upper", "cookie", ":authority", "host", "x_under", "content-type", "end-user")
VALUES = _of("a", "", "gold", "%REQ(:PATH)%", "50%%", "%RESPONSE_CODE%", "a b;c=d", "100%")
REGEX = _of(".*", "*", "[0-9]+", "/v[12]/(.*)", "a|b", "(?i)beta", "", "^(.*?;)?(user=x)(;.*)?$")
LABELS = _of({"app": "reviews"}, {"version": "v1"}, {"app": "client"}, {}, {"istio": "ingressgateway"})
ADDRESSES = _of("10.1.2.3", "10.1.0.0/16", "fd00::1", "240.0.0.9", "0.0.0.0", "127.0.0.1", "fd00::/8")
FILES = _of("", CERTIFICATE)
PERCENT = _of(0, 0.0001, 0.5, 20, 33.333, 50, 99.9, 100)
ENDPOINTS = _of(
    "1.2.3.4", "fd00::2", "db.example.com", "unix:///tmp/artemon-plausible/a.sock", "localhost", "127.0.0.1"
)
LOCALITIES = _of("", "r1", "r1/z1", "r1/z1/s1", "r2/*", "*", "r3")

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "hosts": _many(HOSTS, 1),
    "host": HOSTS,
    "subset": _of("", "v1", "v2", "v9"),
    "gateways": _many(_of("mesh", "front", "other/front")),
    "exportTo": _many(_of(".", "*", "other", "~")),
    "namespace": _of("", "default", "other"),
    "number": PORTS,
    "targetPort": PORTS,
    "protocol": _of("HTTP", "HTTPS", "TLS", "TCP", "GRPC", "HTTP2", "GRPC-WEB", "MONGO", "UDP", "", "http"),
    "weight": _of(0, 1, 20, 80, 100),
    "httpStatus": _of(200, 404, 503, 599, 555),
    "status": _of(200, 404, 503, 599, 100, 301, 1000),
    "grpcStatus": _of("UNAVAILABLE", "NOT_FOUND", "OK", "unavailable"),
    "retryOn": _of("5xx", "503", "connect-failure,503,reset", "gateway-error,retriable-4xx", "", "cancelled"),
    "redirectCode": _of(0, 301, 302, 303, 307, 308, 300, 304),
    "scheme": _of("", "http", "https"),
    "prefixRewrite": _of("", "/", "/new"),
    "body": _of({"string": "hello"}, {"bytes": "aGVsbG8="}, {"string": ""}, {"string": "%FOO%"}),
    "headers": st.deferred(lambda: st.dictionaries(HEADERS, messages(kinds_string_match()), max_size=2)),
    "set": st.dictionaries(HEADERS, VALUES, max_size=2),
    "add": st.dictionaries(HEADERS, VALUES, max_size=2),
    "remove": _many(HEADERS),
    "exact": _of("/a", "/", "a", "", "/%20b", "shop.example.com"),
    "prefix": _of("/", "/api", "a", "/api/", ""),
    "regex": REGEX,
    "labels": LABELS,
    "matchLabels": LABELS,
    "sourceLabels": LABELS,
    "selector": LABELS,
    "addresses": _many(ADDRESSES),
    "address": ENDPOINTS,
    "ports": st.deferred(lambda: _many(messages(_service_port()), 1)),
    "destinationSubnets": _many(ADDRESSES),
    "sourceSubnet": ADDRESSES,
    "sniHosts": _many(_of("shop.example.com", "*.example.com", "a.shop.example.com", "*", "reviews"), 1),
    "bind": _of("", "0.0.0.0", "127.0.0.1", "::", "unix:///tmp/artemon-plausible/l.sock", "10.9.9.9"),
    "credentialName": _of("", "shop", "kubernetes-gateway://default/shop"),
    "credentialNames": _many(_of("shop", "other")),
    "caCertCredentialName": _of("", "roots"),
    "serverCertificate": FILES,
    "clientCertificate": FILES,
    "caCertificates": FILES,
    "caCrl": _of(""),
    "privateKey": _of("", KEY),
    "subjectAltNames": _many(
        _of("spiffe://cluster.local/ns/default/sa/a", "a.example.com", "*.b.example.com")
    ),
    "verifyCertificateHash": _many(_of("a" * 64, ":".join(["AB"] * 32))),
    "verifyCertificateSpki": _many(_of("NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=")),
    "cipherSuites": _many(_of("ECDHE-RSA-AES256-GCM-SHA384", "AES128-SHA", "WHAT", "TLS_AES_128_GCM_SHA256")),
    "sni": _of("", "a.example.com", "10.1.2.3"),
    "tableSize": _of(0, 2, 1009, 65537, 5000011, 4999999),
    "minimumRingSize": _of(0, 1, 1024, 8388608, 8388609, 2**32, 2**60),
    "percentage": st.builds(lambda value: {"value": value}, PERCENT),
    "mirrorPercentage": st.builds(lambda value: {"value": value}, PERCENT),
    "percent": _of(0, 1, 20, 50, 100),
    "mirrorPercent": _of(0, 1, 50, 100),
    "minimumPercent": _of(0, 1, 10, 100),
    "aggression": _of(0.1, 1, 2, 1000),
    "maxEjectionPercent": _of(0, 1, 50, 100),
    "minHealthPercent": _of(0, 1, 50, 100),
    "locality": LOCALITIES,
    "from": LOCALITIES,
    "to": st.deferred(lambda: LOCALITIES | st.dictionaries(LOCALITIES, _of(50, 100, 1), max_size=2)),
    "failoverPriority": _many(_of("topology.kubernetes.io/region", "version", "app=reviews")),
    "defaultEndpoint": _of(
        "", "127.0.0.1:8080", "0.0.0.0:9000", "[::1]:8080", "unix:///tmp/artemon-plausible/a"
    ),
    "allowOrigin": _many(_of("*", "https://a.example.com")),
    "allowMethods": _many(_of("GET", "POST", "*")),
    "allowHeaders": _many(HEADERS),
    "exposeHeaders": _many(HEADERS),
    "match": _of("^/a/(.*)$", "[0-9]", "(a)(b)"),
    "rewrite": _of("/b/\\1", "x", "\\2\\1", "\\0"),
    "path": _of("", "/", "/p"),
    "serviceAccount": _of("", "web"),
    "network": _of("", "n1"),
    "targetHost": _of("db.example.com", "10.1.2.3"),
    "httpHeaderName": _of("x-user", "X-User", ":path"),
    "httpQueryParameterName": _of("user", "a b"),
    "egressProxy": st.builds(
        lambda host: {"host": host, "port": {"number": 80}}, _of("web.default.svc.cluster.local")
    ),
    "outlierDetectionHttpErrorCodes": _many(_of(500, 503, 429)),
}
"""Wire name -> what is written there, whatever the message; FIELDS_OF takes precedence."""

FIELDS_OF: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("VirtualService", "hosts"): _many(HOSTS, 1),
    ("Server", "hosts"): _many(_of("*", "./shop.example.com", "other/*.example.com", "*.com", "a.b.com"), 1),
    ("VirtualService", "gateways"): _many(_of("mesh", "front"), 1),
    ("IstioEgressListener", "hosts"): _many(_of("*/*", "./*", "default/*", "~/*", "other/*.example.com"), 1),
    ("ServiceEntry", "hosts"): _many(
        _of("reviews.default.svc.cluster.local", "*.b.com", "c.b.com", "d.com"), 1
    ),
    ("WorkloadEntry", "ports"): st.dictionaries(_of("http", "tcp", "tls"), PORTS, max_size=1),
    ("HTTPRoute", "headers"): st.deferred(lambda: messages(_message("Headers"))),
    ("HTTPRouteDestination", "headers"): st.deferred(lambda: messages(_message("Headers"))),
    ("HTTPRoute", "match"): st.deferred(lambda: _many(messages(_message("HTTPMatchRequest")))),
    ("HTTPRoute", "rewrite"): st.deferred(lambda: messages(_message("HTTPRewrite"))),
    ("TCPRoute", "match"): st.deferred(lambda: _many(messages(_message("L4MatchAttributes")))),
    ("TLSRoute", "match"): st.deferred(lambda: _many(messages(_message("TLSMatchAttributes")), 1)),
    ("HTTPRedirect", "uri"): _of("", "/new", "/new?x=y", "new"),
    ("HTTPRewrite", "uri"): _of("", "/new", "/", "new"),
    ("HTTPRedirect", "authority"): _of("", "elsewhere.example.com", "e.example.com:81"),
    ("HTTPRewrite", "authority"): _of("", "elsewhere.example.com"),
    ("HTTPRedirect", "scheme"): _of("", "http", "https"),
    ("HTTPMatchRequest", "scheme"): st.deferred(lambda: messages(kinds_string_match())),
    ("HTTPMatchRequest", "authority"): st.deferred(lambda: messages(kinds_string_match())),
    ("Subset", "name"): _of("v1", "v2", "v3"),
    ("Port", "name"): _of("http", "https", "tcp", "a", "b"),
    ("ServicePort", "name"): _of("http", "https", "tcp", "auto"),
    ("SidecarPort", "name"): _of("http", "tcp", "a"),
}


def write_files(chain: bytes, key: bytes) -> None:
    """The files that objects name."""
    for path, pem in ((CERTIFICATE, chain), (KEY, key)):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_bytes(pem)


def _message(name: str) -> type[Message]:
    from artemon.model import virtual_service

    found: type[Message] = getattr(virtual_service, name)
    return found


def kinds_string_match() -> type[Message]:
    """Text that must match."""
    return _message("StringMatch")


def _service_port() -> type[Message]:
    from artemon.model.service_entry import ServicePort

    return ServicePort


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Nanoseconds:
        return DURATIONS
    scalars: dict[Any, st.SearchStrategy[Any]] = {
        str: _of("a", "reviews", "b-c"),
        bool: st.booleans(),
        int: NUMBERS,
        float: PERCENT,
    }
    if annotation in scalars:
        return scalars[annotation]
    if origin is typing.Annotated:
        return _values(arguments[0])
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin in {typing.Union, UnionType}:
        return _values(next(one for one in arguments if one is not type(None)))
    if origin is tuple:
        return st.lists(_values(arguments[0]), min_size=1, max_size=2)
    if origin is dict:
        return st.dictionaries(_of("a", "x-user"), _values(arguments[1]), max_size=2)
    return messages(annotation)


@cache
def messages(model: type[Message]) -> st.SearchStrategy[dict[str, Any]]:
    """What can be written for one message: few fields of many, one member of each oneof."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for name, info in model.model_fields.items():
        wire = info.alias or name
        fields[wire] = _field(model, wire, info.annotation)
    return st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({name: fields[name] for name in _consistent(model, chosen)})
    )


def _field(model: type[Message], wire: str, annotation: Any) -> st.SearchStrategy[Any]:
    special = FIELDS_OF.get((model.__name__, wire))
    if special is not None:
        return special
    if wire in FIELDS and not (wire == "ports" and model.__name__ == "WorkloadEntry"):
        return FIELDS[wire]
    return st.deferred(lambda: _values(annotation))


NEEDED = {
    "ServiceEntry": ("hosts", "ports"),
    "HTTPRoute": ("route",),
    "TCPRoute": ("route",),
    "TLSRoute": ("route", "match"),
    "Gateway": ("servers", "selector"),
    "HTTPFaultInjectionDelay": ("fixedDelay",),
    "TLSMatchAttributes": ("sniHosts",),
    "HTTPRouteDestination": ("destination", "weight"),
    "RouteDestination": ("destination", "weight"),
    "PortSelector": ("number",),
    "RegexRewrite": ("match", "rewrite"),
    "Percent": ("value",),
    "VirtualService": ("hosts", "http"),
    "DestinationRule": ("trafficPolicy",),
    "TrafficPolicy": ("loadBalancer",),
    "SidecarPort": ("number", "name", "protocol"),
    "ConnectionPoolSettingsHTTPSettingsConnectionKeepalive": ("interval", "timeout"),
    "ConnectionPoolSettings": ("tcp",),
}
NEVER = {"Port": ("targetPort",), "SidecarPort": ("targetPort",)}
EXCLUSIVE = {
    "HTTPRoute": ("redirect", "directResponse", "delegate"),
    "LoadBalancerSettings": ("localityLbSetting", "zoneAwareLbSetting"),
    "TrafficPolicy": ("tunnel", "proxyProtocol"),
    "LocalityLoadBalancerSetting": ("distribute", "failover", "failoverPriority"),
}
"""Of these, one."""
INSTEAD = ("route", "fault", "rewrite", "retries", "mirror", "mirrors")
"""What a route that does not forward has none of."""


def _consistent(model: type[Message], chosen: list[str]) -> list[str]:
    """The chosen fields with those that are needed, without what excludes each other."""
    chosen = [name for name in chosen if name not in NEVER.get(model.__name__, ())]
    wanted = dict.fromkeys((*model.required, *NEEDED.get(model.__name__, ()), *chosen))
    for members in model.oneofs.values():
        for surplus in [one for one in members if one in wanted][1:]:
            del wanted[surplus]
    answers = [one for one in EXCLUSIVE.get(model.__name__, ()) if one in wanted]
    for name in (*answers[1:], *(INSTEAD if answers and model.__name__ == "HTTPRoute" else ())):
        wanted.pop(name, None)
    return list(wanted)


@st.composite
def plausible(draw: st.DrawFn) -> dict[str, Any]:
    """A traffic object; most are valid. Its name and namespace are the first thing to shrink."""
    kind = draw(st.sampled_from(KINDS))
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": "front", "namespace": draw(_of("default", "other", "istio-system"))},
        "spec": draw(messages(kind.spec)),
    }
