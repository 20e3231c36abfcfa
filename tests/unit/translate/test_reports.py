"""Telemetry as Envoy's loggers and tracers."""

from __future__ import annotations

from typing import Any

from envoy.config.trace.v3.opentelemetry_pb2 import OpenTelemetryConfig
from envoy.extensions.access_loggers.stats.v3.stats_pb2 import Config
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf.json_format import MessageToDict

from artemon.model.decode import decode_mesh_config
from artemon.model.metric_fields import PACKED
from artemon.registry.files import read_proxy, snapshot_of
from artemon.translate import messages
from artemon.xds.types import LISTENER

PORT = {"number": 80, "name": "http", "protocol": "HTTP"}
PROVIDERS = [
    {"name": "prometheus", "prometheus": {}},
    {"name": "json", "envoyFileAccessLog": {"path": "/x", "logFormat": {"labels": {"a": "%DURATION%"}}}},
    {"name": "als", "envoyHttpAls": {"service": "sink.ns.svc.cluster.local", "port": 80}},
    {"name": "otel", "opentelemetry": {"service": "sink.ns.svc.cluster.local", "port": 80}},
    {"name": "zipkin", "zipkin": {"service": "sink.ns.svc.cluster.local", "port": 80}},
]


def manager(**spec: Any) -> HttpConnectionManager:
    """The connection manager of requests to port 80, under a Telemetry."""
    entry = {
        "hosts": ["sink.ns.svc.cluster.local"],
        "ports": [PORT],
        "resolution": "STATIC",
        "location": "MESH_INTERNAL",
    }
    telemetry = {"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "spec": spec}
    service = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "spec": entry}
    named = [{"metadata": {"name": "x", "namespace": "ns"}, **one} for one in (telemetry, service)]
    mesh = decode_mesh_config({"extensionProviders": PROVIDERS})
    proxy = read_proxy({"name": "client", "namespace": "ns", "ipAddresses": ["10.0.0.1"]})
    listener: Any = messages(snapshot_of(named, mesh).view(proxy))[LISTENER]["0.0.0.0_80"]
    out = HttpConnectionManager()
    assert listener.filter_chains[0].filters[-1].typed_config.Unpack(out)
    return out


def stats(found: HttpConnectionManager) -> Config:
    (log,) = (one for one in found.access_log if one.typed_config.Is(Config.DESCRIPTOR))
    out = Config()
    assert log.typed_config.Unpack(out)
    return out


def test_labels_that_are_written_stand_beside_the_packed_one() -> None:
    tags = {
        "host": {"value": "request.host + node.id"},
        "response_code": {"operation": "REMOVE"},
        "bad": {"value": "nofunc(1)"},
        "ends": {"value": "(1)%2"},
    }
    found = stats(manager(metrics=[{"overrides": [{"tagOverrides": tags}]}])).counters[0].stat
    assert [one.name for one in found.tags] == [PACKED, "x_host"]
    assert found.tags[0].value_format.startswith("s-response_code||%RESPONSE_FLAGS%|")
    assert found.tags[1].value_format == "%CEL(request.host + xds.node.id)%"


def test_metrics_that_are_switched_off_are_not_there() -> None:
    off = {"match": {"metric": "REQUEST_DURATION"}, "disabled": True}
    found = stats(manager(metrics=[{"overrides": [off]}]))
    assert [one.stat.name for one in found.histograms] == ["istio_request_bytes", "istio_response_bytes"]
    every = manager(metrics=[{"overrides": [{"disabled": True}]}])
    assert not every.access_log


def test_logs_with_a_filter() -> None:
    entry = {"providers": [{"name": "json"}], "filter": {"expression": "response.code >= 400"}}
    fields = MessageToDict(manager(accessLogging=[entry]).access_log[0])
    assert fields["typedConfig"]["logFormat"]["jsonFormat"] == {"a": "%DURATION%"}
    assert fields["filter"]["extensionFilter"]["typedConfig"]["expression"] == "response.code >= 400"


def test_what_envoy_cannot_evaluate_is_not_sent_to_it() -> None:
    entry = {"providers": [{"name": "json"}], "filter": {"expression": "request.headers.exists(x, x == '')"}}
    names = [one.name for one in manager(accessLogging=[entry]).access_log]
    assert names == ["envoy.access_loggers.stats"]


def test_a_log_service() -> None:
    fields = MessageToDict(manager(accessLogging=[{"providers": [{"name": "als"}]}]).access_log[0])
    common = fields["typedConfig"]["commonConfig"]
    assert common["grpcService"]["envoyGrpc"]["clusterName"] == "outbound|80||sink.ns.svc.cluster.local"
    assert common["logName"] == "http_envoy_accesslog"


def test_opentelemetry() -> None:
    asked = {"providers": [{"name": "otel"}], "randomSamplingPercentage": 12.5}
    found = manager(tracing=[{**asked, "useRequestIdForTraceSampling": False}])
    assert found.tracing.random_sampling.value == 100, "its own sampler samples"
    config = OpenTelemetryConfig()
    assert found.tracing.provider.typed_config.Unpack(config)
    sampler = MessageToDict(config)["sampler"]["typedConfig"]["wrappedSampler"]["typedConfig"]
    assert sampler["samplingPercentage"] == {"numerator": 125000, "denominator": "MILLION"}
    assert found.request_id_extension.typed_config.type_url.endswith("UuidRequestIdConfig")


def test_zipkin_and_tags() -> None:
    tags = {"a": {"header": {"name": "x-user"}}, "b": {"formatter": {"value": "%CEL(request.path)%"}}}
    found = manager(tracing=[{"providers": [{"name": "zipkin"}], "customTags": tags}])
    assert found.tracing.random_sampling.value == 1, "Istio's default"
    shown = {one.tag: MessageToDict(one) for one in found.tracing.custom_tags}
    assert shown["a"]["requestHeader"] == {"name": "x-user"}
    assert shown["b"]["value"] == "%CEL(request.path)%"
    assert shown["istio.namespace"]["literal"] == {"value": "ns"}
    wanted = {"name": "ARTEMON_CANONICAL_REVISION", "defaultValue": "unknown"}
    assert shown["istio.canonical_revision"]["environment"] == wanted
    own = {**tags, "istio.namespace": {"environment": {"name": "N", "defaultValue": "d"}}}
    found = manager(tracing=[{"providers": [{"name": "zipkin"}], "customTags": own}])
    shown = {one.tag: MessageToDict(one) for one in found.tracing.custom_tags}
    assert shown["istio.namespace"]["environment"] == {"name": "N", "defaultValue": "d"}
    bare = manager(
        tracing=[{"providers": [{"name": "zipkin"}], "customTags": tags, "enableIstioTags": False}]
    )
    assert [one.tag for one in bare.tracing.custom_tags] == ["a", "b"]
    assert not manager(tracing=[{"providers": [{"name": "zipkin"}], "disableSpanReporting": True}]).HasField(
        "tracing"
    )
