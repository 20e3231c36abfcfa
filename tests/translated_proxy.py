"""What `meshctl translate` prints for an Envoy, and the certificates of the Envoys that run it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SPIFFE = "spiffe://cluster.local/ns/default/sa/{}"


class Authority:
    """A root that issues workload certificates."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "test")])
        root = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = self._sign(self.key, self.name, root)

    def _sign(
        self, key: ec.EllipticCurvePrivateKey, subject: x509.Name, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now, hour = datetime.now(UTC), timedelta(hours=1)
        unsigned = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name)
        unsigned = unsigned.public_key(key.public_key()).serial_number(x509.random_serial_number())
        unsigned = unsigned.not_valid_before(now - hour).not_valid_after(now + hour)
        return unsigned.add_extension(extension, critical=True).sign(self.key, hashes.SHA256())

    def issue(self, folder: Path, account: str, subject: str = "") -> Path:
        """The three files of a workload in a folder of their own. subject: what telemetry is told."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.USER_ID, subject)] if subject else [])
        uri = x509.UniformResourceIdentifier(SPIFFE.format(account))
        leaf = self._sign(key, name, x509.SubjectAlternativeName([uri]))
        pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
        folder.mkdir(parents=True)
        (folder / "cert-chain.pem").write_bytes(leaf.public_bytes(pem))
        (folder / "root-cert.pem").write_bytes(self.certificate.public_bytes(pem))
        (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none))
        return folder


def printed(
    folder: Path, name: str, proxy: dict[str, object], certificates: Path, *more: str | Path
) -> bytes:
    """The bootstrap of a proxy in the mesh of `mesh.yaml`. more: options of the command."""
    described = folder / f"{name}.proxy.json"
    described.write_text(json.dumps({"name": name, **proxy}))
    files = ["-f", folder / "mesh.yaml", "--proxy", described, "--certs", certificates, *more]
    command = [sys.executable, "-m", "meshctl", "translate", *files, "--format", "bootstrap"]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
