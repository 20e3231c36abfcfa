"""Who signs: authorities in files, keys that are not given away, keys at rest."""

from __future__ import annotations

import copy
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from citadel_rig import CART, running, settings_in
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from key_usages import key_usage

from artemon.daemon.files import InsecureFile, read_credential
from artemon.errors import ArtemonError
from artemon.pki.certificate import Authority, chain_pem, load_certificates, make_root
from artemon.pki.csr import make_csr
from artemon.pki.held import KeySigning, held
from artemon.pki.keys import KeyType, PrivateKey, generate_key, private_pem
from artemon.pki.revocation import make_list
from citadeld.app import key_room
from citadeld.keyfiles import new_serial

YEAR = timedelta(days=365)
KINDS: tuple[KeyType, ...] = ("p256", "p384", "rsa2048")
SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def openssl(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_held_key_signs_and_is_not_given_away(kind: KeyType) -> None:
    key: Any = held(KeySigning(generate_key(kind)))
    root = make_root(key, "cluster.local", serial=new_serial(), now=now(), lifetime=YEAR)
    root.verify_directly_issued_by(root)
    assert make_list(Authority(root, key), [], fingerprint="x", number=1, now=now()).crl.is_signature_valid(
        key.public_key()
    )
    export = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    for take in (lambda: key.private_bytes(*export), key.private_numbers):
        with pytest.raises(UnsupportedAlgorithm):
            take()
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()
    other = pss if isinstance(key, rsa.RSAPrivateKey) else (ec.ECDSA(hashes.SHA512()),)
    with pytest.raises(UnsupportedAlgorithm):
        key.sign(b"x", *other)
    assert copy.deepcopy(key) is key
    assert "PRIVATE" not in repr(vars(key)) + repr(KeySigning(generate_key()))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "kek"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


def keys_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*-key.pem")}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
async def test_keys_lie_encrypted(tmp_path: Path, secret: Path, kind: str) -> None:
    settings = settings_in(tmp_path, key_encryption=str(secret), key_type=kind, root_key_type=kind)
    async with running(settings) as rig:
        chain = await rig.by_token(make_csr(generate_key(), CART), await rig.token())
    found = keys_in(tmp_path / "ca")
    assert found.keys() == {"root-key.pem", "ca-key.pem"}
    for name, content in found.items():
        assert b"BEGIN ENCRYPTED PRIVATE KEY" in content
        assert (tmp_path / "ca" / name).stat().st_mode & 0o777 == 0o600
        opened = openssl("pkey", "-in", name, "-passin", f"file:{secret}", "-pubout", folder=tmp_path / "ca")
        assert "BEGIN PUBLIC KEY" in opened.stdout, opened.stderr
        shut = openssl("pkey", "-in", name, "-passin", "pass:other", "-pubout", folder=tmp_path / "ca")
        assert shut.returncode != 0
    leaf, inner = (load_certificates(pem.encode())[0] for pem in chain[:2])
    leaf.verify_directly_issued_by(inner)
    wanted: Any = rsa.RSAPublicKey if kind == "rsa2048" else ec.EllipticCurvePublicKey
    assert isinstance(inner.public_key(), wanted)


def room_with(folder: Path, **more: Any) -> Any:
    return key_room(settings_in(folder, **more))


def test_keys_are_encrypted_later_and_anew(tmp_path: Path, secret: Path) -> None:
    room_with(tmp_path).make_root()
    first = room_with(tmp_path).load().certificate
    assert not any(b"ENCRYPTED" in content for content in keys_in(tmp_path / "ca").values())
    assert room_with(tmp_path, key_encryption=str(secret)).load().certificate == first
    assert room_with(tmp_path, key_encryption=str(secret)).authority.authority()
    before = keys_in(tmp_path / "ca")
    assert all(b"ENCRYPTED" in content for content in before.values())
    secret.write_text(SECRET[::-1] + "\n" + SECRET + "\n")
    room = room_with(tmp_path, key_encryption=str(secret))
    assert room.load().certificate == first
    room.authority.authority()
    secret.write_text(SECRET[::-1] + "\n")
    assert room_with(tmp_path, key_encryption=str(secret)).load().certificate == first
    assert all(content != before[name] for name, content in keys_in(tmp_path / "ca").items())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(None, "is encrypted: set", id="none"),
        pytest.param(SECRET[::-1], "not known here", id="another"),
        pytest.param("short", "less than 32 characters", id="short"),
        pytest.param("", "nothing to encrypt keys with", id="empty"),
    ],
)
def test_without_what_opens_them_citadeld_does_not_start(
    tmp_path: Path, secret: Path, content: str | None, why: str
) -> None:
    room_with(tmp_path, key_encryption=str(secret)).make_root()
    if content is not None:
        secret.write_text(content)
    with pytest.raises(ArtemonError, match=why):
        room_with(tmp_path, key_encryption="" if content is None else str(secret)).load()


def test_systemds_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "keys").write_text(SECRET)
    (folder / "keys").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    room = room_with(tmp_path, key_encryption="credential:keys")
    room.make_root()
    room.load()
    assert all(b"ENCRYPTED" in content for content in keys_in(tmp_path / "ca").values())
    environ = {"CREDENTIALS_DIRECTORY": str(folder)}
    for name in ("..", "", "a/b", "none"):
        with pytest.raises(ArtemonError, match="credential"):
            read_credential(name, environ)
    with pytest.raises(ArtemonError, match="LoadCredentialEncrypted"):
        read_credential("keys", {})
    (folder / "keys").chmod(0o444)
    with pytest.raises(InsecureFile):
        read_credential("keys", environ)


