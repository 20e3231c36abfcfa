"""What stands between `%` in headers, logs and tags: our verdict is that of the real Envoy."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from real_envoy import envoy

from artemon.validate.formats import ALONE, CHOICES, CUT, EITHER, HEADERS, WITH, WITHOUT_QUERY, operators

TYPES = "type.googleapis.com/envoy.extensions.filters"
ARGUMENTS = {
    "CEL": "request.headers['a'].size() > 1",
    "COALESCE": '{"operators":["PROTOCOL"]}',
    "COMMON_DURATION": "DS_RX_BEG:US_TX_END:ms",
    "METADATA": "ROUTE:a:b",
    "XFCC_VALUE": "URI",
}
GOOD = [
    "plain",
    "100%%",
    "%%%PROTOCOL%",
    "a %REQ(:authority?x-host):9% b %HOSTNAME%",
    '%DYNAMIC_METADATA(["a","b"])%',
    "%START_TIME(%Y/%m/%dT%H:%M:%S%z)%",
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(MASK_PREFIX_LEN:24)%",
    "%REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%",
    "%PROTOCOL()%",
]
BAD = [
    pytest.param("%NOPE%", "knows no variable NOPE", id="unknown"),
    pytest.param("100%", "must be written", id="one-sign"),
    pytest.param("%PROTOCOL%%", "must be written", id="one-sign-after-a-variable"),
    pytest.param("%req(x)%", "must be written", id="lower-case"),
    pytest.param("%REQ(x", "must be written", id="open"),
    pytest.param("%REQ%", "needs the name of a header", id="no-header"),
    pytest.param("%RESP(a b)%", "needs the name of a header", id="no-name-of-a-header"),
    pytest.param("%DYNAMIC_METADATA%", "needs something in parentheses", id="no-argument"),
    pytest.param("%PROTOCOL(x)%", "takes nothing in parentheses", id="an-argument-too-many"),
    pytest.param("%PROTOCOL:3%", "cannot be cut", id="a-length-too-many"),
    pytest.param("%PATH(x)%", "takes one of WQ, NQ", id="no-choice"),
    pytest.param("%REQ_WITHOUT_QUERY(x)%", "knows no variable REQ_WITHOUT_QUERY", id="of-logs-alone"),
]


@pytest.mark.envoy
def test_envoy_takes_all_that_is_known(tmp_path: Path) -> None:
    known = [f"%{name}%" for name in ALONE | EITHER | set(CHOICES)]
    known += [f"%{name}({choice})%" for name, choices in CHOICES.items() for choice in choices]
    known += [f"%{name}({ARGUMENTS.get(name, 'a')})%" for name in HEADERS | WITH]
    known += [f"%{name}({ARGUMENTS.get(name, 'a')}):9%" for name in CUT - set(CHOICES) - {WITHOUT_QUERY}]
    known += [f"%{name}:9%" for name in CUT & set(CHOICES)]
    assert [value for value in (*known, *GOOD) if operators(value)] == []
    assert complaint(tmp_path, *known, *GOOD) == ""


@pytest.mark.envoy
@pytest.mark.parametrize(("value", "reason"), BAD)
def test_what_envoy_refuses_is_refused_with_a_reason(tmp_path: Path, value: str, reason: str) -> None:
    assert reason in (operators(value) or "")
    assert complaint(tmp_path, value)


def test_a_variable_of_logs() -> None:
    assert operators("%REQ_WITHOUT_QUERY(:PATH?X-PATH):9%", log=True) is None


def complaint(folder: Path, *values: str) -> str:
    """What Envoy has against these values of headers; "" when it takes them."""
    added = [{"header": {"key": f"x-{n}", "value": value}} for n, value in enumerate(values)]
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}, "request_headers_to_add": added}
    manager = {
        "@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{TYPES}.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
    listener = {
        "name": "test",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    path = folder / "bootstrap.json"
    path.write_text(json.dumps({"static_resources": {"listeners": [listener]}}))
    command = [envoy(), "--mode", "validate", "-c", path, "--disable-hot-restart", "--log-level", "critical"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or str(done.returncode)
