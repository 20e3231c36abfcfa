"""Rules of Sidecar (Istio `ValidateSidecar`)."""

from __future__ import annotations

from artemon.model.gateway import ServerTLSSettings
from artemon.model.resource import Resource
from artemon.model.sidecar import (
    IstioEgressListener,
    IstioIngressListener,
    OutboundTrafficPolicy,
    Sidecar,
    SidecarPort,
)
from artemon.validate.addresses import UNIX, ip, unix_path
from artemon.validate.amounts import is_http, is_tls, port, port_name, protocol
from artemon.validate.context import Context
from artemon.validate.findings import Problems, error, repeats, warning, wrong
from artemon.validate.hosts import fqdn, scoped_host
from artemon.validate.http_route import destination
from artemon.validate.local_endpoint import local_endpoint
from artemon.validate.pools import connection_pool
from artemon.validate.scope import labels_selector
from artemon.validate.server_tls import server_tls


def sidecar(resource: Resource[Sidecar], context: Context) -> Problems:
    """What is wrong with one Sidecar."""
    spec = resource.spec
    yield from labels_selector(spec.workload_selector)
    written = (spec.outbound_traffic_policy, spec.inbound_connection_pool)
    if not spec.ingress and not spec.egress and all(value is None for value in written):
        yield error("spec", "must have at least one of ingress, egress, outboundTrafficPolicy")
    for index, ingress in enumerate(spec.ingress):
        yield from _ingress(ingress, f"spec.ingress[{index}]")
    numbers = [
        (listener.port and listener.port.number) or -index for index, listener in enumerate(spec.ingress)
    ]
    for index in repeats(numbers):
        yield error(f"spec.ingress[{index}].port.number", f"{numbers[index]} is given twice")
    yield from connection_pool(spec.inbound_connection_pool, "spec.inboundConnectionPool")
    yield from _egress(spec, namespace=resource.meta.namespace)
    yield from _outbound(spec.outbound_traffic_policy, "spec.outboundTrafficPolicy")


def _listens(listens: SidecarPort, path: str) -> Problems:
    if listens.name:
        yield from wrong(f"{path}.name", port_name(listens.name))
    yield from wrong(f"{path}.protocol", protocol(listens.protocol))
    if listens.target_port:
        yield error(f"{path}.targetPort", "has no effect on a Sidecar")


def _ingress(listener: IstioIngressListener, path: str) -> Problems:
    listens = listener.port
    if listens is None:
        yield error(f"{path}.port", "is required")
    else:
        yield from _listens(listens, f"{path}.port")
        yield from wrong(f"{path}.port.number", port(listens.number))
    if listener.bind:
        yield from wrong(f"{path}.bind", ip(listener.bind))
    yield from wrong(f"{path}.defaultEndpoint", local_endpoint(listener.default_endpoint))
    yield from _ingress_tls(listener.tls, f"{path}.tls", protocol="" if listens is None else listens.protocol)
    yield from connection_pool(listener.connection_pool, f"{path}.connectionPool")
    pool = listener.connection_pool
    if pool is not None and pool.http is not None and listens is not None and not is_http(listens.protocol):
        yield warning(
            f"{path}.connectionPool.http", f"has no effect on a port that is {listens.protocol or 'TCP'}"
        )


def _ingress_tls(tls: ServerTLSSettings | None, path: str, *, protocol: str) -> Problems:
    if tls is None:
        return
    if not is_tls(protocol):
        yield error(path, "needs the port to be TLS or HTTPS")
    if tls.mode in {"ISTIO_MUTUAL", "AUTO_PASSTHROUGH"}:
        yield error(f"{path}.mode", f"{tls.mode} cannot be used here")
    for name, value in (
        ("subjectAltNames", tls.subject_alt_names),
        ("httpsRedirect", tls.https_redirect),
        ("credentialName", tls.credential_name),
        ("credentialNames", tls.credential_names),
        ("tlsCertificates", tls.tls_certificates),
    ):
        if value:
            yield error(f"{path}.{name}", "is not supported for a sidecar")
    yield from server_tls(tls, path)


def _egress(spec: Sidecar, *, namespace: str) -> Problems:
    last = len(spec.egress) - 1
    for index, listener in enumerate(spec.egress):
        path = f"spec.egress[{index}]"
        if listener.port is None and index != last:
            yield error(
                path, "a listener without port takes everything; there may be one, and it must be last"
            )
        if listener.port is not None:
            yield from _egress_port(listener, listener.port, path)
        yield from _egress_hosts(listener.hosts, f"{path}.hosts", namespace=namespace)
    places = [_place(listener, index) for index, listener in enumerate(spec.egress)]
    for index in repeats(places):
        yield error(f"spec.egress[{index}].port", f"{places[index]} is given twice")


def _place(listener: IstioEgressListener, index: int) -> str:
    """Where a listener is; ports of IP listeners must be unique whatever they bind to."""
    if listener.port is None:
        return f"listener {index}"
    return str(listener.port.number) if listener.port.number else listener.bind


def _egress_port(listener: IstioEgressListener, listens: SidecarPort, path: str) -> Problems:
    yield from _listens(listens, f"{path}.port")
    if listens.number:
        yield from wrong(f"{path}.port.number", port(listens.number))
        if listener.bind:
            yield from wrong(f"{path}.bind", ip(listener.bind))
        return
    if not listener.bind.startswith(UNIX):
        yield error(f"{path}.port.number", "may be 0 only with a Unix socket in bind (unix:///<path>)")
    else:
        yield from wrong(f"{path}.bind", unix_path(listener.bind.removeprefix(UNIX)))
    if listener.capture_mode == "IPTABLES":
        yield error(f"{path}.captureMode", "must be DEFAULT or NONE for a Unix socket")


def _egress_hosts(hosts: tuple[str, ...], path: str, *, namespace: str) -> Problems:
    if not hosts:
        yield error(path, "must have at least one host (namespace/host)")
    seen: dict[str, set[str]] = {}
    for index, host in enumerate(hosts):
        where = f"{path}[{index}]"
        yield from wrong(where, *scoped_host(host, gateway=False, nobody=True))
        owner, slash, name = host.partition("/")
        if not slash:
            continue
        names = seen.setdefault(namespace if owner == "." else owner, set())
        if name in names or "*" in names or (name == "*" and names):
            yield warning(where, f'"{host}" repeats an earlier host')
        names.add(name)
    if "*" in seen.get("*", ()) and len(seen) > 1 and set(seen) != {"*", "~"}:
        yield warning(path, '"*/*" takes everything; the other hosts have no effect')


def _outbound(policy: OutboundTrafficPolicy | None, path: str) -> Problems:
    proxy = policy.egress_proxy if policy else None
    if policy is None or proxy is None:
        return
    where = f"{path}.egressProxy"
    if policy.mode != "ALLOW_ANY":
        yield error(where, "needs mode ALLOW_ANY")
    yield from wrong(f"{where}.host", fqdn(proxy.host))
    if proxy.port is None:
        yield error(f"{where}.port", "is required")
    for problem in destination(proxy, where):
        if problem.path != f"{where}.host":
            yield problem
