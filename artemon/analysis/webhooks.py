"""Webhooks of injectors: two that take the same pods, one whose service is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import product
from urllib.parse import urlsplit

from artemon.analysis.labels import selects
from artemon.analysis.material import Material
from artemon.analysis.things import (
    Finding,
    Findings,
    Object,
    Thing,
    bracketed,
    labels_of,
    mapping,
    mappings,
    text,
)
from artemon.inject import words

_MUTATING, _VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
_INJECTOR = "istio-sidecar-injector"
_VALIDATORS = ("istio-validator", "istiod-default-validator")


@dataclass(frozen=True)
class _Hook:
    """One webhook of a configuration."""

    thing: Thing
    path: str
    obj: Object

    @property
    def full(self) -> str:
        return f"{self.thing.name}/{text(self.obj.get('name'))}"

    def takes(self, namespace: Mapping[str, str], pod: Mapping[str, str]) -> bool:
        """Whether a pod with these labels, in a namespace with those, goes to it."""
        return selects(mapping(self.obj.get("namespaceSelector")), namespace) and selects(
            mapping(self.obj.get("objectSelector")), pod
        )


def hooks(thing: Thing) -> Iterator[_Hook]:
    """The webhooks of a configuration."""
    for index, one in mappings(thing.obj.get("webhooks")):
        yield _Hook(thing, f"webhooks[{index}]", one)


def injectors(material: Material) -> Findings:
    """IST0139, of configurations with the label of a revision."""
    things = [one for one in material.of_platform(_MUTATING) if words.REVISION in one.labels]
    every = [hook for one in things for hook in hooks(one)]
    pods = _labellings(sorted({one.labels[words.REVISION] for one in things}))
    taken = [{number for number, pod in enumerate(pods) if hook.takes(*pod)} for hook in every]
    for hook, mine in zip(every, taken, strict=True):
        rivals = [
            other.full
            for other, theirs in zip(every, taken, strict=True)
            if other is not hook and mine & theirs
        ]
        if rivals:
            shown = bracketed(rivals)
            message = f"Webhook overlaps with others: {shown}. This may cause injection to occur twice."
            yield Finding("IST0139", hook.thing, hook.path, message)
    yield from _services(every, material)


def _labellings(revisions: Sequence[str]) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Labels of namespaces and pods, one of each kind that injectors tell apart."""
    names = ("", *revisions)
    found = product(("", "enabled", "disabled"), names, ("", "true", "false"), names)
    return [
        (
            _given({words.NAMESPACE_INJECTION: injection, words.REVISION: revision}),
            _given({words.INJECT: wish, words.REVISION: own}),
        )
        for injection, revision, wish, own in found
    ]


def _given(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if value}


def _services(every: Sequence[_Hook], material: Material) -> Findings:
    known = {one.full for one in material.of_platform("Service")}
    told: set[tuple[str, str]] = set()
    for hook in every:
        service = mapping(mapping(hook.obj.get("clientConfig")).get("service"))
        full = f"{text(service.get('namespace'))}/{text(service.get('name'))}"
        if service and full not in known and (hook.thing.name, full) not in told:
            told.add((hook.thing.name, full))
            message = f"Injector refers to a control plane service that does not exist: {full}."
            yield Finding("IST0139", hook.thing, f"{hook.path}.clientConfig.service", message)


def elsewhere(material: Material) -> Findings:
    """Control planes outside of the cluster, without an address (IST0163) or without a name (IST0164)."""
    for thing in material.of_platform(_MUTATING, _VALIDATING):
        if not thing.name.startswith(_INJECTOR if thing.kind == _MUTATING else _VALIDATORS):
            continue
        for hook in hooks(thing):
            client = mapping(hook.obj.get("clientConfig"))
            name, path = text(hook.obj.get("name")), f"{hook.path}.clientConfig"
            if client.get("service"):
                continue
            url = text(client.get("url"))
            host = _host(url)
            if not host:
                fault = "is blank" if not url else "was provided in an invalid format"
                message = (
                    f"The hostname ({url}) that was provided for the webhook ({name}) to reach the ingress "
                    f"gateway on the external control plane cluster {fault}. Traffic may not flow properly."
                )
                yield Finding("IST0163", thing, path, message)
            elif _is_address(host):
                message = (
                    f"The address ({url}) that was provided for the webhook ({name}) to reach the ingress "
                    "gateway on the external control plane cluster is an IP address. This is not recommended "
                    "for a production environment."
                )
                yield Finding("IST0164", thing, path, message)


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        return (parts.hostname or "") if parts.scheme in ("https", "http") else ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def automatic_images(material: Material) -> Findings:
    """Proxies whose image the injector shall choose, where no injector comes: pods (IST0147) and Deployments
    (IST0146)."""
    every = [hook for one in material.of_platform(_MUTATING) for hook in hooks(one)]
    asked = [hook for hook in every if text(hook.obj.get("name")).endswith("istio.io")]
    spaces = {one.name: one.labels for one in material.of_platform("Namespace")}
    for thing, pod in material.pods:
        if thing.kind not in ("Pod", "Deployment") or not _is_automatic(pod):
            continue
        message = (
            f"{thing.kind} {thing.name} contains `image: auto` but does not match any Istio injection "
            "webhook selectors."
        )
        labels = labels_of(mapping(pod.get("metadata")).get("labels"))
        space = {"kubernetes.io/metadata.name": thing.namespace, **spaces.get(thing.namespace, {})}
        if thing.kind == "Pod":
            yield Finding("IST0147", thing, "spec.containers", message)
        elif not any(hook.takes(space, labels) for hook in asked):
            yield Finding("IST0146", thing, "spec.template.spec.containers", message)


def _is_automatic(pod: Object) -> bool:
    spec = mapping(pod.get("spec"))
    several = [*mappings(spec.get("containers")), *mappings(spec.get("initContainers"))]
    return any(one.get("name") == words.PROXY and one.get("image") == words.AUTO_IMAGE for _, one in several)


ANALYZERS = (injectors, elsewhere, automatic_images)
