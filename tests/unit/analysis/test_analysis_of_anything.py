"""Whatever stands in a field, the analysis ends with findings and not with an exception. One thing in each
field, in turn; everything in every field with ARTEMON_RANDOM=1 (three minutes)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from quick_yaml import read_documents

from artemon.analysis import Material, analyze

EVERY = "ARTEMON_RANDOM" in os.environ
JUNK: tuple[Any, ...] = (None, 7, "x", [], {}, [1], [{}], {"a": {}}, True, [[]], -1.5)
MESH = """
{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: a, namespace: b, annotations: {istio.io/rev: x}}, spec: {
  hosts: [c], gateways: [edge, mesh], exportTo: ["."], http: [{match: [{uri: {prefix: /}, headers: {"@request.auth.claims.x": {exact: y}}}],
  route: [{destination: {host: c, subset: v1, port: {number: 80}}, weight: 1}], mirror: {host: d}, mirrors: [{destination: {host: e}}]}],
  tcp: [{route: [{destination: {host: c}}]}], tls: [{match: [{sniHosts: [a]}], route: [{destination: {host: c}}]}]}}
---
{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: edge, namespace: b}, spec: {selector: {app: e}, servers: [
  {hosts: ["*/c"], port: {number: 443, name: h, protocol: HTTPS}, tls: {mode: SIMPLE, credentialName: s, credentialNames: [t]}}]}}
---
{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: other, namespace: b}, spec: {selector: {app: e}, servers: [
  {hosts: ["c"], port: {number: 443, name: h, protocol: HTTPS}}]}}
---
{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: a, namespace: b}, spec: {host: c, trafficPolicy: {tls: {mode: SIMPLE},
  portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]}, subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {}}]}}
---
{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: a, namespace: b}, spec: {hosts: [c.b.svc.cluster.local], exportTo: ["*"],
  ports: [{number: 80, name: h, protocol: HTTP, targetPort: 8080}], endpoints: [{address: 10.0.0.1, labels: {app: e}}],
  workloadSelector: {labels: {app: e}}}, status: {addresses: [{value: 240.0.0.1}], conditions: [{type: Accepted, status: "False", reason: r}]}}
---
{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a, namespace: b}, spec: {action: CUSTOM, provider: {name: p},
  selector: {matchLabels: {app: e}}, rules: [{from: [{source: {namespaces: [x]}}]}]}}
---
{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: c, namespace: b}, spec: {action: CUSTOM, provider: {name: q},
  targetRefs: [{kind: Service, name: x}], targetRef: {kind: Service, name: x}}}
---
{apiVersion: security.istio.io/v1, kind: RequestAuthentication, metadata: {name: a, namespace: b}, spec: {selector: {matchLabels: {app: f}}}}
---
{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: a, namespace: b}, spec: {workloadSelector: {labels: {app: e}}}}
---
{apiVersion: telemetry.istio.io/v1, kind: Telemetry, metadata: {name: a, namespace: b}, spec: {selector: {matchLabels: {app: e}},
  accessLogging: [{providers: [{name: p}], disabled: false}], metrics: [{}]}}
---
{apiVersion: networking.istio.io/v1alpha3, kind: EnvoyFilter, metadata: {name: a, namespace: b}, spec: {priority: 0, configPatches: [
  {applyTo: HTTP_ROUTE, match: {proxy: {proxyVersion: x}, listener: {filterChain: {filter: {name: y}}}}, patch: {operation: ADD, value: {name: z}}}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: s, namespace: b, labels: {a: b}, annotations: {networking.istio.io/exportTo: "."}}, spec: {
  type: ExternalName, selector: {app: e}, ports: [{port: 80, name: h, protocol: TCP, targetPort: 80, appProtocol: http}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: b, labels: {app: e}, annotations: {sidecar.istio.io/inject: "true"}}, spec: {
  hostNetwork: false, securityContext: {runAsUser: 1}, containers: [{name: a, securityContext: {runAsUser: 1337}}], initContainers: []}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: b}, spec: {template: {metadata: {labels: {app: e},
  annotations: {proxy.istio.io/config: x}}, spec: {containers: [{name: a}]}}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: b, labels: {istio-injection: enabled, istio.io/rev: x}}}
---
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: b}, data: {tls.crt: x}, stringData: {}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: k, namespace: b}, spec: {listeners: [{hostname: c}]},
  status: {parents: [{conditions: [{type: Accepted, status: "False"}]}]}}
"""  # noqa: E501
OBJECTS: list[dict[str, Any]] = read_documents(MESH)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything inside a value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed(obj: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    out = deepcopy(obj)
    *way, last = path
    inner: Any = out
    for key in way:
        inner = inner[key]
    inner[last] = value
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", range(len(OBJECTS)), ids=lambda number: f"{OBJECTS[number]['kind']}-{number}"
)
def test_anything_in_any_field(number: int) -> None:
    others = [*OBJECTS[:number], *OBJECTS[number + 1 :]]
    for turn, path in enumerate(places(OBJECTS[number]), number):
        for value in JUNK if EVERY else (JUNK[turn % len(JUNK)],):
            one = changed(OBJECTS[number], path, value)
            try:
                found = analyze(Material.of([*others, one]))
            except Exception as error:
                raise AssertionError(f"{path} = {value!r}") from error
            json.dumps([each.shown() for each in found])
