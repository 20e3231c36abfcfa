"""Proxies in pods, and the image that is injected by now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

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

INJECTOR = "istio-sidecar-injector"
"""The ConfigMap of Istio's injector; `-<revision>` behind it for revisions other than the default one."""
_PROXY, _OWN_IMAGE, _SWITCH = "istio-proxy", "sidecar.istio.io/proxyImage", "sidecar.istio.io/inject"
_DEFAULT = "default"


def outdated(material: Material) -> Findings:
    """Namespaces with pods whose proxy is another than would be injected today (IST0158). A pod that asks for
    an image of its own, or for no proxy, is as it should be."""
    images = _images(material)
    pods: dict[str, list[tuple[Thing, str]]] = {}
    for thing, pod in material.pods:
        if thing.kind == "Pod" and _is_injected(thing):
            pods.setdefault(thing.namespace, []).append((thing, _image(pod)))
    for one in material.of_platform("Namespace"):
        wanted = images.get(_revision(one))
        old = [thing.name for thing, image in pods.get(one.name, ()) if wanted and image not in ("", wanted)]
        if old:
            message = (
                "The Istio proxy images of the pods running in the namespace do not match the image defined "
                f"in the injection configuration (pod names: {bracketed(old)}). This often happens after "
                "upgrading the Istio control-plane and can be fixed by redeploying the pods."
            )
            yield Finding("IST0158", one, "metadata.labels", message)


def _images(material: Material) -> Mapping[str, str]:
    """Revision -> image of its proxies, of each injector in the root namespace."""
    found = {}
    for revision, values in _injectors(material):
        settings = mapping(values.get("global"))
        image = text(mapping(settings.get("proxy")).get("image"))
        whole = image if "/" in image else f"{settings.get('hub')}/{image}:{settings.get('tag')}"
        if image:
            found[revision] = whole
    return found


def enabled_by_default(material: Material) -> bool:
    """Whether an injector takes namespaces that do not ask for it."""
    switches = (mapping(values.get("sidecarInjectorWebhook")) for _, values in _injectors(material))
    return any(one.get("enableNamespacesByDefault") is True for one in switches)


def _injectors(material: Material) -> Iterator[tuple[str, Object]]:
    """Revision and values of each injector in the root namespace."""
    for one in material.of_platform("ConfigMap"):
        if one.namespace != material.mesh.root_namespace or not one.name.startswith(INJECTOR):
            continue
        try:
            values = mapping(json.loads(text(mapping(one.obj.get("data")).get("values"))))
        except ValueError:
            continue
        yield one.name.removeprefix(INJECTOR).removeprefix("-") or _DEFAULT, values


def _revision(namespace: Thing) -> str:
    """Whose injector a namespace has; "" without any."""
    enabled = namespace.labels.get("istio-injection") == "enabled"
    return _DEFAULT if enabled else namespace.labels.get("istio.io/rev", "")


def _is_injected(pod: Thing) -> bool:
    switches = {**pod.annotations, **pod.labels}
    return switches.get(_SWITCH) != "false" and _OWN_IMAGE not in labels_of(pod.meta.get("annotations"))


def _image(pod: Object) -> str:
    spec = mapping(pod.get("spec"))
    several = [*mappings(spec.get("containers")), *mappings(spec.get("initContainers"))]
    return next((text(one.get("image")) for _, one in several if one.get("name") == _PROXY), "")


ANALYZERS = (outdated,)
