"""As much of a Kubernetes API server as pilotd reads, with a large cluster in memory.

`python -m bench.kube_api CERTIFICATE KEY` says its port; `POST /change?service=N&shift=S` moves an instance.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from bench import world as mesh

SERVICES = 5000
ENDPOINTS = 10
NODES = 500
_NOISE = {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:spec": {"f:a": {}}}}


def _meta(name: str, namespace: str, **labels: str) -> dict[str, Any]:
    meta = {
        "name": name,
        "uid": f"0f0e0d0c-0000-4000-8000-{hash(name) & 0xFFFFFFFFFFFF:012x}",
        "resourceVersion": "100",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": labels,
        "managedFields": [_NOISE, _NOISE],
    }
    return {**meta, "namespace": namespace} if namespace else meta


def address(service: int, number: int, shift: int = 0) -> str:
    """Of an instance."""
    at = service * ENDPOINTS + number
    return f"10.{1 + shift % 200}.{at >> 8 & 255}.{at & 255}"


def slice_of(service: int, *, shift: int = 0) -> dict[str, Any]:
    """The instances of a service; shift moves the first."""
    space = mesh.namespace(service)
    endpoints = [
        {
            "addresses": [address(service, number, 0 if number else shift)],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": f"node-{(service + number) % NODES}",
            "targetRef": {"kind": "Pod", "name": f"svc{service}-{number}", "namespace": space},
            "zone": "a",
        }
        for number in range(ENDPOINTS)
    ]
    meta = _meta(f"svc{service}-x", space, **{"kubernetes.io/service-name": f"svc{service}"})
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    return {"metadata": meta, "addressType": "IPv4", "ports": ports, "endpoints": endpoints}


def _services() -> Iterator[dict[str, Any]]:
    for one in range(SERVICES):
        ip = f"10.96.{one >> 8}.{one & 255}"
        ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
        spec = {"clusterIP": ip, "clusterIPs": [ip], "selector": {"app": f"svc{one}"}, "ports": ports}
        yield {"metadata": _meta(f"svc{one}", mesh.namespace(one)), "spec": spec, "status": {}}


def _pods() -> Iterator[dict[str, Any]]:
    noise = {"env": [{"name": "A", "value": "b"}] * 4, "volumeMounts": [{"name": "v", "mountPath": "/v"}] * 3}
    for service in range(SERVICES):
        space = mesh.namespace(service)
        for number in range(ENDPOINTS):
            container = {"name": "app", "image": "app:1", "ports": [{"containerPort": 8080}], **noise}
            spec = {
                "serviceAccountName": f"svc{service}",
                "nodeName": f"node-{(service + number) % NODES}",
                "containers": [container],
            }
            at = address(service, number)
            ready = [{"type": name, "status": "True"} for name in ("Initialized", "Ready", "PodScheduled")]
            status = {"podIP": at, "podIPs": [{"ip": at}], "phase": "Running", "conditions": ready}
            meta = _meta(f"svc{service}-{number}", space, app=f"svc{service}", version="v1")
            yield {"metadata": meta, "spec": spec, "status": status}


def _nodes() -> Iterator[dict[str, Any]]:
    for one in range(NODES):
        zone = {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": f"z{one % 3}"}
        yield {"metadata": _meta(f"node-{one}", "", **zone)}


def _namespaces() -> Iterator[dict[str, Any]]:
    yield from ({"metadata": _meta(f"ns{one}", "")} for one in range(mesh.NAMESPACES))


class Cluster:
    """Everything there is, as bytes: what serving costs must not be measured."""

    def __init__(self) -> None:
        every = {
            "services": _services(),
            "pods": _pods(),
            "nodes": _nodes(),
            "namespaces": _namespaces(),
            "endpointslices": (slice_of(one) for one in range(SERVICES)),
        }
        self._objects = {plural: [json.dumps(one).encode() for one in many] for plural, many in every.items()}
        self._watches: list[web.StreamResponse] = []

    async def get(self, request: web.Request) -> web.StreamResponse:
        """A page of a list, or a watch."""
        plural = request.match_info["plural"]
        if "watch" in request.query:
            return await self._watch(request, plural)
        objects = self._objects[plural]
        start, limit = int(request.query.get("continue", 0)), int(request.query.get("limit", len(objects)))
        more = str(start + limit) if start + limit < len(objects) else ""
        meta = json.dumps({"resourceVersion": "100", "continue": more}).encode()
        items = b",".join(objects[start : start + limit])
        body = b'{"metadata":' + meta + b',"items":[' + items + b"]}"
        return web.Response(body=body, content_type="application/json")

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if plural == "endpointslices":
            self._watches.append(response)
        await asyncio.Event().wait()
        return response

    async def change(self, request: web.Request) -> web.Response:
        """Move the first instance of a service."""
        service = int(request.query["service"])
        changed = json.dumps(slice_of(service, shift=int(request.query["shift"]))).encode()
        self._objects["endpointslices"][service] = changed
        for one in list(self._watches):
            try:
                await one.write(b'{"type":"MODIFIED","object":' + changed + b"}\n")
            except ConnectionResetError:  # who watched lists again, and finds it there
                self._watches.remove(one)
        return web.Response()


async def _serve(certificate: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    cluster, app = Cluster(), web.Application()
    app.add_routes(
        [
            web.post("/change", cluster.change),
            web.get("/api/v1/{plural}", cluster.get),
            web.get("/apis/discovery.k8s.io/v1/{plural}", cluster.get),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2]))
