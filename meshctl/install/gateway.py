"""The ingress gateway: a pod that the injector makes one of (template `gateway`), behind a LoadBalancer."""

from __future__ import annotations

from meshctl.install.daemons import budget
from meshctl.install.pods import Object, metadata
from meshctl.install.values import Values

NAME = "ingressgateway"
_PORTS = {"status-port": 15021, "http2": 80, "https": 443}


def gateway(values: Values) -> list[Object]:
    """In a namespace of its own: no workload has an identity in the daemons'."""
    namespace = values.get("gateway.namespace")
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(NAME, namespace)}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(NAME, namespace),
        "spec": {
            "replicas": values.get("gateway.replicas"),
            "selector": {"matchLabels": {"app": NAME}},
            "template": _template(values),
        },
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        account,
        deployment,
        {"apiVersion": "v1", "kind": "Service", **_service(values, namespace)},
        budget(NAME, namespace),
    ]


def _template(values: Values) -> Object:
    labels = {
        **metadata(NAME)["labels"],
        "istio": NAME,
        "sidecar.istio.io/inject": "true",
    }
    container = {
        "name": "istio-proxy",
        "image": "auto",
        "resources": values.get("gateway.resources"),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    return {
        "metadata": {"labels": labels, "annotations": {"inject.istio.io/templates": "gateway"}},
        "spec": {
            "serviceAccountName": NAME,
            "imagePullSecrets": values.get("imagePullSecrets"),
            "containers": [container],
        },
    }


def _service(values: Values, namespace: str) -> Object:
    ports = [{"name": name, "port": port, "targetPort": port} for name, port in _PORTS.items()]
    about = metadata(NAME, namespace)
    about["labels"] = {**about["labels"], "istio": NAME}
    spec = {"type": values.get("gateway.serviceType"), "selector": {"istio": NAME}, "ports": ports}
    return {"metadata": about, "spec": spec}
