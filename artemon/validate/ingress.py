"""Rules of Ingress, as a Kubernetes API server has them (`networking.k8s.io/v1`)."""

from __future__ import annotations

from artemon.model.envelope import is_dns_label, is_subdomain
from artemon.model.ingress import HTTPIngressPath, Ingress, IngressBackend
from artemon.model.resource import Resource
from artemon.validate.amounts import port
from artemon.validate.context import Context
from artemon.validate.findings import Problems, Reason, error, wrong

_BAD_PARTS = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")


def ingress(resource: Resource[Ingress], _: Context) -> Problems:
    """What is wrong with one Ingress."""
    spec = resource.spec
    if not spec.rules and spec.default_backend is None:
        yield error("spec", "rules or defaultBackend is required")
    if spec.default_backend is not None:
        yield from _backend(spec.default_backend, "spec.defaultBackend")
    for index, tls in enumerate(spec.tls):
        for number, host in enumerate(tls.hosts):
            yield from wrong(f"spec.tls[{index}].hosts[{number}]", hostname(host))
    for index, rule in enumerate(spec.rules):
        where = f"spec.rules[{index}]"
        if rule.host:
            yield from wrong(f"{where}.host", hostname(rule.host))
        if rule.http is not None and not rule.http.paths:
            yield error(f"{where}.http.paths", "must have at least one path")
        for number, path in enumerate(rule.http.paths if rule.http else ()):
            yield from _path(path, f"{where}.http.paths[{number}]")


def hostname(host: str) -> Reason:
    """Why `host` is no DNS name in lower case, or `*.` and one."""
    bare = host.removeprefix("*.")
    fits = is_subdomain(bare) and not bare.replace(".", "").isdigit()
    return None if fits else f'"{host}" must be a DNS name in lower case, whose first label may be *'


def element_path(path: str) -> Reason:
    """Why `path` is none that is matched by its elements."""
    if not path.startswith("/"):
        return f'"{path}" must begin with /'
    bad = next((part for part in _BAD_PARTS if part in path), None)
    bad = bad or next((end for end in _BAD_ENDS if path.endswith(end)), None)
    return f'"{path}" must not have {bad}' if bad else None


def _path(path: HTTPIngressPath, where: str) -> Problems:
    if path.path or path.path_type != "ImplementationSpecific":
        checked = path.path if path.path_type != "ImplementationSpecific" else path.path[:1]
        yield from wrong(f"{where}.path", element_path(checked))
    if path.backend is not None:
        yield from _backend(path.backend, f"{where}.backend")


def _backend(backend: IngressBackend, where: str) -> Problems:
    service = backend.service
    if service is None:
        if backend.resource is None:
            yield error(where, "service or resource is required")
        return
    if not is_dns_label(service.name):
        yield error(f"{where}.service.name", f'"{service.name}" must be the name of a Service')
    if service.port is None or (service.port.name is None and service.port.number is None):
        yield error(f"{where}.service.port", "name or number is required")
    elif service.port.number is not None:
        yield from wrong(f"{where}.service.port.number", port(service.port.number))
