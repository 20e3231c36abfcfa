"""The types of resources that travel over xDS, and the order in which they must arrive."""

from __future__ import annotations

_API = "type.googleapis.com/"

CLUSTER = _API + "envoy.config.cluster.v3.Cluster"
ENDPOINTS = _API + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = _API + "envoy.config.listener.v3.Listener"
ROUTES = _API + "envoy.config.route.v3.RouteConfiguration"
SECRET = _API + "envoy.extensions.transport_sockets.tls.v3.Secret"
EXTENSION = _API + "envoy.config.core.v3.TypedExtensionConfig"
NAMES = _API + "istio.networking.nds.v1.NameTable"
START = _API + "artemon.v1.ProxyStart"

LEAVING = "type.artemon.io/leaving"
"""Whoever asks for this is about to go: nothing is sent, but its workload gets no more requests."""

CALLERS = "type.artemon.io/callers"
"""A report of callers without mutual TLS (`artemon.model.plaintext`), as the one name that is asked for."""

HEALTH = "type.artemon.io/health"
"""Nothing is sent for this either: the name that is asked for is how the client's workload does now."""

PUSH_ORDER = (CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, EXTENSION)
"""Make before break (xDS protocol, "Eventual consistency considerations"): whatever is referred to comes
before what refers to it."""

WILDCARD = frozenset({CLUSTER, LISTENER})
"""Types for which asking for nothing means asking for everything; in the state-of-the-world variant their
responses are complete: what is left out is deleted."""

SHORT = {
    CLUSTER: "cds",
    ENDPOINTS: "eds",
    LISTENER: "lds",
    ROUTES: "rds",
    SECRET: "sds",
    EXTENSION: "ecds",
    NAMES: "nds",
    START: "start",
}
"""The names that people and metrics use."""
