"""Rules of Gateway (Istio `ValidateGateway`)."""

from __future__ import annotations

from artemon.model.gateway import Gateway, Port, Server
from artemon.model.resource import Resource
from artemon.validate.addresses import UNIX, bind
from artemon.validate.amounts import is_http, is_tls, port, protocol
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error, repeats, warning, wrong
from artemon.validate.hosts import is_label, scoped_host
from artemon.validate.local_endpoint import local_endpoint
from artemon.validate.server_tls import server_tls

SEMANTICS = "internal.istio.io/gateway-semantics"


def gateway(resource: Resource[Gateway], context: Context) -> Problems:
    """What is wrong with one Gateway. Those made from Gateway API may have other names and the host `~/x`."""
    converted = resource.meta.annotations.get(SEMANTICS) == "gateway"
    if not is_label(resource.meta.name) and not converted:
        yield error("metadata.name", f'"{resource.meta.name}" must be a DNS label (no dots)')
    servers = resource.spec.servers
    if not servers:
        yield error("spec.servers", "must have at least one server")
    for index, server in enumerate(servers):
        yield from _server(server, f"spec.servers[{index}]", converted=converted)
    names = [(server.port.name if server.port else "") or index for index, server in enumerate(servers)]
    for index in repeats(names):
        yield error(f"spec.servers[{index}].port.name", f'port name "{names[index]}" is given twice')


def _server(server: Server, path: str, *, converted: bool) -> Problems:
    if not server.hosts:
        yield error(f"{path}.hosts", "must have at least one host")
    for index, host in enumerate(server.hosts):
        yield from wrong(f"{path}.hosts[{index}]", *scoped_host(host, gateway=True, nobody=converted))
    yield from _port(server, path)
    if server.bind:
        yield from wrong(f"{path}.bind", bind(server.bind))
    reason = local_endpoint(server.default_endpoint)
    if reason is not None:
        yield warning(f"{path}.defaultEndpoint", f"{reason}; it has no effect")
    yield from server_tls(server.tls, f"{path}.tls")
    if server.port is not None and server.port.protocol:
        yield from _protocol_and_tls(server, server.port, path)


def _port(server: Server, path: str) -> Problems:
    where = f"{path}.port"
    if server.port is None:
        yield error(where, "is required")
        return
    reason = protocol(server.port.protocol) if server.port.protocol else "is required"
    yield from wrong(f"{where}.protocol", reason)
    if not server.port.name:
        yield error(f"{where}.name", "is required")
    if server.port.target_port:
        yield error(f"{where}.targetPort", "has no effect on a Gateway")
    if not server.bind.startswith(UNIX):
        yield from wrong(f"{where}.number", port(server.port.number))
    elif server.port.number:
        yield error(f"{where}.number", "must be 0 for a Unix socket")


def _protocol_and_tls(server: Server, listens: Port, path: str) -> Problems:
    """TLS settings are there exactly when the protocol says TLS, but for a redirection to it."""
    tls, name = server.tls, listens.protocol
    if tls is None:
        if is_tls(name):
            yield error(f"{path}.tls", f"is required for {name.upper()}")
        return
    if is_tls(name):
        if tls.https_redirect:
            yield warning(f"{path}.tls.httpsRedirect", "has an effect on HTTP ports only")
        return
    if not is_http(name):
        yield error(f"{path}.tls", f"cannot be used on a {name.upper()} port; use the protocol TLS or HTTPS")
    elif tls.mode != "PASSTHROUGH" or tls.server_certificate or tls.private_key or tls.ca_certificates:
        yield error(f"{path}.tls", "on a plain HTTP port, TLS settings may only have httpsRedirect")
