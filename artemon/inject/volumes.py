"""The volumes of a proxy and where it mounts them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from artemon.inject.parts import user_parts
from artemon.inject.request import Request

Part = dict[str, Any]
_BOOTSTRAP = "sidecar.istio.io/bootstrapOverride"


def mounts(request: Request, *, sidecar: bool) -> Iterator[Part]:
    """Where a proxy finds its sockets, certificates, token, data and the pod's own metadata."""
    yield _mount("workload-socket", "/var/run/secrets/workload-spiffe-uds")
    yield _mount("credential-socket", "/var/run/secrets/credential-uds")
    yield _mount("workload-certs", "/var/run/secrets/workload-spiffe-credentials")
    if request.values.pilot_cert_provider == "istiod":
        yield _mount("istiod-ca-cert", "/var/run/secrets/istio")
    if sidecar:
        yield _mount("istio-ca-crl", "/var/run/secrets/istio/crl")
    yield _mount("istio-data", "/var/lib/istio/data")
    if sidecar and _BOOTSTRAP in request.annotations:
        yield _mount("custom-bootstrap-volume", "/etc/istio/custom-bootstrap")
    yield _mount("istio-envoy", "/etc/istio/proxy")
    yield _mount("istio-token", "/var/run/secrets/tokens")
    if request.values.mount_mtls_certs:
        yield {**_mount("istio-certs", "/etc/certs/"), "readOnly": True}
    yield _mount("istio-podinfo", "/etc/istio/pod")
    if sidecar:
        yield from user_parts(request, "sidecar.istio.io/userVolumeMount")


def volumes(request: Request, *, sidecar: bool) -> Iterator[Part]:
    """What `mounts` mounts."""
    # a volume without a source is an emptyDir (core/v1)
    yield {"name": "workload-socket"}
    yield {"name": "credential-socket", **({} if sidecar else {"emptyDir": {}})}
    yield {"name": "workload-certs", **({} if sidecar else {"emptyDir": {}})}
    if sidecar and _BOOTSTRAP in request.annotations:
        yield {"name": "custom-bootstrap-volume", "configMap": {"name": request.annotations[_BOOTSTRAP]}}
    yield {"name": "istio-envoy", "emptyDir": {"medium": "Memory"}}
    yield {"name": "istio-data", "emptyDir": {}}
    yield {"name": "istio-podinfo", "downwardAPI": {"items": [_item("labels"), _item("annotations")]}}
    yield _token()
    if request.values.pilot_cert_provider == "istiod":
        yield {"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}}
    if sidecar:
        yield {"name": "istio-ca-crl", "configMap": {"name": "istio-ca-crl", "optional": True}}
    if request.values.mount_mtls_certs:
        account = request.spec.get("serviceAccountName") or "default"
        yield {"name": "istio-certs", "secret": {"optional": True, "secretName": f"istio.{account}"}}
    if sidecar:
        yield from user_parts(request, "sidecar.istio.io/userVolume")


def _mount(name: str, path: str) -> Part:
    return {"name": name, "mountPath": path}


def _item(name: str) -> Part:
    return {"path": name, "fieldRef": {"fieldPath": f"metadata.{name}"}}


def _token() -> Part:
    """A token of the pod's service account for the CA alone, renewed by the kubelet."""
    token = {"audience": "istio-ca", "expirationSeconds": 43200, "path": "istio-token"}
    return {"name": "istio-token", "projected": {"sources": [{"serviceAccountToken": token}]}}
