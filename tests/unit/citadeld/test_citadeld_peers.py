"""Client certificates that lead to our root and still open nothing."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from citadel_rig import CART, Rig, bundle
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from artemon.pki.certificate import chain_pem, load_certificates
from artemon.pki.csr import make_csr
from artemon.pki.keys import generate_key, load_private_key, private_pem

OURS = str(CART)
STATUS = grpc.StatusCode


def credentials(
    rig: Rig, *uris: str, age: timedelta = timedelta(0), dns: str = ""
) -> grpc.ChannelCredentials:
    """A certificate of an hour, signed with this citadeld's own key behind its back."""
    issuer = load_certificates((rig.settings.data_dir / "ca-cert.pem").read_bytes())[0]
    signer = load_private_key((rig.settings.data_dir / "ca-key.pem").read_bytes())
    key, now = generate_key(), datetime.now(UTC) - age
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names += [x509.DNSName(dns)] if dns else []
    builder = x509.CertificateBuilder(
        issuer.subject,
        x509.Name([]),
        key.public_key(),
        int.from_bytes(os.urandom(8)) + 1,
        now - timedelta(minutes=5),
        now + timedelta(hours=1),
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    made = builder.add_extension(usages, critical=False).sign(signer, hashes.SHA256())
    return grpc.ssl_channel_credentials(rig.root.read_bytes(), private_pem(key), chain_pem([made, issuer]))


async def test_good_certificate_renews(rig: Rig) -> None:
    assert await rig.by_certificate(credentials(rig, OURS), make_csr(generate_key(), CART))


@pytest.mark.parametrize(
    ("uris", "dns", "status"),
    [
        pytest.param((OURS, OURS.replace("cart", "till")), "", STATUS.UNAUTHENTICATED, id="two-uris"),
        pytest.param((), "cart.shop.svc", STATUS.UNAUTHENTICATED, id="no-uri"),
        pytest.param((), "cluster.local", STATUS.UNAUTHENTICATED, id="dns-lookalike"),
        pytest.param(("spiffe://cluster.local/cart",), "", STATUS.UNAUTHENTICATED, id="no-workload"),
        pytest.param((OURS + "/x",), "", STATUS.UNAUTHENTICATED, id="longer-path"),
        pytest.param((OURS.replace("shop", ".."),), "", STATUS.UNAUTHENTICATED, id="dot-segments"),
        pytest.param(("https://cluster.local/ns/shop/sa/cart",), "", STATUS.UNAUTHENTICATED, id="https"),
        pytest.param((OURS.replace("cluster", "other"),), "", STATUS.UNAVAILABLE, id="other-trust-domain"),
    ],
)
async def test_odd_certificate_opens_nothing(
    rig: Rig, uris: tuple[str, ...], dns: str, status: grpc.StatusCode
) -> None:
    odd = credentials(rig, *uris, dns=dns)
    for asked in (rig.by_certificate(odd, make_csr(generate_key(), CART)), bundle(rig.settings.listen, odd)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asked
        assert caught.value.code() is status
    assert rig.count("success_cert_issuance") == 1


async def test_expired_certificate_does_not_renew(rig: Rig) -> None:
    expired = credentials(rig, OURS, age=timedelta(hours=1, seconds=1))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.by_certificate(expired, make_csr(generate_key(), CART))
    assert caught.value.code() is STATUS.UNAVAILABLE
    assert rig.count("csr") == 0
