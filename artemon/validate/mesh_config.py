"""MeshConfig: what is wrong with the settings of the whole mesh."""

from __future__ import annotations

import json

from artemon.errors import Problem
from artemon.model.mesh_config import MeshConfig
from artemon.validate.amounts import duration, not_negative, port
from artemon.validate.findings import Problems, error, wrong
from artemon.validate.hosts import is_label
from artemon.validate.http_actions import retries
from artemon.validate.localities import locality_setting
from artemon.validate.traffic_policy import traffic_policy


def mesh_problems(mesh: MeshConfig) -> list[Problem]:
    """Every error and warning of a MeshConfig that decoded, with its path."""
    return [*_ports(mesh), *_times(mesh), *_names(mesh), *_logs(mesh), *_policies(mesh)]


def _ports(mesh: MeshConfig) -> Problems:
    yield from wrong("proxyListenPort", port(mesh.proxy_listen_port))
    yield from wrong("proxyInboundListenPort", port(mesh.proxy_inbound_listen_port))
    if mesh.proxy_http_port:
        yield from wrong("proxyHttpPort", port(mesh.proxy_http_port))


def _times(mesh: MeshConfig) -> Problems:
    yield from duration(mesh.connect_timeout, "connectTimeout")
    yield from duration(mesh.dns_refresh_rate, "dnsRefreshRate")
    yield from not_negative(mesh.protocol_detection_timeout, "protocolDetectionTimeout")
    alive = mesh.tcp_keepalive
    if alive is not None:
        yield from duration(alive.time, "tcpKeepalive.time", whole_seconds=True)
        yield from duration(alive.interval, "tcpKeepalive.interval", whole_seconds=True)


def _names(mesh: MeshConfig) -> Problems:
    if not mesh.trust_domain:
        yield error("trustDomain", "must not be empty")
    if not is_label(mesh.root_namespace):
        yield error("rootNamespace", f'"{mesh.root_namespace}" is not the name of a namespace')


def _logs(mesh: MeshConfig) -> Problems:
    if mesh.access_log_encoding == "JSON" and mesh.access_log_format:
        try:
            fields = json.loads(mesh.access_log_format)
        except ValueError as problem:
            yield error("accessLogFormat", f"is not JSON, which accessLogEncoding asks for: {problem}")
        else:
            if not isinstance(fields, dict):
                yield error("accessLogFormat", "must be a JSON object, from names of fields to their values")


def _policies(mesh: MeshConfig) -> Problems:
    namespace = mesh.root_namespace
    yield from traffic_policy(mesh.default_traffic_policy, "defaultTrafficPolicy", namespace=namespace)
    yield from retries(mesh.default_http_retry_policy, "defaultHttpRetryPolicy")
    outlier = mesh.default_traffic_policy.outlier_detection if mesh.default_traffic_policy else None
    for problem in locality_setting(mesh.locality_lb_setting, "localityLbSetting", outlier=outlier):
        if problem.level == "error":
            yield problem
