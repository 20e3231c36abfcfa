"""Small meshes with much in them, whose translation is kept in tests/golden/translate."""

from __future__ import annotations

from typing import Any

BOOKINFO = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews, namespace: bookinfo}
spec:
  hosts: [reviews.bookinfo.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 9080, name: http, protocol: HTTP}, {number: 9090, name: grpc, protocol: GRPC}]
  workloadSelector: {labels: {app: reviews}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-1, namespace: bookinfo}
spec:
  address: 10.0.0.1
  labels: {app: reviews, version: v1}
  serviceAccount: bookinfo-reviews
  locality: eu/a/r1
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-2, namespace: bookinfo}
spec:
  address: 10.0.0.2
  labels: {app: reviews, version: v2}
  serviceAccount: bookinfo-reviews
  locality: us/b
  weight: 3
  ports: {http: 8080}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-plain, namespace: bookinfo}
spec: {address: 10.0.0.3, labels: {app: reviews, version: v2}, locality: us/b}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: bookinfo}
spec:
  host: reviews
  trafficPolicy:
    outlierDetection: {consecutive5xxErrors: 3, interval: 5s, minHealthPercent: 20}
    connectionPool: {tcp: {maxConnections: 10, connectTimeout: 2s, tcpKeepalive: {time: 60s}}}
  subsets:
  - {name: v1, labels: {version: v1}, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}
  - name: v2
    labels: {version: v2}
    trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: bookinfo}
spec:
  hosts: [reviews]
  http:
  - route:
    - {destination: {host: reviews, subset: v1}, weight: 90}
    - {destination: {host: reviews, subset: v2}, weight: 10}
    retries: {attempts: 3, perTryTimeout: 2s}
    timeout: 5s
"""

OUTSIDE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: bookinfo}
spec:
  hosts: [api.example.com]
  resolution: DNS
  ports:
  - {number: 443, name: https, protocol: TLS}
  - {number: 80, name: http, protocol: HTTP, targetPort: 443}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: one, namespace: bookinfo}
spec:
  hosts: [one.example.com]
  resolution: DNS_ROUND_ROBIN
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: a.example.net}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild, namespace: bookinfo}
spec:
  hosts: ["*.example.org"]
  ports: [{number: 443, name: tls, protocol: TLS}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api, namespace: bookinfo}
spec:
  host: api.example.com
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 10s, aggression: 2}}
    retryBudget: {percent: 25}
    portLevelSettings:
    - {port: {number: 80}, tls: {mode: SIMPLE}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: one, namespace: bookinfo}
spec:
  host: one.example.com
  trafficPolicy:
    tls: {mode: MUTUAL, credentialName: one, sni: one.example.com, subjectAltNames: [one.example.com]}
    connectionPool: {http: {h2UpgradePolicy: UPGRADE, idleTimeout: 30s, maxRequestsPerConnection: 5}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: wild, namespace: bookinfo}
spec:
  host: "*.example.org"
  trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 1009}}}}
"""

INGRESS = (
    BOOKINFO
    + """
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: bookinfo}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["shop.example.com"]}
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ["shop.example.com"]
    tls: {mode: SIMPLE, credentialName: shop}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: bookinfo}
spec:
  hosts: [shop.example.com]
  gateways: [front]
  http: [{match: [{uri: {prefix: /reviews}}], route: [{destination: {host: reviews, port: {number: 9080}}}]}]
"""
)

STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: all, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: reviews, namespace: bookinfo}
spec: {selector: {matchLabels: {version: v2}}, portLevelMtls: {"9090": {mode: DISABLE}}}
---
"""

SIDECAR: dict[str, Any] = {
    "namespace": "bookinfo",
    "labels": {"app": "reviews", "version": "v2"},
    "ipAddresses": ["10.0.0.2"],
}
NOT_INTERCEPTED: dict[str, Any] = SIDECAR | {
    "metadata": {
        "INTERCEPTION_MODE": "NONE",
        "HTTP_PROXY_PORT": "15080",
        "ARTEMON_PORTS": '[{"name":"http","number":9080,"protocol":"HTTP","listenPort":9080,"appPort":9081}]',
        "ARTEMON_APP_ADDRESS": "127.0.0.1",
    }
}
ROUTER: dict[str, Any] = {"type": "router", "namespace": "bookinfo", "labels": {"istio": "ingressgateway"}}

WORLDS: dict[str, tuple[str, dict[str, Any]]] = {
    "sidecar": (BOOKINFO, SIDECAR),
    "sidecar-strict": (STRICT + BOOKINFO, SIDECAR),
    "sidecar-not-intercepted": (BOOKINFO, NOT_INTERCEPTED),
    "outside": (OUTSIDE, {"namespace": "bookinfo"}),
    "gateway": (INGRESS, ROUTER),
}
