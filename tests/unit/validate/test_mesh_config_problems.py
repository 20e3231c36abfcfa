"""MeshConfig: what is refused, with its path."""

from __future__ import annotations

from typing import Any

import pytest

from artemon.model.decode import decode_mesh_config
from artemon.validate import mesh_problems


def provider(**fields: Any) -> dict[str, Any]:
    return {"extensionProviders": [{"name": "own", **fields}]}


@pytest.mark.parametrize(
    ("config", "path"),
    [
        pytest.param({"proxyListenPort": 0}, "proxyListenPort", id="no-port"),
        pytest.param({"proxyInboundListenPort": 70000}, "proxyInboundListenPort", id="port-too-high"),
        pytest.param({"connectTimeout": "0.1ms"}, "connectTimeout", id="too-short"),
        pytest.param({"protocolDetectionTimeout": "-1s"}, "protocolDetectionTimeout", id="negative-wait"),
        pytest.param({"trustDomain": ""}, "trustDomain", id="no-trust-domain"),
        pytest.param({"rootNamespace": "a/b"}, "rootNamespace", id="no-namespace"),
        pytest.param(
            {"defaultTrafficPolicy": {"connectionPool": {"tcp": {"maxConnections": -1}}}},
            "defaultTrafficPolicy.connectionPool.tcp.maxConnections",
            id="negative-limit",
        ),
        pytest.param(
            {"defaultHttpRetryPolicy": {"attempts": -1}}, "defaultHttpRetryPolicy.attempts", id="retries"
        ),
        pytest.param(
            {"accessLogEncoding": "JSON", "accessLogFormat": "%START_TIME%"}, "accessLogFormat", id="log"
        ),
        pytest.param({"accessLogFormat": "%NOPE%"}, "accessLogFormat", id="unknown-variable"),
        pytest.param(
            {"accessLogEncoding": "JSON", "accessLogFormat": '{"a": {"b": ["%NOPE%"]}}'},
            "accessLogFormat.a.b[0]",
            id="unknown-variable-in-json",
        ),
        pytest.param(
            provider(envoyFileAccessLog={"logFormat": {"text": "%REQ%"}}),
            "extensionProviders[own].envoyFileAccessLog.logFormat.text",
            id="unknown-variable-of-a-provider",
        ),
        pytest.param(
            provider(envoyOtelAls={"service": "a", "port": 1, "logFormat": {"labels": {"x": "100%"}}}),
            "extensionProviders[own].envoyOtelAls.logFormat.labels.x",
            id="unknown-variable-of-a-label",
        ),
    ],
)
def test_refused(config: dict[str, Any], path: str) -> None:
    found = mesh_problems(decode_mesh_config(config))
    assert [problem.path for problem in found if problem.level == "error"] == [path]


def test_defaults_are_fine() -> None:
    assert not mesh_problems(decode_mesh_config({}))