class Company:
    """An authority that there is already: a root, which signed one of `kind` with so many below it."""

    def __init__(self, folder: Path, kind: KeyType = "p256", *, below: int = 1) -> None:
        folder.mkdir(mode=0o700)
        self.folder, root_key = folder, generate_key("p384")
        # made with our own functions, but without names of ours: that is how authorities of others look
        self.root, _ = self._authority("Company Root", root_key, None, below=None)
        self.key = generate_key(kind)
        self.issuing, _ = self._authority("Company Issuing", self.key, (self.root, root_key), below=below)
        (folder / "root-cert.pem").write_bytes(chain_pem([self.root]))
        (folder / "ca-cert.pem").write_bytes(chain_pem([self.issuing]))
        (folder / "ca-key.pem").write_bytes(private_pem(self.key))
        (folder / "ca-key.pem").chmod(0o600)

    @staticmethod
    def _authority(
        name: str, key: PrivateKey, issuer: tuple[Any, PrivateKey] | None, *, below: int | None
    ) -> tuple[Any, PrivateKey]:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = issuer[1] if issuer else key
        builder = (
            x509.CertificateBuilder(
                issuer[0].subject if issuer else subject,
                subject,
                key.public_key(),
                new_serial(),
                now() - timedelta(hours=1),
                now() + YEAR,
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
            .add_extension(key_usage("key_cert_sign", "crl_sign"), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
        )
        return builder.sign(signer, hashes.SHA384() if signer.key_size == 384 else hashes.SHA256()), key


@pytest.mark.parametrize(
    ("kind", "below", "length"), [("p256", 1, 4), ("p384", 1, 4), ("rsa2048", 1, 4), ("p256", 0, 3)]
)
@pytest.mark.slow
async def test_citadeld_issues_under_a_company(
    tmp_path: Path, kind: KeyType, below: int, length: int
) -> None:
    company = Company(tmp_path / "company", kind, below=below)
    async with running(settings_in(tmp_path, authority=f"files:{company.folder}")) as rig:
        chain = await rig.by_token(
            make_csr(generate_key(), CART), await rig.token(), root=company.folder / "root-cert.pem"
        )
    assert len(chain) == length
    assert load_certificates(chain[-1].encode())[0] == company.root
    (tmp_path / "leaf.pem").write_text(chain[0])
    (tmp_path / "between.pem").write_text("".join(chain[1:-1]))
    checked = openssl(
        "verify", "-x509_strict", "-CAfile", "company/root-cert.pem", "-untrusted", "between.pem", "leaf.pem",
        folder=tmp_path,
    )  # fmt: skip
    assert "leaf.pem: OK" in checked.stdout, checked.stderr
    assert not (tmp_path / "ca" / "root-key.pem").exists()
    assert (tmp_path / "ca" / "ca-key.pem").exists() == (below == 1)


def test_the_companys_key_may_be_away(tmp_path: Path) -> None:
    company = Company(tmp_path / "company")
    first = room_with(tmp_path, authority=f"files:{company.folder}").load()
    (company.folder / "ca-key.pem").unlink()
    room = room_with(tmp_path, authority=f"files:{company.folder}")
    assert room.load().certificate == first.certificate
    with pytest.raises(ArtemonError, match="another authority's"):
        room.make_root()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        pytest.param(
            lambda one: (one.folder / "root-cert.pem").unlink(), "root-cert.pem is missing", id="root"
        ),
        pytest.param(
            lambda one: (one.folder / "ca-key.pem").write_bytes(private_pem(generate_key())),
            "is not the key of its certificate",
            id="key",
        ),
        pytest.param(
            lambda one: (one.folder / "ca-cert.pem").write_bytes(
                chain_pem([make_root(generate_key(), "x", serial=new_serial(), now=now(), lifetime=YEAR)])
            ),
            "is not signed by the next",
            id="chain",
        ),
        pytest.param(
            lambda one: (one.folder / "ca-key.pem").write_bytes(private_pem(one.key, SECRET.encode())),
            "is encrypted",
            id="encrypted",
        ),
        pytest.param(lambda one: (one.folder / "ca-key.pem").chmod(0o644), "chmod 600", id="open"),
    ],
)
def test_files_of_a_company_that_do_not_fit_are_said(tmp_path: Path, spoil: Any, why: str) -> None:
    company = Company(tmp_path / "company")
    spoil(company)
    with pytest.raises(ArtemonError, match=why):
        room_with(tmp_path, authority=f"files:{company.folder}")


def test_the_companys_key_is_encrypted(tmp_path: Path, secret: Path) -> None:
    company = Company(tmp_path / "company")
    (company.folder / "ca-key.pem").write_bytes(private_pem(company.key, SECRET.encode()))
    room_with(tmp_path, authority=f"files:{company.folder}?password={secret}").load()
    assert b"ENCRYPTED" in (company.folder / "ca-key.pem").read_bytes(), "it is not ours to rewrite"


@pytest.mark.parametrize("url", ["vault:x", "files:/x?colour=red"])
def test_unknown_authorities_are_said(tmp_path: Path, url: str) -> None:
    with pytest.raises(ArtemonError, match=r"use one of files:, own:|is not a setting"):
        room_with(tmp_path, authority=url)
