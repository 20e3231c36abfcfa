"""The templates there are without any configuration, and which of them a pod gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from artemon.errors import Problem, Refused
from artemon.inject import words
from artemon.inject.gateway import gateway
from artemon.inject.request import Request
from artemon.inject.sidecar import sidecar

Template = Callable[[Request], words.Pod]


def spire(request: Request) -> words.Pod:
    """SPIRE's socket in place of the agent's own (SPIFFE CSI driver)."""
    mount = {"name": "workload-socket", "mountPath": "/var/run/secrets/workload-spiffe-uds", "readOnly": True}
    volume = {"name": "workload-socket", "csi": {"driver": "csi.spiffe.io", "readOnly": True}}
    return {"spec": {"containers": [{"name": words.PROXY, "volumeMounts": [mount]}], "volumes": [volume]}}


TEMPLATES: Final[Mapping[str, Template]] = {"sidecar": sidecar, "gateway": gateway, "spire": spire}


def chosen(request: Request) -> list[words.Pod]:
    """The parts that the pod gets, in order: by its annotation, else by configuration. Raises Refused."""
    config = request.config
    asked = request.annotations.get(words.TEMPLATES)
    names = (
        [name.strip() for name in asked.split(",")] if asked is not None else list(config.default_templates)
    )
    flat = [one for name in names for one in config.aliases.get(name, (name,))]
    unknown = [name for name in flat if name not in config.templates and name not in TEMPLATES]
    if unknown:
        known = ", ".join(sorted({*config.templates, *TEMPLATES}))
        where = f'metadata.annotations["{words.TEMPLATES}"]' if asked is not None else "defaultTemplates"
        raise Refused([Problem(where, f'there is no template "{name}" (known: {known})') for name in unknown])
    return [config.templates[name] if name in config.templates else TEMPLATES[name](request) for name in flat]
