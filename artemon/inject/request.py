"""One pod with everything that the form of its proxy depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from artemon.inject import words
from artemon.inject.config import GlobalValues, InjectConfig, ProxyValues
from artemon.inject.owner import Owner
from artemon.model.mesh_config import MeshConfig
from artemon.model.mesh_proxy import MeshProxyConfig

_IMAGE_TYPES: Final = ("distroless", "debug")


@dataclass(frozen=True, slots=True)
class Request:
    """What templates get. pod: before injection. native: the proxy is an init container that restarts always.

    network: where the pod is, for multi-network meshes; empty when it is not said.
    """

    config: InjectConfig
    mesh: MeshConfig
    proxy: MeshProxyConfig
    pod: words.Pod
    owner: Owner
    native: bool
    cluster: str = ""
    network: str = ""

    @property
    def values(self) -> GlobalValues:
        """Istio's `global` values."""
        return self.config.values

    @property
    def sidecar(self) -> ProxyValues:
        """Istio's `global.proxy` values."""
        return self.config.values.proxy

    @property
    def annotations(self) -> Mapping[str, str]:
        """The pod's annotations."""
        return self.pod.get("metadata", {}).get("annotations") or {}

    @property
    def labels(self) -> Mapping[str, str]:
        """The pod's labels."""
        return self.pod.get("metadata", {}).get("labels") or {}

    @property
    def spec(self) -> dict[str, Any]:
        """The pod's spec."""
        found: dict[str, Any] = self.pod.get("spec") or {}
        return found

    @property
    def applications(self) -> list[dict[str, Any]]:
        """The containers that are not the proxy."""
        return [one for one in self.spec.get("containers") or () if one.get("name") != words.PROXY]

    @property
    def interception(self) -> str:
        """REDIRECT, TPROXY or NONE."""
        return self.annotations.get(words.INTERCEPTION, self.proxy.interception_mode)

    @property
    def status_port(self) -> str:
        """The agent's port as text; `0` when there is none."""
        return self.annotations.get(words.STATUS_PORT, str(self.sidecar.status_port)).strip()

    @property
    def trust_domain(self) -> str:
        """The trust domain of the pod's identity."""
        return self.mesh.trust_domain or self.values.trust_domain

    @property
    def holds(self) -> bool:
        """Whether applications wait until the proxy is ready."""
        return bool(
            self.proxy.hold_application_until_proxy_starts or self.sidecar.hold_application_until_proxy_starts
        )

    def asked(self, name: str, default: object) -> str:
        """What the annotation `name` says, else `default`."""
        value = self.annotations.get(name)
        return str(default) if value is None else value

    def switch(self, name: str, default: bool) -> bool:
        """What the boolean annotation `name` says, else `default`."""
        value = self.annotations.get(name)
        return default if value is None else value in {"1", "t", "T", "TRUE", "true", "True"}

    @property
    def image(self) -> str:
        """The proxy's image."""
        asked = self.asked("sidecar.istio.io/proxyImage", self.sidecar.image)
        if "/" in asked:
            return asked
        declared = self.proxy.image.image_type if self.proxy.image else self.values.variant
        kind = self.asked("sidecar.istio.io/proxyImageType", declared)
        return f"{self.values.hub}/{self.sidecar.image}:{_tag(self.values.tag, kind)}"

    @property
    def init_image(self) -> str:
        """The image that sets interception up."""
        asked = self.asked("sidecar.istio.io/proxyImage", self.values.proxy_init.image)
        return asked if "/" in asked else self.image

    def canonical_labels(self) -> Iterator[tuple[str, str]]:
        """The canonical service of the pod, by its labels or its owner's name."""
        names = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
        name = next((self.labels[label] for label in names if self.labels.get(label)), self.owner.name)
        yield names[0], name[:63].removesuffix("-")
        versions = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")
        yield versions[0], next((self.labels[one] for one in versions if self.labels.get(one)), "latest")


def _tag(tag: str, kind: str) -> str:
    """`1.12-distroless` and `debug` -> `1.12-debug`; the type `default` has no suffix."""
    if not kind:
        return tag
    plain = next((tag.removesuffix(f"-{one}") for one in _IMAGE_TYPES if tag.endswith(f"-{one}")), tag)
    return plain if kind == "default" else f"{plain}-{kind}"
