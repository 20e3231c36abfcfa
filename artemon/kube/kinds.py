"""Kubernetes' own kinds that the mesh reads or writes."""

from __future__ import annotations

from typing import Final

from artemon.model.message import Message
from artemon.model.resource import Kind


def _kind(name: str, group: str, plural: str) -> Kind:
    return Kind(name, group, ("v1",), plural, name.lower(), (), Message)


SERVICE: Final = _kind("Service", "", "services")
ENDPOINT_SLICE: Final = _kind("EndpointSlice", "discovery.k8s.io", "endpointslices")
POD: Final = _kind("Pod", "", "pods")
NODE: Final = _kind("Node", "", "nodes")
CONFIG_MAP: Final = _kind("ConfigMap", "", "configmaps")
KUBE_SECRET: Final = _kind("Secret", "", "secrets")
SERVICE_ACCOUNT: Final = _kind("ServiceAccount", "", "serviceaccounts")
NAMESPACE: Final = _kind("Namespace", "", "namespaces")
MUTATING_WEBHOOKS: Final = _kind(
    "MutatingWebhookConfiguration", "admissionregistration.k8s.io", "mutatingwebhookconfigurations"
)
VALIDATING_WEBHOOKS: Final = _kind(
    "ValidatingWebhookConfiguration", "admissionregistration.k8s.io", "validatingwebhookconfigurations"
)
TOKEN_REVIEW: Final = _kind("TokenReview", "authentication.k8s.io", "tokenreviews")
INGRESS_CLASS: Final = _kind("IngressClass", "networking.k8s.io", "ingressclasses")
EVENT: Final = _kind("Event", "", "events")
CUSTOM_RESOURCE: Final = _kind(
    "CustomResourceDefinition", "apiextensions.k8s.io", "customresourcedefinitions"
)
