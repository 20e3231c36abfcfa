"""A throw-away certificate authority for servers on 127.0.0.1."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, slots=True)
class Files:
    """Paths of a certificate and its key."""

    cert: str
    key: str


class Authority:
    """Keeps everything in `folder`; its own certificate is `file`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder, self._key, self._name = folder, ec.generate_private_key(ec.SECP256R1()), _name("ca")
        self.file = folder / "ca.pem"
        basic = x509.BasicConstraints(ca=True, path_length=None)
        made = self._certificate(self._name, self._key.public_key()).add_extension(basic, critical=True)
        self.file.write_bytes(self._signed(made))

    def issue(self, name: str, *dns: str) -> Files:
        """A certificate for both ends of a connection to 127.0.0.1, and to these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        names = x509.SubjectAlternativeName([address, *map(x509.DNSName, dns)])
        made = self._certificate(_name(name), key.public_key()).add_extension(names, critical=False)
        files = Files(str(self._folder / f"{name}.pem"), str(self._folder / f"{name}.key"))
        Path(files.cert).write_bytes(self._signed(made))
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        Path(files.key).write_bytes(key.private_bytes(*form))
        return files

    def _certificate(self, name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))

    def _signed(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
