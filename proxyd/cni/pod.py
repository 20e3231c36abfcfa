"""What a pod, as the API server has it, asks of its interception."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from artemon.inject import words

Pod = Mapping[str, Any]
_TRAFFIC = "traffic.sidecar.istio.io/"
FLAGS = {
    f"{_TRAFFIC}includeOutboundIPRanges": ("-i", "*"),
    f"{_TRAFFIC}excludeOutboundIPRanges": ("-x", ""),
    words.INCLUDE_INBOUND: ("-b", "*"),
    words.EXCLUDE_INBOUND: ("-d", "15020"),
    f"{_TRAFFIC}includeOutboundPorts": ("-q", ""),
    f"{_TRAFFIC}excludeOutboundPorts": ("-o", ""),
    f"{_TRAFFIC}excludeInterfaces": ("-c", ""),
    f"{_TRAFFIC}kubevirtInterfaces": ("-k", ""),
}
"""Annotation -> flag of `istio-iptables`, and what it is where the annotation is not there."""
_VIRTUAL = "istio.io/reroute-virtual-interfaces"
_OWN_PORTS = "15021,15090"


def reason_to_leave(pod: Pod) -> str:
    """Why nothing is set up for a pod; empty when something is."""
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    if spec.get("hostNetwork"):
        return "it is on the host's network"
    if words.STATUS not in annotations:
        return "injection has given it no proxy"
    if words.named(spec.get("initContainers"), words.INIT):
        return f"its init container {words.INIT} sets interception up"
    if _proxy(spec) is None:
        return f"it has no container {words.PROXY}"
    if "router" in (_proxy(spec) or {}).get("args", ()):
        return "it is a gateway"
    if annotations.get(words.INTERCEPTION) == "NONE":
        return f"{words.INTERCEPTION} is NONE"
    return ""


def arguments(pod: Pod, resolvers: tuple[str, ...] = ()) -> list[str]:
    """The arguments of `pilot-agent istio-iptables` for this pod."""
    spec, annotations = pod["spec"], dict(pod["metadata"].get("annotations") or {})
    if _VIRTUAL in annotations:
        annotations[f"{_TRAFFIC}kubevirtInterfaces"] = annotations[_VIRTUAL]
    proxy = _proxy(spec) or {}
    out = ["-p", "15001", "-z", "15006", "-u", str(_user(spec, proxy))]
    out += ["-m", annotations.get(words.INTERCEPTION) or "REDIRECT"]
    for name, (flag, default) in FLAGS.items():
        value = annotations.get(name, default)
        if flag == "-d":
            value = ",".join(part for part in (value, _OWN_PORTS) if part)
        out += [flag, value]
    if _environment(proxy).get("ISTIO_META_DNS_CAPTURE", "").lower() in {"1", "t", "true"}:
        nameservers = (spec.get("dnsConfig") or {}).get("nameservers") or resolvers
        out += ["--redirect-dns", "--resolvers", ",".join(nameservers)]
    return out


def _proxy(spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return words.named(spec.get("containers"), words.PROXY) or words.named(
        spec.get("initContainers"), words.PROXY
    )


def _user(spec: Mapping[str, Any], proxy: Mapping[str, Any]) -> int:
    """Whom the proxy runs as: interception leaves that user alone."""
    for holder in (proxy, spec):
        found = (holder.get("securityContext") or {}).get("runAsUser")
        if found is not None:
            return int(found)
    return 1337


def _environment(container: Mapping[str, Any]) -> dict[str, str]:
    return {one["name"]: str(one.get("value", "")) for one in container.get("env") or ()}
