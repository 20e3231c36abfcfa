"""Real Envoys take listeners and routes of every shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corpus import ABSENT, CORPUS
from real_envoy import complaint, self_signed

from artemon.model.decode import load_yaml
from artemon.model.mesh_config import MeshConfig
from artemon.registry.files import read_proxy, snapshot_of

pytestmark = pytest.mark.envoy
ROUTER = {"type": "router", "labels": {"istio": "ingressgateway"}}
DIRECT = {"ipAddresses": ["127.0.0.9"], "metadata": {"INTERCEPTION_MODE": "NONE", "HTTP_PROXY_PORT": 15999}}

SERVICES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [web.default.svc.cluster.local]
  addresses: [10.1.1.1, "fd00::1"]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP}
  - {number: 81, name: grpc-web, protocol: GRPC-WEB}
  - {number: 82, name: auto}
  - {number: 83, name: tcp, protocol: TCP}
  - {number: 84, name: tls, protocol: TLS}
  - {number: 85, name: udp, protocol: UDP}
  endpoints: [{address: 127.0.0.9, serviceAccount: web}, {address: 1.1.1.1, serviceAccount: web}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: plain}
spec:
  hosts: [plain.default.svc.cluster.local, "*.wild.example.com"]
  location: MESH_INTERNAL
  resolution: NONE
  ports:
  - {number: 80, name: http, protocol: HTTP}
  - {number: 82, name: auto}
  - {number: 83, name: tcp, protocol: TCP}
  - {number: 84, name: tls, protocol: TLS}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: blocks}
spec:
  hosts: [blocks.example.com]
  addresses: [10.9.0.0/16]
  resolution: NONE
  ports: [{number: 83, name: tcp, protocol: TCP}, {number: 84, name: https, protocol: HTTPS}]
"""

RULES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec:
  host: web
  trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 0s}}}}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  gateways: [mesh, gateway]
  http:
  - name: all
    match:
    - name: one
      uri: {regex: "/a.*"}
      headers: {x: {exact: y}, z: {}, r: {regex: ".+"}}
      withoutHeaders: {w: {prefix: p}, v: {}}
      queryParams: {q: {exact: "1"}, s: {}}
      method: {exact: GET}
      scheme: {exact: http}
      authority: {prefix: we}
      ignoreUriCase: true
    - uri: {exact: /b}
    fault: {delay: {fixedDelay: 1s, percentage: {value: 0.001}}, abort: {httpStatus: 500}}
    corsPolicy: {allowOrigins: [{regex: "https?://x"}, {exact: "*"}], maxAge: 1h, allowCredentials: true}
    route:
    - destination: {host: web, subset: v1}
      weight: 75
      headers: {request: {set: {a: "b", ":authority": "other"}, remove: [c]}, response: {add: {d: e}}}
    - destination: {host: web, subset: v2}
      weight: 25
    mirrors: [{destination: {host: web, subset: v2}, percentage: {value: 1}}]
    retries: {attempts: 3, perTryTimeout: 1s, retryOn: "5xx,503", retryRemoteLocalities: true, backoff: 25ms}
    timeout: 10s
    rewrite: {uriRegexRewrite: {match: "/a/(.*)", rewrite: "/\\\\1"}}
  - match: [{uri: {prefix: /c}}]
    redirect: {prefixRewrite: /d, scheme: https, redirectCode: 308, derivePort: FROM_PROTOCOL_DEFAULT}
  - match: [{uri: {prefix: /e}}]
    directResponse: {status: 200, body: {bytes: aGVsbG8=}}
  - route: [{destination: {host: web}}]
    fault: {abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}}
    rewrite: {uri: /f, authority: g}
  tcp:
  - match: [{port: 83, destinationSubnets: [10.1.0.0/16]}]
    route:
    - {destination: {host: web, subset: v1}, weight: 1}
    - {destination: {host: web, subset: v2}, weight: 3}
  - route: [{destination: {host: web}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: tls}
spec:
  hosts: [a.example.com, b.example.com, plain]
  gateways: [mesh, gateway]
  tls:
  - match: [{port: 84, sniHosts: [a.example.com, plain]}, {port: 8443, sniHosts: [a.example.com]}]
    route: [{destination: {host: web, port: {number: 84}}}]
  tcp:
  - match: [{port: 9444}]
    route: [{destination: {host: web, port: {number: 83}}}]
"""

GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"], tls: {httpsRedirect: true}}
  - {port: {number: 8080, name: http2, protocol: HTTP2}, hosts: ["default/web", "*.a.com"], bind: 127.0.0.9}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [web], tls: {mode: SIMPLE, credentialName: w}}
  - port: {number: 443, name: mutual, protocol: HTTPS}
    hosts: [a.example.com]
    tls: {mode: MUTUAL, credentialName: a, minProtocolVersion: TLSV1_2, subjectAltNames: [spiffe://x/y]}
  - port: {number: 443, name: files, protocol: HTTPS}
    hosts: ["*.files.com"]
    tls: {mode: OPTIONAL_MUTUAL, serverCertificate: CERT, privateKey: KEY, caCertificates: ROOT}
  - {port: {number: 443, name: mesh, protocol: HTTPS}, hosts: ["*.mesh"], tls: {mode: ISTIO_MUTUAL}}
  - {port: {number: 8443, name: pass, protocol: TLS}, hosts: [a.example.com], tls: {mode: PASSTHROUGH}}
  - port: {number: 9443, name: tls, protocol: TLS}
    hosts: [a.example.com]
    tls: {mode: SIMPLE, credentialName: t}
  - {port: {number: 9444, name: tcp, protocol: TCP}, hosts: ["*"]}
"""

SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default}
spec:
  ingress:
  - {port: {number: 8080, name: http, protocol: HTTP}, defaultEndpoint: "127.0.0.1:9000"}
  - {port: {number: 8081, name: auto}, defaultEndpoint: "unix:///tmp/app"}
  egress:
  - {port: {number: 7080, name: http, protocol: HTTP}, bind: 127.0.0.10, captureMode: NONE, hosts: ["./*"]}
  - {port: {number: 83, name: tcp, protocol: TCP}, hosts: ["./web.default.svc.cluster.local"]}
  - {port: {number: 7443, name: tls, protocol: TLS}, bind: 10.9.9.9, hosts: ["./*"]}
  - {port: {number: 0, name: socket, protocol: HTTP}, bind: "unix:///tmp/artemon-test.sock", hosts: ["*/*"]}
  - {hosts: ["*/*"]}
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
"""

MODES = [
    f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  mtls: {{mode: {mode}}}
  portLevelMtls: {{80: {{mode: STRICT}}, 82: {{mode: DISABLE}}, 9999: {{mode: {other}}}}}
"""
    for mode, other in (("STRICT", "PERMISSIVE"), ("PERMISSIVE", "DISABLE"), ("DISABLE", "STRICT"))
]
LABELLED = {"labels": {"app": "web"}}

