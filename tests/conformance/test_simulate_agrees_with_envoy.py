"""What simulate says of hosts, routes and redirects is what a real Envoy does with the same messages."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import pytest
from envoy.config.listener.v3.listener_pb2 import Listener
from google.protobuf.json_format import ParseDict
from real_envoy import envoy
from servers import wait_listening

from artemon.simulate import Configuration, read_call, simulate

TYPE = "type.googleapis.com/envoy.extensions.filters."
MATCHES: dict[str, dict[str, Any]] = {
    "prefix": {"prefix": "/a"},
    "path": {"path": "/a"},
    "folded": {"prefix": "/A", "case_sensitive": False},
    "folded-path": {"path": "/A/B", "case_sensitive": False},
    "regex": {"safe_regex": {"regex": "/[0-9]+"}},
    "segments": {"path_separated_prefix": "/a/b"},
    "template": {"path_match_policy": {
        "name": "envoy.path.match.uri_template.uri_template_matcher",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
            "path_template": "/a/*/{rest=**}",
        },
    }},
    "exact": {"string_match": {"exact": "1"}},
    "inverse": {"string_match": {"exact": "1"}, "invert_match": True},
    "inverse-empty": {
        "string_match": {"exact": "1"}, "invert_match": True, "treat_missing_header_as_empty": True,
    },
    "empty": {"string_match": {"safe_regex": {"regex": ".*"}}, "treat_missing_header_as_empty": True},
    "present": {"present_match": True},
    "absent": {"present_match": False},
    "not-present": {"present_match": True, "invert_match": True},
    "text-prefix": {"string_match": {"prefix": "Ab", "ignore_case": True}},
    "text-suffix": {"string_match": {"suffix": "yz"}},
    "text-contains": {"string_match": {"contains": ","}},
    "whole-regex": {"string_match": {"safe_regex": {"regex": "a+"}}},
    "range": {"range_match": {"start": "1", "end": "10"}},
    "not-range": {"range_match": {"start": "1", "end": "10"}, "invert_match": True},
    "query": {"name": "q", "string_match": {"exact": "1"}},
    "query-present": {"name": "q", "present_match": True},
    "query-any": {"name": "q"},
    "authority": {"name": ":authority", "string_match": {"prefix": "AUTHORITY"}},
    "host": {"name": "host", "string_match": {"prefix": "host"}},
    "method": {"name": ":method", "string_match": {"exact": "PUT"}},
    "scheme": {"name": ":scheme", "string_match": {"exact": "http"}},
    "forwarded": {"name": "x-forwarded-proto", "string_match": {"exact": "https"}},
}  # fmt: skip
"""Conditions by the host that asks for them: of paths, of header `x` where they have no name, of queries."""
PATHS = ("/", "/a", "/A/b", "/a/b", "/a/bc", "/a/b/c?q=1", "/12", "/12/", "/a/./b", "/a/../12", "/%61", "//a",
         "/a?x=/12", "/?q=1", "/?q=2&q=1", "/?q", "/?Q=1", "/?q=%31", "/a%2Fb")  # fmt: skip
HEADERS = ({}, {"x": "1"}, {"x": ""}, {"x": "11"}, {"x": "9"}, {"x": "aBxyz"}, {"x": "aaa"},
           {"x": "1,2"}, {"x": "a b"},
           {"x-forwarded-proto": "https"})  # fmt: skip
DOMAINS = ("exact.com", "*.exact.com", "*.com", "*-one.com", "pre.*", "pre.fix.*", "*")
HOSTS = ("exact.com", "EXACT.com", "exact.com:8080", "a.exact.com", "a.b.exact.com", "x.com", ".com",
         "two-one.com", "-one.com", "pre.x", "pre.fix.y", "pre.fix.com", "other")  # fmt: skip
REDIRECTS: dict[str, dict[str, Any]] = {
    "host": {"host_redirect": "new.com"},
    "https": {"https_redirect": True},
    "port": {"port_redirect": 8443, "scheme_redirect": "https"},
    "whole": {"path_redirect": "/new", "response_code": "FOUND"},
    "rest": {"prefix_rewrite": "/new/", "response_code": "PERMANENT_REDIRECT"},
    "bare": {"path_redirect": "/new", "strip_query": True, "host_redirect": "new.com:99"},
}


def condition(name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """A RouteMatch that asks for one thing."""
    if name.startswith("query"):
        return {"prefix": "/", "query_parameters": [wanted]}
    is_path = {"prefix", "path", "safe_regex", "path_separated_prefix", "path_match_policy"} & set(wanted)
    return wanted if is_path else {"prefix": "/", "headers": [{"name": "x", **wanted}]}


def virtual_hosts() -> Iterator[dict[str, Any]]:
    answer = {"direct_response": {"status": 200}}
    other = {"match": {"prefix": "/"}, "direct_response": {"status": 299}}
    for name, wanted in MATCHES.items():
        routes = [{"match": condition(name, wanted), **answer}, other]
        yield {"name": name, "domains": [f"{name}.match"], "routes": routes}
    for number, domain in enumerate(DOMAINS):
        route = {"match": {"prefix": "/"}, "direct_response": {"status": 210 + number}}
        yield {"name": domain, "domains": [domain], "routes": [route]}
    for name, redirect in REDIRECTS.items():
        route = {"match": {"prefix": "/old"}, "redirect": redirect}
        yield {"name": f"to-{name}", "domains": [f"{name}.redirect"], "routes": [route]}
    yield {"name": "tls", "domains": ["needs.tls"], "routes": [other], "require_tls": "ALL"}


def listener(port: int) -> dict[str, Any]:
    manager = {
        "@type": f"{TYPE}network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "x",
        "normalize_path": True, "use_remote_address": False,
        "route_config": {
            "name": "r", "ignore_port_in_host_matching": True, "virtual_hosts": list(virtual_hosts()),
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{TYPE}http.router.v3.Router"}},
        ],
    }  # fmt: skip
    chain = {"filters": [{"name": "hcm", "typed_config": manager}]}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"name": "l", "address": address, "filter_chains": [chain]}


@dataclass
class Pair:
    """A running Envoy and the same configuration to be walked."""

    port: int
    configuration: Configuration
    connection: HTTPConnection

    def asked(self, host: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Status and location that Envoy answers."""
        connection = self.connection
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"host": host, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers.get("location", "")

    def foretold(self, host: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Status and location that simulate says."""
        call = read_call({"port": self.port, "host": host, "path": path, "headers": headers})
        response = simulate(self.configuration, call).response or {}
        return response.get("status", 0), response.get("location", "")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    made = listener(port)
    path = tmp_path_factory.mktemp("envoy") / "bootstrap.json"
    path.write_text(json.dumps({"static_resources": {"listeners": [made]}}))
    options = ["--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]
    process = subprocess.Popen([envoy(), "-c", path, *options])
    try:
        wait_listening(port)
        configuration = Configuration(listeners={"l": ParseDict(made, Listener())})
        yield Pair(port, configuration, HTTPConnection("127.0.0.1", port, timeout=10))
    finally:
        process.kill()
        process.wait()


def differences(pair: Pair, calls: list[tuple[str, str, dict[str, str]]]) -> list[Any]:
    outcomes = [(call, pair.asked(*call), pair.foretold(*call)) for call in calls]
    return [one for one in outcomes if one[1] != one[2]]


@pytest.mark.envoy
@pytest.mark.parametrize("name", MATCHES)
def test_conditions(pair: Pair, name: str) -> None:
    calls = [(f"{name}.match", path, {}) for path in PATHS]
    calls += [(f"{name}.match", "/", headers) for headers in HEADERS]
    assert differences(pair, calls) == []


@pytest.mark.envoy
def test_virtual_hosts(pair: Pair) -> None:
    assert differences(pair, [(host, "/", {}) for host in HOSTS]) == []


@pytest.mark.envoy
@pytest.mark.parametrize("name", REDIRECTS)
def test_redirects(pair: Pair, name: str) -> None:
    hosts = (f"{name}.redirect", f"{name}.redirect:8080", f"{name}.redirect:80", f"{name}.redirect:443")
    paths = ("/old", "/old/page?x=1", "/older")
    assert differences(pair, [(host, path, {}) for host in hosts for path in paths]) == []


@pytest.mark.envoy
@pytest.mark.parametrize("headers", [{}, {"x-forwarded-proto": "https"}], ids=str)
def test_tls_that_is_required(pair: Pair, headers: dict[str, str]) -> None:
    calls = [(host, "/a?b", headers) for host in ("needs.tls", "needs.tls:80", "needs.tls:8080")]
    assert differences(pair, calls) == []
