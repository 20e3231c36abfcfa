"""MeshConfig from a file: Istio's defaults, and strict."""

from __future__ import annotations

import pytest

from artemon.errors import Refused
from artemon.model.decode import load_mesh_config
from artemon.model.mesh_config import MeshConfig


def test_an_empty_file_means_istio_s_defaults() -> None:
    mesh = load_mesh_config("")
    assert mesh == MeshConfig()
    assert (mesh.proxy_listen_port, mesh.proxy_inbound_listen_port) == (15001, 15006)
    assert mesh.connect_timeout.seconds == 10
    assert mesh.root_namespace == "istio-system"
    assert mesh.trust_domain == "cluster.local"
    assert mesh.enable_auto_mtls is True
    assert mesh.outbound_traffic_policy.mode == "ALLOW_ANY"
    assert mesh.locality_lb_setting.enabled is True
    assert mesh.default_config.drain_duration.seconds == 45
    assert mesh.path_normalization.normalization == "DEFAULT"
    assert [provider.name for provider in mesh.extension_providers] == ["prometheus", "stackdriver", "envoy"]


def test_what_is_written_counts() -> None:
    mesh = load_mesh_config(
        """
trustDomain: example.org
proxyHttpPort: 15080
meshMTLS: {minProtocolVersion: TLSV1_3}
defaultConfig: {proxyMetadata: {A: b}}
defaultHttpRetryPolicy: {attempts: 3, perTryTimeout: 2s}
serviceSettings: [{settings: {clusterLocal: true}, hosts: ["*.foo.svc.cluster.local"]}]
extensionProviders:
- name: authz
  envoyExtAuthzGrpc: {service: authz.foo.svc.cluster.local, port: 9000}
- name: envoy
  envoyFileAccessLog: {path: /tmp/log}
"""
    )
    assert (mesh.trust_domain, mesh.proxy_http_port) == ("example.org", 15080)
    assert mesh.mesh_mtls.min_protocol_version == "TLSV1_3"
    assert mesh.default_config.stat_name_length == 189
    assert mesh.default_http_retry_policy is not None
    providers = {provider.name: provider for provider in mesh.extension_providers}
    assert set(providers) == {"prometheus", "stackdriver", "envoy", "authz"}
    log = providers["envoy"].envoy_file_access_log
    assert log is not None
    assert log.path == "/tmp/log"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(
            "trustdomain: x", 'trustdomain: unknown field \\(did you mean "trustDomain"', id="field"
        ),
        pytest.param("connectTimeout: 10", "connectTimeout: must be a duration", id="duration"),
        pytest.param(
            "outboundTrafficPolicy: {mode: DENY}", "outboundTrafficPolicy.mode: must be one of", id="enum"
        ),
        pytest.param("enableAutoMtls: 'yes'", "enableAutoMtls: must be true or false", id="boolean"),
        pytest.param("extensionProviders: [{}]", "extensionProviders\\[0\\].name: is required", id="name"),
        pytest.param("a: 1\n---\nb: 2", "must hold one document, not 2", id="documents"),
    ],
)
def test_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        load_mesh_config(text, "mesh.yaml")
