"""Gateway: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from artemon.model.message import Message, Seq, Uint32


class Port(Message):
    """Where the gateway listens and what it expects there."""

    required: ClassVar[tuple[str, ...]] = ("number", "protocol", "name")

    number: Uint32 = 0
    protocol: str = ""
    name: str = ""
    target_port: Uint32 = 0


class ServerTLSSettingsTLSCertificate(Message):
    """One certificate and key, as files on the gateway."""

    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""


class ServerTLSSettings(Message):
    """How the server terminates TLS, or passes it through."""

    https_redirect: bool = False
    mode: Literal[
        "PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"
    ] = "PASSTHROUGH"
    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    credential_names: Seq[str] = ()
    ca_cert_credential_name: str = ""
    tls_certificates: Seq[ServerTLSSettingsTLSCertificate] = ()
    subject_alt_names: Seq[str] = ()
    verify_certificate_spki: Seq[str] = ()
    verify_certificate_hash: Seq[str] = ()
    min_protocol_version: Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"] = "TLS_AUTO"
    max_protocol_version: Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"] = "TLS_AUTO"
    cipher_suites: Seq[str] = ()
    insecure_skip_verify: bool | None = None


class Server(Message):
    """One port of the gateway and the hosts it serves; a host may be `namespace/host`."""

    required: ClassVar[tuple[str, ...]] = ("port", "hosts")

    port: Port | None = None
    bind: str = ""
    hosts: Seq[str] = ()
    tls: ServerTLSSettings | None = None
    default_endpoint: str = ""
    name: str = ""


class Gateway(Message):
    """Ports opened at the edge, on the proxies whose labels match `selector`."""

    servers: Seq[Server] = ()
    selector: dict[str, str] = Field(default_factory=dict)
