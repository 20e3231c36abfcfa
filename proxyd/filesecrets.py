"""Secrets in files of this machine, under the names that the control plane gives them (Istio's).

`file-cert:<certificate>~<key>` and `file-root:<certificates>`; paths are absolute. `file-root:system` is whom
this machine trusts. A file that cannot be used gives no secret: connections wait for it, and the log says
why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2

from artemon.daemon.files import read_public, read_secret
from artemon.errors import ArtemonError
from artemon.log import Log
from artemon.xds.resource import Resource
from artemon.xds.types import SECRET

CERTIFICATE, ROOTS = "file-cert:", "file-root:"
SYSTEM = "system"
SYSTEM_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where distributions keep the authorities that a machine trusts."""


def is_file_secret(name: str) -> bool:
    """Whether the name stands for files."""
    return name.startswith((CERTIFICATE, ROOTS))


def system_roots(places: Iterable[str] = SYSTEM_ROOTS) -> str:
    """The first of these files that exists. Raises ArtemonError when there is none."""
    found = next((place for place in places if Path(place).is_file()), None)
    if found is None:
        raise ArtemonError("this machine has no file of trusted authorities; install ca-certificates")
    return found


def read(name: str) -> Resource:
    """The secret of this name. Raises ArtemonError with the file and what is wrong with it."""
    message = secret_pb2.Secret(name=name)
    if name.startswith(ROOTS):
        path = name.removeprefix(ROOTS)
        roots = _present(read_public, system_roots() if path == SYSTEM else path)
        context = common_pb2.CertificateValidationContext(trusted_ca=_inline(roots))
        message.validation_context.CopyFrom(context)
    else:
        certificate, mark, key = name.removeprefix(CERTIFICATE).partition("~")
        if not mark:
            raise ArtemonError("names no key")
        pair = common_pb2.TlsCertificate(
            certificate_chain=_inline(_present(read_public, certificate)),
            private_key=_inline(_present(read_secret, key)),
        )
        message.tls_certificate.CopyFrom(pair)
    return Resource.of(name, SECRET, message)


class FileSecrets:
    """The files that Envoy has asked for, as they are now."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._found: dict[str, Resource | None] = {}
        self._complaints: dict[str, str] = {}

    @property
    def resources(self) -> Mapping[str, Resource]:
        """Those that can be used."""
        return {name: item for name, item in self._found.items() if item is not None}

    def ask(self, names: Iterable[str]) -> None:
        """Envoy wants these from now on."""
        for name in names:
            self._found.setdefault(name, None)

    def refresh(self) -> bool:
        """Read all again; whether anything is different. A file that went away leaves what it held."""
        before = dict(self._found)
        for name in before:
            try:
                self._found[name] = read(name)
                self._complaints.pop(name, None)
            except ArtemonError as error:
                if self._complaints.get(name) != str(error):
                    self._log.error("secret cannot be read", name=name, reason=str(error))
                self._complaints[name] = str(error)
        return before != self._found


def _present(reader: Callable[[Path], bytes | None], path: str) -> bytes:
    if not path.startswith("/"):
        raise ArtemonError(f'"{path}" is not an absolute path')
    content = reader(Path(path))
    if content is None:
        raise ArtemonError(f"{path} does not exist")
    return content


def _inline(content: bytes) -> base_pb2.DataSource:
    return base_pb2.DataSource(inline_bytes=content)
