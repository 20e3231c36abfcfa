"""What citadeld does with what is revoked (T16): no renewal, no call, a list that says so, an audit line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from citadel_rig import CART, Rig, bundle
from cryptography import x509

from artemon.api.v1 import certificates_pb2 as pb
from artemon.daemon.identity_tls import grpc_channel_credentials
from artemon.pki.certificate import load_certificates
from artemon.pki.csr import make_csr
from artemon.pki.keys import generate_key
from artemon.pki.revocation import RevocationList
from artemon.store.open import open_store

SERVICE = "/artemon.v1.Certificates"
STATUS = grpc.StatusCode
CITADELD = "spiffe://cluster.local/ns/artemon-system/sa/citadeld"


async def revoke(rig: Rig, **wish: str) -> Any:
    return await rig.by_socket(
        f"{SERVICE}/Revoke", pb.RevokeCertificateRequest(**wish), pb.RevokeCertificateResponse
    )


async def listed(rig: Rig) -> Any:
    return await rig.by_socket(f"{SERVICE}/List", pb.ListCertificatesRequest(), pb.ListCertificatesResponse)


async def lists(rig: Rig) -> list[RevocationList]:
    store = await open_store(rig.settings.registry)
    try:
        found = await store.list("artemon/default/trust/revoked/lists/")
        return [RevocationList.decode(entry.value) for entry in found.entries]
    finally:
        await store.close()


@pytest.mark.parametrize("by", ["serial", "identity"])
async def test_t16_whoever_is_revoked_renews_no_more(rig: Rig, tmp_path: Path, by: str) -> None:
    keeper = await rig.joined(tmp_path / "cart")
    identity = keeper.current()
    serial = load_certificates(identity.cert_chain_pem)[0].serial_number
    credentials = grpc_channel_credentials(identity)
    assert await rig.by_certificate(credentials, make_csr(generate_key(), CART))
    wish = {"serial": f"{serial:x}"} if by == "serial" else {"identity": str(CART)}
    done = await revoke(rig, reason="lost", **wish)
    assert done.certificates == (1 if by == "serial" else 2)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.by_certificate(credentials, make_csr(generate_key(), CART))
    assert caught.value.code() is STATUS.PERMISSION_DENIED
    with pytest.raises(grpc.aio.AioRpcError):
        await bundle(rig.settings.listen, credentials)
    assert [serial in one.serials for one in await lists(rig)] == [True]
    lines = [json.loads(line) for line in rig.audit]
    assert [line["because"] for line in lines if line["decision"] == "revoked"] == ["lost"]


async def test_t16_a_banned_identity_cannot_join(rig: Rig) -> None:
    await revoke(rig, identity=str(CART))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.by_token(make_csr(generate_key(), CART), await rig.token())
    assert caught.value.code() is STATUS.PERMISSION_DENIED
    await rig.by_socket(f"{SERVICE}/Reinstate", pb.ReinstateRequest(identity=str(CART)), pb.ReinstateResponse)
    assert await rig.by_token(make_csr(generate_key(), CART), await rig.token())


async def test_every_certificate_is_listed(rig: Rig, tmp_path: Path) -> None:
    await rig.joined(tmp_path / "cart")
    await revoke(rig, identity=str(CART), reason="gone")
    found = await listed(rig)
    states = {one.identity: (bool(one.revoked), one.reason) for one in found.certificates}
    assert states == {str(CART): (True, "gone"), CITADELD: (False, "")}
    assert [ban.identity for ban in found.bans] == [str(CART)]


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        pytest.param({}, STATUS.INVALID_ARGUMENT, id="nothing"),
        pytest.param({"serial": "1", "identity": str(CART)}, STATUS.INVALID_ARGUMENT, id="both"),
        pytest.param({"serial": "../bundle"}, STATUS.INVALID_ARGUMENT, id="no-serial"),
        pytest.param({"serial": "beef"}, STATUS.NOT_FOUND, id="unknown"),
        pytest.param({"identity": "spiffe://other/ns/a/sa/b"}, STATUS.INVALID_ARGUMENT, id="foreign"),
        pytest.param({"identity": CITADELD}, STATUS.PERMISSION_DENIED, id="self"),
    ],
)
async def test_what_cannot_be_revoked(rig: Rig, wish: dict[str, str], status: grpc.StatusCode) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await revoke(rig, **wish)
    assert caught.value.code() is status


async def test_workloads_may_not_revoke(rig: Rig, tmp_path: Path) -> None:
    keeper = await rig.joined(tmp_path / "cart")
    options = [("grpc.ssl_target_name_override", "citadeld.artemon-system.svc")]
    credentials = grpc_channel_credentials(keeper.current())
    async with grpc.aio.secure_channel(rig.settings.listen, credentials, options=options) as channel:
        call: Any = channel.unary_unary(
            f"{SERVICE}/Revoke",
            request_serializer=pb.RevokeCertificateRequest.SerializeToString,
            response_deserializer=pb.RevokeCertificateResponse.FromString,
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(pb.RevokeCertificateRequest(identity=str(CART)), timeout=10)
    assert caught.value.code() is STATUS.PERMISSION_DENIED


async def test_the_list_is_there_before_anything_is_revoked(rig: Rig) -> None:
    found = await lists(rig)
    assert [(one.number, one.serials) for one in found] == [(1, frozenset())]
    issuer = load_certificates((rig.settings.data_dir / "ca-cert.pem").read_bytes())[0]
    assert isinstance(found[0].crl, x509.CertificateRevocationList)
    assert found[0].crl.issuer == issuer.subject
