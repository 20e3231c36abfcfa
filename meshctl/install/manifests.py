"""The objects that a cluster needs: kinds, rights of the daemons, webhook configurations, the daemons."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from artemon.inject.webhook import webhook_configuration
from artemon.model.definition import definition
from artemon.model.kinds import GATEWAY_API_KINDS, KINDS
from artemon.pki.spiffe import SYSTEM_NAMESPACE
from meshctl.install.cni import cni
from meshctl.install.daemons import daemons, objects
from meshctl.install.gateway import gateway
from meshctl.install.pods import Object
from meshctl.install.rights import (
    KEEPING_SECRETS,
    READING_SECRETS,
    RULES,
    account,
    cluster_role,
    granted,
    secrets_of,
)
from meshctl.install.values import Values

WEBHOOK, VALIDATION = "artemon-sidecar-injector", "artemon-validator"
VALIDATE = "/validate"
_RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")


@dataclass(frozen=True, slots=True)
class Validator:
    """galleyd, as the API server finds it. ca: the roots (PEM) of its certificate; empty: galleyd itself
    says whom to trust, once it runs."""

    address: str
    ca: bytes = b""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an installation. when: path of the value that switches it on; empty: always there."""

    name: str
    objects: list[Object]
    when: str = ""


def in_cluster(values: Values) -> list[Part]:
    """A whole mesh within a cluster, in the order in which it must be applied."""
    base = manifests(
        injector=f"{SYSTEM_NAMESPACE}/injectord:443", validator=Validator(f"{SYSTEM_NAMESPACE}/galleyd:443")
    )
    edge = values.get("gateway.namespace")
    kinds = [_kept(one) for one in base if one["kind"] == "CustomResourceDefinition"]
    return [
        Part("namespace", [one for one in base if one["kind"] == "Namespace"]),
        Part("crds", kinds),
        Part("rights", [*(one for one in base if one["kind"] in _RIGHTS), account("mixerd")]),
        Part("rights-secrets", cluster_role("citadeld", [KEEPING_SECRETS], "-secrets"), "citadeld.secrets"),
        Part("rights-galleyd", cluster_role("galleyd", [READING_SECRETS], "-secrets"), "galleyd.secrets"),
        Part("rights-remotes", secrets_of(values.get("pilotd.remotes"), "pilotd"), "pilotd.remotes"),
        *(
            Part(one.name, objects(one, values), "mixerd.enabled" if one.name == "mixerd" else "")
            for one in daemons(values)
        ),
        Part("webhooks", [one for one in base if one["kind"].endswith("WebhookConfiguration")]),
        Part("gateway", [*gateway(values), *secrets_of(edge, "galleyd")], "gateway.enabled"),
        Part("cni", cni(values), "cni.enabled"),
    ]


def everything(values: Values) -> list[Object]:
    """The objects of all parts that are switched on."""
    return [obj for part in in_cluster(values) if values.on(part.when) for obj in part.objects]


def gateway_api_kinds() -> list[Object]:
    """The part of Gateway API that is read, for clusters that have none of it."""
    return [definition(kind) for kind in GATEWAY_API_KINDS]


def _kept(kind: Object) -> Object:
    """Helm leaves it when the chart is uninstalled: with it all objects of the kind would go."""
    metadata = {**kind["metadata"], "annotations": {"helm.sh/resource-policy": "keep"}}
    return {**kind, "metadata": metadata}


def manifests(
    *,
    injector: str,
    revision: str = "default",
    tags: Sequence[str] = (),
    default: bool = True,
    validator: Validator | None = None,
    secrets: bool = False,
    credentials: Sequence[str] = (),
    remotes: Sequence[str] = (),
) -> list[Object]:
    """Everything, in the order in which it must be applied.

    secrets: whether citadeld may keep certificates as Secrets. credentials, remotes: namespaces where galleyd
    may read Secrets that gateways name, and pilotd those of further clusters.
    injector: where the API server finds the webhook, as `https://host:port` or `namespace/service[:port]`.
    """
    suffix = "" if revision == "default" else f"-{revision}"
    webhook = webhook_configuration(
        WEBHOOK + suffix, _client(injector), revision=revision, tags=tags, default=default
    )
    rules = {**RULES, "citadeld": [*RULES["citadeld"], *([KEEPING_SECRETS] if secrets else [])]}
    rights = [one for daemon, listed in rules.items() for one in granted(daemon, listed)]
    for daemon, namespaces in (("galleyd", credentials), ("pilotd", remotes)):
        rights += [one for namespace in namespaces for one in secrets_of(namespace, daemon)]
    validating = [_validating(validator)] if validator else []
    return [_namespace(), *(definition(kind) for kind in KINDS), *rights, webhook, *validating]


def _validating(validator: Validator) -> Object:
    """Every write of Istio's kinds is galleyd's to judge; what it cannot be asked about is not stored."""
    client = _client(validator.address)
    if "service" in client:
        client["service"]["path"] = VALIDATE
    else:
        client["url"] += VALIDATE
    rule = {
        "operations": ["CREATE", "UPDATE"],
        "apiGroups": sorted({kind.group for kind in KINDS}),
        "apiVersions": ["*"],
        "resources": ["*"],
        "scope": "Namespaced",
    }
    bundle = {"caBundle": base64.b64encode(validator.ca).decode()} if validator.ca else {}
    hook = {
        "name": "validation.istio.io",
        "clientConfig": {**client, **bundle},
        "rules": [rule],
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "timeoutSeconds": 10,
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": VALIDATION},
        "webhooks": [hook],
    }


def _namespace() -> Object:
    """The daemons' own namespace, whose pods wait for no injector."""
    metadata = {"name": SYSTEM_NAMESPACE, "labels": {"istio-injection": "disabled"}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _client(injector: str) -> Object:
    if injector.startswith("https://"):
        return {"url": injector}
    namespace, _, rest = injector.partition("/")
    name, _, port = rest.partition(":")
    return {"service": {"namespace": namespace, "name": name, "port": int(port or 443)}}
