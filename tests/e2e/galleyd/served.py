"""A real galleyd: its own process, HTTPS, SQLite."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from artemon.daemon.secrets_key import make_key_file

ADDRESS = "127.0.0.1"
PATIENCE = 90.0


def own_certificate(folder: Path, *, uri: str = "") -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 (or for a SPIFFE ID) and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    alternative: x509.GeneralName = (
        x509.UniformResourceIdentifier(uri) if uri else x509.IPAddress(ipaddress.ip_address(ADDRESS))
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    stem = "client" if uri else "server"
    cert_file, key_file = folder / f"{stem}.pem", folder / f"{stem}-key.pem"
    cert_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return cert_file, key_file


class Galleyd:
    """One galleyd over the SQLite file in `folder`, or another registry; may be killed and started again."""

    def __init__(self, folder: Path, registry: str = "") -> None:
        self.folder, self._registry = folder, registry or f"sqlite://{folder / 'registry.db'}"
        self.ca, self._key = own_certificate(folder)
        self.client_cert, self.client_key = own_certificate(
            folder, uri="spiffe://cluster.local/ns/artemon-system/sa/admin"
        )
        with socket.create_server((ADDRESS, 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.token_file = folder / "state" / "admin.token"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"https://{ADDRESS}:{self.port}"

    @property
    def token(self) -> str:
        return self.token_file.read_text().strip()

    @property
    def environ(self) -> dict[str, str]:
        """For meshctl."""
        own = {
            "ARTEMON_SERVER": self.url,
            "ARTEMON_CA": str(self.ca),
            "ARTEMON_TOKEN_FILE": str(self.token_file),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
        }
        return {**os.environ, **own}

    def start(self) -> None:
        make_key_file(self.folder / "secrets.key")
        settings = {
            "listen": f"{ADDRESS}:{self.port}",
            "registry": self._registry,
            "state-dir": str(self.folder / "state"),
            "tls-cert": str(self.ca),
            "tls-key": str(self._key),
            "client-ca": str(self.client_cert),
            "secrets-key-file": str(self.folder / "secrets.key"),
        }
        flags = [text for name, value in settings.items() for text in (f"--{name}", value)]
        with (self.folder / "galleyd.log").open("ab") as log:
            argv = [sys.executable, "-m", "galleyd", *flags]
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        tls = ssl.create_default_context(cafile=str(self.ca))
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/version", context=tls, timeout=2):
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "galleyd.log").read_text()[-2000:])

    def reload(self) -> None:
        """As `systemctl reload`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """As `kill -9`."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """As systemd; the exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(PATIENCE)
