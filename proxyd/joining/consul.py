"""What a machine's Consul agent says of a service there (Consul HTTP API, `/v1/agent`)."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from artemon.errors import ArtemonError

AGENT = "http://127.0.0.1:8500"
SECONDS = 10
REGISTRY = "consul"
"""The name of the registry in pilotd, unless its URL says another (docs/operate/catalog.md)."""
PROTOCOLS = {"http": "HTTP", "http2": "HTTP2", "grpc": "GRPC", "tls": "TLS", "tcp": "TCP"}


def registered(service: str, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Settings of proxyd for a service that the agent of this machine has registered: address, port, service
    account and namespace, as pilotd reads them from the catalog. Consul's variables say which agent
    (CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN). Raises ArtemonError."""
    known = _ask("/v1/agent/services", environ)
    found = [one for one in known.values() if service in (one.get("Service"), one.get("ID"))]
    if len(found) != 1:
        names = ", ".join(sorted(one["ID"] for one in known.values())) or "nothing"
        reason = "has several instances here: say its ID" if found else "is not registered by this agent"
        raise ArtemonError(f"--from-consul: {service} {reason} (it has {names})")
    one = found[0]
    name, meta, port = str(one["Service"]), one.get("Meta") or {}, int(one.get("Port") or 0)
    if not port:
        raise ArtemonError(f"--from-consul: {service} is registered without a port")
    protocol = PROTOCOLS.get(str(meta.get("protocol", "")).lower(), "")
    address = one.get("Address") or _ask("/v1/agent/self", environ)["Member"]["Addr"]
    return {
        "registry": REGISTRY,
        "ip_address": str(address),
        "namespace": str(meta.get("namespace") or "default"),
        "service_account": str(meta.get("service-account") or name),
        "labels": {"app": name, **_labels(one)},
        "ports": [{"name": f"{protocol.lower() or 'auto'}-{port}", "number": port, "protocol": protocol}],
    }


def _labels(one: Mapping[str, Any]) -> dict[str, str]:
    """Metadata, and tags `key=value`, as pilotd makes labels of them."""
    pairs = (tag.partition("=") for tag in one.get("Tags") or ())
    return {key: value for key, sign, value in pairs if sign} | (one.get("Meta") or {})


def _ask(path: str, environ: Mapping[str, str]) -> Any:
    where = environ.get("CONSUL_HTTP_ADDR") or AGENT
    where = where if "//" in where else f"http://{where}"
    if not where.startswith(("http://", "https://")):
        raise ArtemonError(f"--from-consul: CONSUL_HTTP_ADDR: {where} is not http or https")
    token = environ.get("CONSUL_HTTP_TOKEN", "")
    request = urllib.request.Request(where + path, headers={"X-Consul-Token": token} if token else {})  # noqa: S310 - http(s)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - http(s)
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise ArtemonError(f"--from-consul: {where}{path} answers HTTP {error.code}") from error
    except (OSError, ValueError) as error:
        raise ArtemonError(f"--from-consul: no agent of Consul answers at {where}: {error}") from error
