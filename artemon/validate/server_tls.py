"""How a server terminates TLS (`tls` of gateway servers and sidecar ingress listeners)."""

from __future__ import annotations

from artemon.model.gateway import ServerTLSSettings
from artemon.model.message import wire_name
from artemon.validate.findings import Problems, error, repeats, warning

CIPHERS = frozenset(
    {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
        "DES-CBC3-SHA",
    }
)
"""What BoringSSL takes, by OpenSSL's names."""

_CERTIFICATES = (
    "server_certificate",
    "private_key",
    "ca_certificates",
    "tls_certificates",
    "credential_name",
    "credential_names",
    "ca_cert_credential_name",
)
_VERIFYING = {"MUTUAL", "OPTIONAL_MUTUAL"}


def server_tls(tls: ServerTLSSettings | None, path: str) -> Problems:
    """What is wrong with the settings of one server."""
    if tls is None:
        return
    yield from _ciphers(tls, path)
    written = [name for name in _CERTIFICATES if getattr(tls, name)]
    if tls.mode == "ISTIO_MUTUAL":
        for name in written:
            yield error(
                f"{path}.{wire_name(name)}",
                "ISTIO_MUTUAL cannot have it: the workload's own certificate serves",
            )
    elif tls.mode in {"PASSTHROUGH", "AUTO_PASSTHROUGH"}:
        if written or tls.ca_crl:
            yield warning(path, f"{tls.mode} does not use certificates; they are ignored")
    else:
        yield from _one_source(tls, path)
        yield from _verification(tls, path)
        if len(tls.tls_certificates) > 2:
            yield warning(f"{path}.tlsCertificates", "only two are used, one RSA and one ECDSA")


def _one_source(tls: ServerTLSSettings, path: str) -> Problems:
    """The server's certificate comes from exactly one place and is whole."""
    sources = {
        "credentialName": bool(tls.credential_name),
        "credentialNames": bool(tls.credential_names),
        "serverCertificate": bool(tls.server_certificate),
        "tlsCertificates": bool(tls.tls_certificates),
    }
    named = [name for name, written in sources.items() if written]
    if len(named) > 1:
        yield error(path, f"only one of {', '.join(named)} may be set")
    if tls.credential_name or tls.credential_names:
        return
    for index, certificate in enumerate(tls.tls_certificates):
        for name in ("server_certificate", "private_key"):
            if not getattr(certificate, name):
                yield error(
                    f"{path}.tlsCertificates[{index}].{wire_name(name)}", f"is required for {tls.mode}"
                )
    if not tls.tls_certificates:
        for name in ("server_certificate", "private_key"):
            if not getattr(tls, name):
                yield error(
                    f"{path}.{wire_name(name)}", f"is required for {tls.mode} (or write credentialName)"
                )


def _verification(tls: ServerTLSSettings, path: str) -> Problems:
    """The client's certificate is verified only with a CA."""
    secret = tls.credential_name or tls.credential_names or tls.ca_cert_credential_name
    if tls.mode in _VERIFYING and not secret and not tls.ca_certificates:
        yield error(f"{path}.caCertificates", f"is required for {tls.mode} (the CA of the clients)")
    if tls.ca_crl and tls.mode == "SIMPLE":
        yield error(f"{path}.caCrl", "does nothing with SIMPLE, which asks for no client certificate")
    if tls.ca_crl and (tls.credential_name or tls.credential_names):
        yield error(f"{path}.caCrl", "must be in the credential when there is one")


def _ciphers(tls: ServerTLSSettings, path: str) -> Problems:
    if tls.min_protocol_version in {"TLSV1_0", "TLSV1_1"} and not tls.cipher_suites:
        yield warning(f"{path}.cipherSuites", f"{tls.min_protocol_version} needs older ciphers to be listed")
    for index, cipher in enumerate(tls.cipher_suites):
        if cipher and cipher != "ALL" and cipher[0].isalnum() and cipher not in CIPHERS:
            yield warning(f"{path}.cipherSuites[{index}]", f'"{cipher}" is not known and is ignored')
    for index in repeats(tls.cipher_suites):
        yield warning(f"{path}.cipherSuites[{index}]", f'"{tls.cipher_suites[index]}" is given twice')
