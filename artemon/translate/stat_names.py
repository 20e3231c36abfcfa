"""What clusters are called in statistics: MeshConfig `inboundClusterStatName`, `outboundClusterStatName`."""

from __future__ import annotations

import re

from artemon.model.service import Port, Service

_VARIABLE = re.compile(r"%[A-Z_]+%")


def stat_name(pattern: str, service: Service, port: Port, subset: str = "") -> str:
    """The name that `pattern` gives, with the delimiter that Istio ends it by; "" for Envoy's own (the
    cluster's). Variables are Istio's; what is no variable stays as it is."""
    if not pattern:
        return ""
    short = service.host.partition(f".{service.namespace}.svc.")[0]
    is_ours = short != service.host
    values = {
        "%SERVICE%": f"{short}.{service.namespace}" if is_ours else service.host,
        "%SERVICE_NAME%": short,
        "%SERVICE_FQDN%": service.host,
        "%SERVICE_PORT%": str(port.number),
        "%SERVICE_PORT_NAME%": port.name,
        "%TARGET_PORT%": str(port.target_port or port.number),
        "%SUBSET_NAME%": subset,
    }
    return _VARIABLE.sub(lambda found: values.get(found[0], found[0]), pattern) + ";"
