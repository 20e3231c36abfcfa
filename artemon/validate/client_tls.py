"""TLS towards instances (`trafficPolicy.tls`)."""

from __future__ import annotations

from artemon.model.destination_rule import ClientTLSSettings
from artemon.validate.findings import Problems, error, warning

_OF_FILES = ("client_certificate", "private_key", "ca_certificates", "ca_crl")
_WIRE = {
    "client_certificate": "clientCertificate",
    "private_key": "privateKey",
    "ca_certificates": "caCertificates",
    "ca_crl": "caCrl",
    "credential_name": "credentialName",
    "subject_alt_names": "subjectAltNames",
}
_CONFIG_MAP = "configmap://"


def client_tls(tls: ClientTLSSettings | None, path: str, *, namespace: str) -> Problems:
    """What is wrong with the settings of one policy."""
    if tls is None:
        return
    yield from _unverified(tls, path)
    yield from _credential(tls, path, namespace=namespace)
    if tls.mode == "MUTUAL" and not tls.credential_name:
        for name in ("client_certificate", "private_key"):
            if not getattr(tls, name):
                yield error(f"{path}.{_WIRE[name]}", "is required for MUTUAL (or write credentialName)")
    if tls.mode == "ISTIO_MUTUAL" and any(getattr(tls, name) for name in (*_OF_FILES, "credential_name")):
        yield warning(path, "ISTIO_MUTUAL takes the workload's own certificate; the others are ignored")


def _unverified(tls: ClientTLSSettings, path: str) -> Problems:
    """`insecureSkipVerify` excludes what only serves verification."""
    if not tls.insecure_skip_verify:
        return
    forbidden = {
        "SIMPLE": ("ca_certificates", "credential_name", "subject_alt_names"),
        "MUTUAL": ("ca_certificates", "subject_alt_names"),
    }.get(tls.mode, ())
    for name in forbidden:
        if getattr(tls, name):
            yield error(f"{path}.{_WIRE[name]}", "must not be set together with insecureSkipVerify")


def _credential(tls: ClientTLSSettings, path: str, *, namespace: str) -> Problems:
    if not tls.credential_name:
        return
    if tls.mode in {"SIMPLE", "MUTUAL"}:
        for name in _OF_FILES:
            if getattr(tls, name):
                yield error(f"{path}.{_WIRE[name]}", "must not be set together with credentialName")
    if tls.credential_name.startswith(_CONFIG_MAP):
        owner, slash, _ = tls.credential_name.removeprefix(_CONFIG_MAP).partition("/")
        if slash and owner != namespace:
            yield error(f"{path}.credentialName", f"must be in the namespace of the rule ({namespace})")
