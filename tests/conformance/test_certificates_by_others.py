"""What citadeld signs, judged by OpenSSL and by pkilint: chains, revocation lists, every type of key."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pkilint.bin import lint_crl, lint_pkix_cert, lint_pkix_signer_signee_cert_chain

from artemon.pki.certificate import (
    Authority,
    Leaf,
    chain_pem,
    fingerprint,
    make_intermediate,
    make_leaf,
    make_root,
)
from artemon.pki.held import KeySigning, held
from artemon.pki.keys import KeyType, generate_key
from artemon.pki.revocation import Revocation, make_list
from artemon.pki.spiffe import SpiffeId
from artemon.pki.subject import subject_text
from citadeld.keyfiles import new_serial

NOW = datetime.now(UTC).replace(microsecond=0)
CART = SpiffeId("cluster.local", "shop", "cart")
DAEMON = SpiffeId("cluster.local", "artemon-system", "galleyd")
DAY = timedelta(days=1)
SPIFFE_IS_A_URI = "pkix.invalid_uri_syntax"
"""pkilint takes the host of a SPIFFE ID for a name in the DNS; the standard does not."""

CONSTRAINTS = "pkix.certificate_name_constraints_extension_not_critical"
"""Our choice: verifiers that know no constraints on URIs (the one of `cryptography`) take the intermediate
all the same; Envoy and OpenSSL enforce them either way."""


@dataclass
class Chain:
    """Files of a root, an intermediate, two leaves and both lists, in `folder`. inner: the intermediate."""

    folder: Path
    root: Authority
    inner: Authority

    def revoke(self, *serials: int) -> None:
        """Write the lists; that of the intermediate names these."""
        named = [
            Revocation(
                f"{serial:x}", str(CART), "", fingerprint(self.inner.certificate),
                (NOW + DAY).isoformat(), NOW.isoformat(), "admin", "stolen",
            )
            for serial in serials
        ]  # fmt: skip
        pems = []
        for name, authority, of in (("root", self.root, []), ("inner", self.inner, named)):
            made = make_list(authority, of, fingerprint=fingerprint(authority.certificate), number=7, now=NOW)
            (self.folder / f"{name}.crl").write_text(made.pem)
            pems.append(made.pem)
        (self.folder / "lists.pem").write_text("".join(pems))

    def leaf(self, name: str, identity: SpiffeId, *names: str, subject: str = "") -> int:
        wanted = Leaf(identity, generate_key().public_key(), timedelta(hours=1), names, subject)
        made = make_leaf(wanted, self.inner, serial=new_serial(), now=NOW)
        (self.folder / f"{name}.pem").write_bytes(chain_pem([made]))
        return made.serial_number

    def verify(self, name: str, purpose: str) -> str:
        """What OpenSSL says."""
        command = [
            *("openssl", "verify", "-x509_strict", "-crl_check_all", "-purpose", purpose),
            *("-CAfile", "root.pem", "-untrusted", "inner.pem", "-CRLfile", "lists.pem", f"{name}.pem"),
        ]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


@pytest.fixture(params=["p256", "p384", "rsa2048"])
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> Chain:
    kind: KeyType = request.param
    key, inner = (held(KeySigning(generate_key(kind))) for _ in range(2))
    root = Authority(make_root(key, "cluster.local", serial=new_serial(), now=NOW, lifetime=3650 * DAY), key)
    certificate = make_intermediate(
        inner.public_key(), root, "cluster.local", serial=new_serial(), now=NOW, lifetime=30 * DAY
    )
    (tmp_path / "root.pem").write_bytes(chain_pem([root.certificate]))
    (tmp_path / "inner.pem").write_bytes(chain_pem([certificate]))
    made = Chain(tmp_path, root, Authority(certificate, inner, (root.certificate,)))
    made.revoke()
    return made


def findings(lint: object, *arguments: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The codes of everything that pkilint has to say, notices included."""
    capsys.readouterr()
    lint.main(["lint", "-s", "NOTICE", "-f", "JSON", *arguments])  # type: ignore[attr-defined]
    said = json.loads(capsys.readouterr().out or '{"results":[]}')
    return [one["code"] for result in said["results"] for one in result["finding_descriptions"]]


def test_openssl_and_pkilint_find_nothing(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    subject = subject_text("cart-7", {"app": "cart", "version": "v2"}, "default")
    cart = chain.leaf("cart", CART, subject=subject)
    chain.leaf("bare", CART)
    chain.leaf("daemon", DAEMON, "galleyd.artemon-system.svc", "127.0.0.1", "::1")
    for name in ("cart", "bare", "daemon"):
        for purpose in ("sslclient", "sslserver"):
            assert chain.verify(name, purpose) == f"{name}.pem: OK\n"
        file = str(chain.folder / f"{name}.pem")
        found = set(findings(lint_pkix_cert, file, capsys=capsys))
        assert found <= {SPIFFE_IS_A_URI}, found
        pair = str(chain.folder / "inner.pem"), file
        assert not findings(lint_pkix_signer_signee_cert_chain, *pair, capsys=capsys)
    for name in ("root", "inner"):
        found = set(findings(lint_pkix_cert, str(chain.folder / f"{name}.pem"), capsys=capsys))
        assert found <= {SPIFFE_IS_A_URI, CONSTRAINTS}, found
    chain.revoke(cart)
    for name in ("root", "inner"):
        arguments = "-t", "CRL", "-p", "PKIX", str(chain.folder / f"{name}.crl")
        assert not findings(lint_crl, *arguments, capsys=capsys)


def test_openssl_refuses_what_is_revoked(chain: Chain) -> None:
    serial = chain.leaf("cart", CART)
    chain.leaf("other", CART)
    chain.revoke(serial)
    assert "certificate revoked" in chain.verify("cart", "sslclient")
    assert chain.verify("other", "sslclient") == "other.pem: OK\n"


def test_pkilint_would_find_something(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    """The root did not sign the leaf."""
    chain.leaf("cart", CART)
    pair = str(chain.folder / "root.pem"), str(chain.folder / "cart.pem")
    assert findings(lint_pkix_signer_signee_cert_chain, *pair, capsys=capsys)
