"""What is accepted but not translated into Envoy's configuration: said at apply, never kept silent.

The table names the fields that are translated; everything else that was written gets a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from artemon.errors import Problem
from artemon.model import kinds
from artemon.model.envoy_filter import OPERATIONS
from artemon.model.message import Message
from artemon.model.resource import Resource
from artemon.model.words import path_of

MESSAGE = "accepted, but not translated yet by this version"

Fields = Mapping[str, Any]
"""Wire name -> ALL (it and all below), a table of what is translated below, or the set of translated ones."""
ALL = True


def _all(*names: str) -> Fields:
    return dict.fromkeys(names, ALL)


_HTTP_MATCH: Fields = {
    **_all("name", "uri", "method", "authority", "scheme", "queryParams", "ignoreUriCase", "statPrefix"),
    **_all("port", "sourceLabels", "sourceNamespace", "gateways"),
    **_all("headers", "withoutHeaders"),
}
_HTTP: Fields = {
    **_all(
        "name", "route", "redirect", "directResponse", "delegate", "rewrite", "timeout", "retries", "fault"
    ),
    **_all("mirror", "mirrors", "mirrorPercent", "mirrorPercentage", "corsPolicy", "headers"),
    "match": _HTTP_MATCH,
}
_L4 = _all("route", "match")

_BALANCER: Fields = {
    **_all("simple", "consistentHash", "warmup", "warmupDurationSecs"),
    **_all("localityLbSetting", "zoneAwareLbSetting"),
}
_OUTLIERS = _all(
    "consecutiveErrors",
    "splitExternalLocalOriginErrors",
    "consecutiveLocalOriginFailures",
    "consecutiveGatewayErrors",
    "consecutive5xxErrors",
    "interval",
    "baseEjectionTime",
    "maxEjectionPercent",
    "minHealthPercent",
    "outlierDetectionHttpErrorCodes",
)
_CLIENT_TLS = _all(
    "mode",
    "clientCertificate",
    "privateKey",
    "caCertificates",
    "credentialName",
    "subjectAltNames",
    "sni",
    "insecureSkipVerify",
    "caCrl",
)
_PORT_POLICY: Fields = {
    **_all("port", "connectionPool"),
    "loadBalancer": _BALANCER,
    "outlierDetection": _OUTLIERS,
    "tls": _CLIENT_TLS,
}
_POLICY: Fields = {
    **_PORT_POLICY,
    **_all("proxyProtocol", "tunnel"),
    "retryBudget": _all("percent", "minRetryConcurrency"),
    "portLevelSettings": _PORT_POLICY,
}

_SERVER_TLS: Fields = {
    **_all("httpsRedirect", "serverCertificate", "privateKey", "caCertificates", "credentialName"),
    **_all("credentialNames", "caCertCredentialName", "tlsCertificates", "subjectAltNames"),
    **_all("verifyCertificateSpki", "verifyCertificateHash", "insecureSkipVerify", "caCrl"),
    **_all("minProtocolVersion", "maxProtocolVersion", "cipherSuites"),
    "mode": ALL,
}

_TARGET: Fields = {**_all("group", "name", "namespace"), "kind": {"SERVICE", "SERVICEENTRY", "GATEWAY"}}

TRANSLATED: Mapping[str, Fields] = MappingProxyType(
    {
        kinds.VIRTUAL_SERVICE.name: {
            **_all("hosts", "gateways", "exportTo"),
            "http": _HTTP,
            "tls": _L4,
            "tcp": _L4,
        },
        kinds.DESTINATION_RULE.name: {
            **_all("host", "exportTo", "workloadSelector"),
            "trafficPolicy": _POLICY,
            "subsets": {**_all("name", "labels"), "trafficPolicy": _POLICY},
        },
        kinds.GATEWAY.name: {
            "selector": ALL,
            "servers": {**_all("hosts", "name", "bind", "port", "defaultEndpoint"), "tls": _SERVER_TLS},
        },
        kinds.SERVICE_ENTRY.name: {
            **_all("hosts", "addresses", "ports", "location", "endpoints", "workloadSelector", "exportTo"),
            **_all("subjectAltNames", "resolution"),
        },
        kinds.WORKLOAD_ENTRY.name: _all(
            "address", "ports", "labels", "network", "locality", "weight", "serviceAccount"
        ),
        kinds.SIDECAR.name: {
            **_all("workloadSelector", "egress", "inboundConnectionPool", "outboundTrafficPolicy"),
            "ingress": {
                **_all("port", "bind", "captureMode", "defaultEndpoint", "connectionPool"),
                "tls": _SERVER_TLS,
            },
        },
        kinds.ENVOY_FILTER.name: {
            **_all("workloadSelector", "priority", "targetRefs"),
            "configPatches": {
                "applyTo": set(OPERATIONS),
                "match": {
                    **_all("proxy", "routeConfiguration", "cluster"),
                    "context": {"ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY"},
                    "listener": _all("portNumber", "filterChain", "listenerFilter", "name"),
                },
                "patch": _all("operation", "value", "filterClass"),
            },
        },
        kinds.PROXY_CONFIG.name: _all("selector", "concurrency", "environmentVariables"),
        kinds.ROLE_BINDING.name: _all("role", "subjects"),
        kinds.HOST_GRANT.name: _all("hosts", "namespaces"),
        kinds.IDENTITY_GRANT.name: _all("attestor", "facts", "serviceAccounts", "serviceAccountFact"),
        kinds.RULE.name: _all(
            "match",
            "actions",
            "failOpen",
            "sampling",
            "requestHeaderOperations",
            "responseHeaderOperations",
        ),
        kinds.HANDLER.name: _all("compiledAdapter", "params"),
        kinds.INSTANCE.name: _all("compiledTemplate", "params"),
        kinds.ATTRIBUTE_MANIFEST.name: _all("revision", "name", "attributes"),
        kinds.RATE_LIMIT.name: _all(
            *("selector", "rules", "service", "port", "maxRequestBytes", "maxConcurrentRequests")
        ),
        kinds.TELEMETRY_KIND.name: {
            **_all("selector", "accessLogging"),
            "metrics": _all("providers", "overrides"),
            "tracing": _all(
                "match",
                "providers",
                "randomSamplingPercentage",
                "disableSpanReporting",
                "customTags",
                "useRequestIdForTraceSampling",
                "enableIstioTags",
            ),
            "targetRef": _TARGET,
            "targetRefs": _TARGET,
        },
        kinds.PEER_AUTHENTICATION.name: _all("selector", "mtls", "portLevelMtls"),
        kinds.REQUEST_AUTHENTICATION.name: {
            **_all("selector", "jwtRules"),
            "targetRef": _TARGET,
            "targetRefs": _TARGET,
        },
        kinds.INGRESS.unique: {
            **_all("ingressClassName", "rules", "tls"),
            "defaultBackend": _all("service"),
        },
        kinds.GATEWAY_CLASS.unique: _all("controllerName", "description"),
        kinds.KUBERNETES_GATEWAY.unique: {
            **_all("gatewayClassName", "addresses"),
            "listeners": {
                **_all("name", "hostname", "port", "protocol", "allowedRoutes"),
                "tls": _all("mode", "certificateRefs"),
            },
        },
        kinds.HTTP_ROUTE.unique: _all("parentRefs", "hostnames", "rules"),
        kinds.GRPC_ROUTE.unique: _all("parentRefs", "hostnames", "rules"),
        kinds.REFERENCE_GRANT.unique: _all("from", "to"),
        kinds.AUTHORIZATION_POLICY.name: {
            **_all("selector", "rules", "action", "provider"),
            "targetRef": _TARGET,
            "targetRefs": _TARGET,
        },
    }
)
"""Kind -> the fields of its spec that are translated; a kind that is absent is not translated at all."""


def untranslated(resource: Resource[Message]) -> list[Problem]:
    """A warning for each field that was written and has no effect yet, or one for the whole kind."""
    fields = TRANSLATED.get(resource.kind.unique)
    if fields is None:
        return [Problem("", f"{resource.kind.name}: {MESSAGE}", "warning")]
    return list(_missing(resource.spec, fields, ("spec",)))


def _missing(value: Any, known: Any, path: tuple[str | int, ...]) -> Iterator[Problem]:
    if known is ALL:
        return
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _missing(item, known, (*path, index))
    elif isinstance(value, BaseModel):
        for name in (name for name in type(value).model_fields if name in value.model_fields_set):
            wire = type(value).model_fields[name].alias or name
            inner = getattr(value, name)
            if wire in known:
                yield from _missing(inner, known[wire], (*path, wire))
            elif inner is not None:
                yield Problem(path_of((*path, wire)), MESSAGE, "warning")
    elif isinstance(value, str) and value.upper() not in known:
        yield Problem(path_of(path), f"{value}: {MESSAGE}", "warning")
