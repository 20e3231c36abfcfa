"""Rules of PeerAuthentication (Istio `ValidatePeerAuthentication`)."""

from __future__ import annotations

from artemon.model.peer_authentication import PeerAuthentication
from artemon.model.resource import Resource
from artemon.model.words import path_of
from artemon.validate.amounts import is_port_text
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error
from artemon.validate.scope import match_selector


def peer_authentication(resource: Resource[PeerAuthentication], context: Context) -> Problems:
    """What is wrong with one policy."""
    spec, path = resource.spec, "spec.portLevelMtls"
    if "port_level_mtls" in spec.model_fields_set and not spec.port_level_mtls:
        yield error(path, "must have at least one port, or be left out")
    if spec.port_level_mtls and not (spec.selector and spec.selector.match_labels):
        yield error(path, "needs a selector with labels: ports are those of workloads")
    for number in spec.port_level_mtls:
        if not is_port_text(number) or number.startswith("0"):
            yield error(path_of((number,), path), f'"{number}" is not a port; it must be 1 to 65535')
    yield from match_selector(spec.selector)
