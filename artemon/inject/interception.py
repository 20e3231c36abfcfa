"""The init container that redirects the pod's connections to the proxy, or checks that a CNI plug-in did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from artemon.inject import words
from artemon.inject.parts import agent_level, metadata_variables, resources, with_pull_policy
from artemon.inject.request import Request

PROXY_USER = 1337
_TRAFFIC = "traffic.sidecar.istio.io/"
_VIRTUAL = "istio.io/reroute-virtual-interfaces"


def init_container(request: Request) -> dict[str, Any]:
    """`istio-init`, or `istio-validation` where a CNI plug-in redirects."""
    checks = request.config.cni.enabled
    container: dict[str, Any] = {
        "name": words.VALIDATION if checks else words.INIT,
        "image": request.init_image,
        "args": list(_arguments(request)),
        "resources": resources(request),
        "securityContext": _security(request, checks=checks),
    }
    variables = metadata_variables(request)
    return with_pull_policy(request, {**container, "env": variables} if variables else container)


def excluded_inbound(request: Request) -> str:
    """Inbound ports that stay as they are: those asked for and the agent's."""
    asked = request.asked(words.EXCLUDE_INBOUND, request.sidecar.exclude_inbound_ports)
    own = request.status_port
    if own in {"", "0"} or own in asked.split(","):
        return asked
    return ",".join([*(part.strip() for part in asked.split(",") if part.strip()), own])


def _arguments(request: Request) -> Iterator[str]:
    """Istio's flags (`istio-iptables --help`), in its order."""
    sidecar = request.sidecar
    excluded = excluded_inbound(request)
    yield "istio-iptables"
    for flag, value in (
        ("-p", request.mesh.proxy_listen_port),
        ("-z", request.mesh.proxy_inbound_listen_port),
        ("-u", PROXY_USER),
        ("-m", request.interception),
        ("-i", request.asked(f"{_TRAFFIC}includeOutboundIPRanges", sidecar.include_ip_ranges)),
        ("-x", request.asked(f"{_TRAFFIC}excludeOutboundIPRanges", sidecar.exclude_ip_ranges)),
        ("-b", request.asked(words.INCLUDE_INBOUND, sidecar.include_inbound_ports)),
        ("-d", f"15090,15021,{excluded}" if excluded else "15090,15021"),
        *_when_asked(request),
    ):
        yield from (flag, str(value))
    yield f"--log_output_level={agent_level(request)}"
    if request.values.log_as_json:
        yield "--log_as_json"
    if request.config.cni.enabled:
        yield from ("--run-validation", "--skip-rule-apply")
    elif request.values.proxy_init.force_apply_iptables:
        yield "--force-apply"
    if request.values.native_nftables:
        yield "--native-nftables"


def _when_asked(request: Request) -> Iterator[tuple[str, str]]:
    for flag, name, value in (
        ("-q", f"{_TRAFFIC}includeOutboundPorts", request.sidecar.include_outbound_ports),
        ("-o", f"{_TRAFFIC}excludeOutboundPorts", request.sidecar.exclude_outbound_ports),
    ):
        if name in request.annotations or value:
            yield flag, request.asked(name, value)
    virtual = _VIRTUAL if _VIRTUAL in request.annotations else f"{_TRAFFIC}kubevirtInterfaces"
    for flag, name in (("-k", virtual), ("-c", f"{_TRAFFIC}excludeInterfaces")):
        if name in request.annotations:
            yield flag, request.annotations[name]


def _security(request: Request, *, checks: bool) -> dict[str, Any]:
    """Rights over the network for the one, none for the other."""
    privileged = request.sidecar.privileged
    capabilities = {"drop": ["ALL"]} if checks else {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]}
    user = PROXY_USER if checks else 0
    context: dict[str, Any] = {
        "allowPrivilegeEscalation": privileged,
        "capabilities": capabilities,
        "privileged": privileged,
        "readOnlyRootFilesystem": checks,
        "runAsGroup": user,
        "runAsNonRoot": checks,
        "runAsUser": user,
    }
    profile = request.sidecar.seccomp_profile
    return {**context, "seccompProfile": profile} if profile else context


def cni_annotations(request: Request) -> Iterator[tuple[str, str]]:
    """What a CNI plug-in reads from the pod in place of the init container's arguments."""
    if request.config.cni.provider == "multus":
        yield _NETWORKS, _networks(request.annotations.get(_NETWORKS, ""))
    yield words.INTERCEPTION, request.interception
    sidecar = request.sidecar
    for name, value, always in (
        ("includeOutboundIPRanges", sidecar.include_ip_ranges, False),
        ("excludeOutboundIPRanges", sidecar.exclude_ip_ranges, False),
        ("includeInboundPorts", sidecar.include_inbound_ports, True),
    ):
        asked = request.asked(f"{_TRAFFIC}{name}", value)
        if asked or always:
            yield f"{_TRAFFIC}{name}", asked
    yield words.EXCLUDE_INBOUND, excluded_inbound(request)
    for name, value in (
        ("includeOutboundPorts", sidecar.include_outbound_ports),
        ("excludeOutboundPorts", sidecar.exclude_outbound_ports),
    ):
        if value or f"{_TRAFFIC}{name}" in request.annotations:
            yield f"{_TRAFFIC}{name}", request.asked(f"{_TRAFFIC}{name}", value)


_NETWORKS = "k8s.v1.cni.cncf.io/networks"
_NETWORK = "default/istio-cni"


def _networks(written: str) -> str:
    """The pod's further networks (Multus), as a list of names or in JSON, with Istio's."""
    if not written.strip():
        return _NETWORK
    end = written.rfind("]")
    if end < 0:
        names = [part.strip() for part in written.split(",")]
        return written if _NETWORK in names else f"{written}, {_NETWORK}"
    if f'"{_NETWORK}"' in written:
        return written
    return f'{written[:end]}, {{"name": "{_NETWORK}"}}{written[end:]}'
