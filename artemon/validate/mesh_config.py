"""MeshConfig: what is wrong with the settings of the whole mesh."""

from __future__ import annotations

import json

from artemon.errors import Problem
from artemon.model.mesh_config import MeshConfig
from artemon.model.words import path_of
from artemon.validate.amounts import duration, not_negative, port
from artemon.validate.findings import Problems, error, wrong
from artemon.validate.formats import operators
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
            yield from _fields(fields, "accessLogFormat")
    else:
        yield from wrong("accessLogFormat", operators(mesh.access_log_format, log=True))
    for provider in mesh.extension_providers:  # by name: some are there without being written
        path = f"extensionProviders[{provider.name}]"
        for name, log in (
            ("envoyFileAccessLog", provider.envoy_file_access_log),
            ("envoyOtelAls", provider.envoy_otel_als),
        ):
            if log is not None and log.log_format is not None:
                where = f"{path}.{name}.logFormat"
                yield from wrong(f"{where}.text", operators(log.log_format.text or "", log=True))
                yield from _fields(dict(log.log_format.labels or {}), f"{where}.labels")


def _fields(value: object, path: str) -> Problems:
    """Formats wherever texts stand in JSON."""
    if isinstance(value, str):
        yield from wrong(path, operators(value, log=True))
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _fields(one, path_of((name,), path))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _fields(one, f"{path}[{index}]")


def _policies(mesh: MeshConfig) -> Problems:
    namespace = mesh.root_namespace
    yield from traffic_policy(mesh.default_traffic_policy, "defaultTrafficPolicy", namespace=namespace)
    yield from retries(mesh.default_http_retry_policy, "defaultHttpRetryPolicy")
    outlier = mesh.default_traffic_policy.outlier_detection if mesh.default_traffic_policy else None
    for problem in locality_setting(mesh.locality_lb_setting, "localityLbSetting", outlier=outlier):
        if problem.level == "error":
            yield problem
