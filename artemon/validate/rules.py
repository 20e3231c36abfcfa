"""The table of kinds and their rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from artemon.model import kinds
from artemon.model.resource import Resource
from artemon.validate.access import host_grant, identity_grant, role_binding
from artemon.validate.authorization_policy import authorization_policy
from artemon.validate.context import Context
from artemon.validate.destination_rule import destination_rule
from artemon.validate.envoy_filter import envoy_filter
from artemon.validate.extensions import traffic_extension, wasm_plugin
from artemon.validate.findings import Problems
from artemon.validate.gateway import gateway
from artemon.validate.gateway_api import gateway_class, kubernetes_gateway, reference_grant
from artemon.validate.gateway_routes import http_route
from artemon.validate.grpc_route import grpc_route
from artemon.validate.ingress import ingress
from artemon.validate.mixer import attribute_manifest, handler, instance, rule
from artemon.validate.peer_authentication import peer_authentication
from artemon.validate.proxy_config import proxy_config
from artemon.validate.rate_limit import rate_limit
from artemon.validate.request_authentication import request_authentication
from artemon.validate.service_entry import service_entry
from artemon.validate.sidecar import sidecar
from artemon.validate.telemetry import telemetry
from artemon.validate.virtual_service import virtual_service
from artemon.validate.workload import workload_entry, workload_group

Rule = Callable[[Resource[Any], Context], Problems]

RULES: Mapping[str, Rule] = {
    kinds.VIRTUAL_SERVICE.name: virtual_service,
    kinds.DESTINATION_RULE.name: destination_rule,
    kinds.GATEWAY.name: gateway,
    kinds.SERVICE_ENTRY.name: service_entry,
    kinds.WORKLOAD_ENTRY.name: workload_entry,
    kinds.WORKLOAD_GROUP.name: workload_group,
    kinds.SIDECAR.name: sidecar,
    kinds.ENVOY_FILTER.name: envoy_filter,
    kinds.PROXY_CONFIG.name: proxy_config,
    kinds.AUTHORIZATION_POLICY.name: authorization_policy,
    kinds.REQUEST_AUTHENTICATION.name: request_authentication,
    kinds.PEER_AUTHENTICATION.name: peer_authentication,
    kinds.TELEMETRY_KIND.name: telemetry,
    kinds.WASM_PLUGIN.name: wasm_plugin,
    kinds.TRAFFIC_EXTENSION.name: traffic_extension,
    kinds.RULE.name: rule,
    kinds.HANDLER.name: handler,
    kinds.INSTANCE.name: instance,
    kinds.ATTRIBUTE_MANIFEST.name: attribute_manifest,
    kinds.ROLE_BINDING.name: role_binding,
    kinds.HOST_GRANT.name: host_grant,
    kinds.IDENTITY_GRANT.name: identity_grant,
    kinds.RATE_LIMIT.name: rate_limit,
    kinds.INGRESS.unique: ingress,
    kinds.GATEWAY_CLASS.unique: gateway_class,
    kinds.KUBERNETES_GATEWAY.unique: kubernetes_gateway,
    kinds.HTTP_ROUTE.unique: http_route,
    kinds.GRPC_ROUTE.unique: grpc_route,
    kinds.REFERENCE_GRANT.unique: reference_grant,
}
"""Kind -> what is wrong with one object of it."""
