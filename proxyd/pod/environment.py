"""From what an injected container is told to proxyd's settings. Names are Istio's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from artemon.errors import ArtemonError, Refused
from artemon.model.decode import decode_message
from artemon.model.mesh_proxy import MeshProxyConfig
from proxyd.pod.switches import DNS, is_on

PODINFO, TOKEN = "etc/istio/pod", "var/run/secrets/tokens/istio-token"
ROOTS, DATA, RUN = "var/run/secrets/istio/root-cert.pem", "var/lib/istio/data", "etc/istio/proxy"
_LINE = re.compile(r'^([^=\s]+)=("(?:[^"\\]|\\.)*")$', re.MULTILINE)


def proxy_config(environ: Mapping[str, str]) -> MeshProxyConfig:
    """PROXY_CONFIG: what differs from Istio's defaults. Raises ArtemonError."""
    text = environ.get("PROXY_CONFIG", "").strip() or "{}"
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ArtemonError(f"PROXY_CONFIG: is not JSON: {error}") from error
    found, problems = decode_message(MeshProxyConfig, value, root="PROXY_CONFIG")
    if problems or not isinstance(found, MeshProxyConfig):
        raise Refused(problems)
    return found


def podinfo(root: Path, name: str) -> dict[str, str]:
    """Labels or annotations, as the downward API writes them; none where no volume is mounted."""
    try:
        text = (root / PODINFO / name).read_text()
    except OSError:
        return {}
    return {key: json.loads(value) for key, value in _LINE.findall(text)}


def flags(
    role: str, environ: Mapping[str, str], *, domain: str = "", root: Path = Path("/")
) -> dict[str, Any]:
    """Settings of proxyd, as its flags are named. role: sidecar or router; root: where volumes are mounted.

    Raises ArtemonError: what is missing or cannot be read, by the name of the variable.
    """
    told = proxy_config(environ)
    missing = [name for name in ("POD_NAME", "POD_NAMESPACE", "INSTANCE_IP") if not environ.get(name)]
    if missing:
        raise ArtemonError(f"{', '.join(missing)}: not set; this runs in a pod that injection changed")
    namespace, address = environ["POD_NAMESPACE"], environ["INSTANCE_IP"].partition(",")[0]
    made: dict[str, Any] = {
        **_places(root),
        **_whom(environ, told),
        "type": role,
        "node": environ["POD_NAME"],
        "namespace": namespace,
        "service_account": environ.get("SERVICE_ACCOUNT") or "default",
        "workload": environ.get("ISTIO_META_WORKLOAD_NAME", ""),
        "labels": podinfo(root, "labels"),
        "domain": domain.removeprefix(f"{namespace}.svc.") or "cluster.local",
        "ip_address": address,
        "bind_address": "::" if ":" in address else "0.0.0.0",
        "cluster_id": environ.get("ISTIO_META_CLUSTER_ID") or "Kubernetes",
        "network": environ.get("ISTIO_META_NETWORK", ""),
        "interception": _interception(role, environ, told),
        "proxy_user": "1337",
        "status_port": told.status_port,
        "admin_port": told.proxy_admin_port,
        "concurrency": told.concurrency or 2,
        "drain_seconds": int(told.termination_drain_duration) / 1e9,
        "app_probers": json.loads(environ.get("ISTIO_KUBE_APP_PROBERS") or "{}"),
    }
    if is_on(environ, "REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION"):
        made["app_probers_host"] = "127.0.0.1"
    if is_on(environ, "ISTIO_META_DNS_CAPTURE"):
        made["dns_listen"] = DNS
    if environ.get("OUTPUT_CERTS"):
        made["output_certs"] = environ["OUTPUT_CERTS"]
        made["output_certs_group"] = environ.get("OUTPUT_CERTS_GROUP", "")
    if told.readiness_probe is not None:
        made["probe"] = told.readiness_probe
    return made


def _places(root: Path) -> dict[str, Any]:
    return {
        "data_dir": str(root / DATA / "proxyd"),
        "run_dir": str(root / RUN / "run"),
        "attest_token_file": str(root / TOKEN),
        "ca_pin": str(root / ROOTS),
    }


def _whom(environ: Mapping[str, str], told: MeshProxyConfig) -> dict[str, Any]:
    """citadeld and pilotd; without an authority of its own, both are at the discovery address."""
    authority = environ.get("CA_ADDR") or told.discovery_address
    return {
        "pilotd": [told.discovery_address],
        "citadeld": [authority],
        "trust_domain": environ.get("TRUST_DOMAIN") or "cluster.local",
    }


def _interception(role: str, environ: Mapping[str, str], told: MeshProxyConfig) -> str:
    if role != "sidecar":
        return "NONE"
    return environ.get("ISTIO_META_INTERCEPTION_MODE") or told.interception_mode
