"""Secrets in files: read as named, refused with the reason, kept when the file goes away."""

from __future__ import annotations

from pathlib import Path

import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from artemon.errors import ArtemonError
from artemon.log import Log
from proxyd.filesecrets import FileSecrets, read


def put(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_certificate_and_key_are_one_secret(tmp_path: Path) -> None:
    certificate, key = put(tmp_path / "c", "CERT", 0o644), put(tmp_path / "k", "KEY")
    secret = secret_pb2.Secret.FromString(read(f"file-cert:{certificate}~{key}").body)
    assert secret.name == f"file-cert:{certificate}~{key}"
    assert secret.tls_certificate.certificate_chain.inline_bytes == b"CERT"
    assert secret.tls_certificate.private_key.inline_bytes == b"KEY"


def test_roots(tmp_path: Path) -> None:
    roots = put(tmp_path / "r", "ROOT", 0o644)
    secret = secret_pb2.Secret.FromString(read(f"file-root:{roots}").body)
    assert secret.validation_context.trusted_ca.inline_bytes == b"ROOT"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("file-root:/none/r", "/none/r does not exist", id="missing"),
        pytest.param("file-root:r", '"r" is not an absolute path', id="relative"),
        pytest.param("file-cert:/c", "names no key", id="no-key"),
        pytest.param("file-cert:{open}~{open}", "group or others may read it", id="key-open-to-others"),
    ],
)
def test_what_cannot_be_used(name: str, reason: str, tmp_path: Path) -> None:
    name = name.replace("{open}", str(put(tmp_path / "open", "KEY", 0o644)))
    with pytest.raises(ArtemonError, match=reason):
        read(name)


def test_a_file_that_goes_away_leaves_what_it_held(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    roots = put(tmp_path / "r", "ROOT")
    files = FileSecrets(Log("test"))
    files.ask([f"file-root:{roots}"])
    assert files.refresh()
    held = files.resources
    assert not files.refresh()
    roots.unlink()
    assert not files.refresh()
    assert not files.refresh()
    assert files.resources == held
    assert len(caplog.records) == 1
