"""Every field of AuthorizationPolicy with values of every form."""

from __future__ import annotations

SOURCES: dict[str, list[str]] = {
    "principals": ["cluster.local/ns/default/sa/web", "cluster.local/ns/default/sa/w*", "*/sa/web", "*"],
    "requestPrincipals": [
        "https://issuer.example/alice",
        "https://issuer.example/*",
        "*alice",
        "iss*",
        "*",
        "https://issuer.example/team/alice",
    ],
    "namespaces": ["default", "def*", "*fault", "*", "*a"],
    "serviceAccounts": ["web", "default/web"],
    "trustDomains": ["cluster.local", "cluster*", "*local"],
    "ipBlocks": ["10.0.0.0/8", "127.0.0.1", "fd00::/8", "::ffff:127.0.0.0/104"],
    "remoteIpBlocks": ["10.0.0.0/8", "127.0.0.1", "::ffff:10.0.0.0/104"],
}
OPERATIONS: dict[str, list[str]] = {
    "hosts": ["a.example", "a.example:8080", "*.example", "a.*", "*"],
    "ports": ["8080", "8081"],
    "methods": ["GET", "P*", "*T", "*"],
    "paths": ["/exact", "/prefix/*", "*/suffix", "*", "/a/{*}/b", "/a/{**}", "/with space/ü@"],
}
CONDITIONS: dict[str, list[str]] = {
    "request.headers[x-user]": ["alice", "al*", "*ice", "*"],
    "source.ip": ["10.0.0.0/8"],
    "remote.ip": ["10.0.0.0/8"],
    "source.namespace": ["default"],
    "source.principal": ["cluster.local/ns/default/sa/web"],
    "source.serviceAccount": ["default/web"],
    "source.trustDomain": ["cluster.local"],
    "request.auth.principal": ["https://issuer.example/alice"],
    "request.auth.audiences": ["api"],
    "request.auth.presenter": ["app"],
    "request.auth.claims[groups]": ["admin", "true"],
    "request.auth.claims[a][b]": ["c", "*", "7"],
    "destination.ip": ["10.0.0.0/8"],
    "destination.port": ["8080"],
    "connection.sni": ["a.example", "*.example"],
    "experimental.envoy.filters.network.x[key]": ["value", "[element]"],
}