PATH = "%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH):99%"
WITHOUT_QUERY: list[dict[str, Any]] = [
    {"accessLogFormat": PATH},
    {"accessLogEncoding": "JSON", "accessLogFormat": json.dumps({"request": {"path": PATH}})},
]

MESHES = [
    pytest.param([SERVICES, RULES], {}, {}, id="intercepted"),
    pytest.param([SERVICES, RULES, SIDECAR], {}, {}, id="intercepted-sidecar-resource"),
    pytest.param([SERVICES, RULES], DIRECT, {}, id="direct"),
    pytest.param([SERVICES, RULES, SIDECAR], DIRECT, {}, id="direct-sidecar-resource"),
    pytest.param([SERVICES, RULES, GATEWAY], ROUTER, {}, id="gateway"),
    pytest.param([GATEWAY], ROUTER, {}, id="gateway-without-rules"),
    *(pytest.param([SERVICES, mode], LABELLED, {}, id=f"modes-{n}") for n, mode in enumerate(MODES)),
    *(
        pytest.param([SERVICES, mode], DIRECT | LABELLED, {}, id=f"direct-{n}")
        for n, mode in enumerate(MODES)
    ),
    pytest.param(
        [SERVICES, RULES],
        {},
        {
            "accessLogFile": "/dev/stdout",
            "accessLogEncoding": "JSON",
            "pathNormalization": {"normalization": "DECODE_AND_MERGE_SLASHES"},
            "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
            "defaultHttpRetryPolicy": {"attempts": 0},
        },
        id="mesh-options",
    ),
    pytest.param([SERVICES], {}, {"accessLogFile": "/dev/stdout"}, id="text-log"),
    *(
        pytest.param([SERVICES], {}, {"accessLogFile": "/dev/stdout", **form}, id=f"path-without-query-{n}")
        for n, form in enumerate(WITHOUT_QUERY)
    ),
]


@pytest.mark.parametrize(("objects", "proxy", "mesh"), MESHES)
def test_a_real_envoy_takes_it(
    objects: list[str], proxy: dict[str, Any], mesh: dict[str, Any], tmp_path: Path, files: dict[str, str]
) -> None:
    text = "\n---\n".join(objects)
    for word, path in files.items():
        text = text.replace(f": {word}", f": {path}")
    snapshot = snapshot_of(load_yaml(text), MeshConfig.model_validate(mesh))
    assert complaint(snapshot.view(read_proxy(proxy)), tmp_path) == ""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Certificates in files, as a gateway may have them."""
    made = self_signed()
    written = {"CERT": made.chain, "KEY": made.key, "ROOT": made.roots}
    for word, content in written.items():
        (tmp_path / word).write_bytes(content)
    return {word: str(tmp_path / word) for word in written}


def corpus() -> list[Any]:
    if not CORPUS.exists():
        return [pytest.param(None, marks=ABSENT)]
    cases = [
        c
        for name in ("simulation", "simulation-routes")
        for c in json.loads((CORPUS / f"{name}.json").read_text())
    ]
    return [pytest.param(case, id=case["id"]) for case in cases if not case.get("kubeConfig")]


@pytest.mark.parametrize("case", corpus())
def test_a_real_envoy_takes_the_corpus(case: dict[str, Any], tmp_path: Path) -> None:
    snapshot = snapshot_of(load_yaml(case["config"]), MeshConfig())
    assert complaint(snapshot.view(read_proxy(case["proxy"])), tmp_path) == ""
