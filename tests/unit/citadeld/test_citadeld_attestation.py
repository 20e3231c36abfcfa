"""Whole ways: evidence at citadeld's doors, IdentityGrants in its registry, certificates for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from attest_rig import Granting, Issuer, body_of, facts, granting, made, until
from citadel_rig import CART, CREATE, LOG, call
from test_citadeld_issue import leaf_of, request_for

from artemon.api.v1 import ca_pb2
from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.identity_options import Evidence
from artemon.daemon.identity_tls import grpc_channel_credentials
from artemon.pki.keys import private_pem
from artemon.pki.signing import SigningKey, sign
from artemon.pki.spiffe import SpiffeId
from artemon.pki.verify import check_leaf

STATUS = grpc.StatusCode
TILL = SpiffeId("cluster.local", "shop", "till")
ROOT = made("machines", ca=True)


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path / "jwks")


@pytest.fixture
async def mesh(tmp_path: Path, issuer: Issuer) -> AsyncIterator[Granting]:
    (tmp_path / "machines.pem").write_bytes(ROOT.pem)
    async with granting(tmp_path, issuer.url, f"x509:{tmp_path / 'machines.pem'}?name=fleet") as found:
        yield found


async def test_a_token_of_an_issuer_gets_what_is_granted_and_nothing_else(
    mesh: Granting, issuer: Issuer
) -> None:
    async def ask(identity: SpiffeId = CART, **claims: str) -> list[str]:
        return await mesh.rig.by_token(request_for(identity), issuer.token(**claims))

    why = await until(ask, STATUS.PERMISSION_DENIED)
    assert "no IdentityGrant in namespace shop gives cart" in str(why)
    assert json.loads(mesh.rig.audit[-1])["reason"] == why
    given = facts(**{"claims[sub]": "ci"})
    await mesh.grant(attestor="jwt", facts=given, serviceAccounts=["cart"])
    chain = await until(ask)
    assert check_leaf(leaf_of(chain)) == CART  # type: ignore[arg-type]
    line = json.loads(mesh.rig.audit[-1])
    assert (line["attestor"], line["grant"], line["token"]) == ("jwt", "shop/carts", "ci")
    for identity, claims in (
        (TILL, {}),
        (CART, {"sub": "other"}),
        (SpiffeId("cluster.local", "bank", "cart"), {}),
        (SpiffeId("cluster.local", "artemon-system", "citadeld"), {}),
        (SpiffeId("other.example", "shop", "cart"), {}),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(identity, **claims)
        assert caught.value.code() is STATUS.PERMISSION_DENIED, identity
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(iss="https://evil.example")
    assert caught.value.code() is STATUS.UNAUTHENTICATED


async def test_a_machine_with_its_own_certificate_joins_and_renews_while_it_is_granted(
    mesh: Granting, tmp_path: Path
) -> None:
    key = await mesh.grant(
        attestor="fleet", facts=facts(subject__CN="cart-*", subject__O="Shop"), serviceAccounts=["cart"]
    )
    machine = made("cart-7", ROOT)
    await until(lambda: mesh.by_machine(machine, request_for()))
    for name, content in (("m.pem", machine.pem), ("m.key", private_pem(machine.key))):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    evidence = Evidence(
        machine_cert=str(tmp_path / "m.pem"),
        machine_key=str(tmp_path / "m.key"),
        citadeld_machine=(mesh.rig.settings.machine_address,),
    )
    keeper = IdentityKeeper(mesh.rig.options(tmp_path, CART, evidence=evidence), LOG)
    await keeper.start()
    first = keeper.current()
    credentials = grpc_channel_credentials(first)
    await mesh.rig.by_certificate(credentials, request_for())
    await mesh.store.delete(key)
    why = await until(lambda: mesh.rig.by_certificate(credentials, request_for()), STATUS.PERMISSION_DENIED)
    assert "no IdentityGrant" in str(why)
    await mesh.grant(attestor="fleet", facts=facts(subject__O="Shop"), serviceAccounts=["cart"])
    await until(lambda: mesh.by_machine(machine, request_for()))
    # what was remembered with the certificate fits this grant as well; another fact makes it attest anew
    await mesh.grant(
        attestor="fleet",
        facts=facts(serial=f"{machine.certificate.serial_number:x}"),
        serviceAccounts=["cart"],
    )
    await until(lambda: mesh.rig.by_certificate(credentials, request_for()), STATUS.PERMISSION_DENIED)
    await keeper._renew_or_join()
    assert keeper.current() is not first


@pytest.mark.parametrize(
    "stranger",
    [
        pytest.param(made("cart-7"), id="self-signed"),
        pytest.param(made("cart-7", made("machines", ca=True)), id="namesake-of-the-root"),
    ],
)
async def test_certificates_of_others_do_not_even_connect(mesh: Granting, stranger) -> None:
    await mesh.grant(attestor="fleet", facts=facts(subject__CN="*"), serviceAccounts=["cart"])
    await until(lambda: mesh.by_machine(made("cart-7", ROOT), request_for()))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await mesh.by_machine(stranger, request_for())
    assert caught.value.code() is STATUS.UNAVAILABLE


async def test_t33_a_grant_that_galleyd_did_not_write_gives_nothing(mesh: Granting, issuer: Issuer) -> None:
    spec = {"attestor": "jwt", "facts": facts(**{"claims[sub]": "*"}), "serviceAccounts": ["cart"]}
    place = "config/identitygrants/shop/carts"
    for forged in (
        body_of(**spec),
        sign(body_of(**spec), SigningKey.new(), place=f"default/{place}", sequence=10**15),
        mesh.signer.sign("artemon/default/config/identitygrants/bank/carts", body_of(**spec)),
        mesh.signer.sign(f"artemon/default/{place}", body_of(namespace="bank", **spec)),
    ):
        await mesh.store.put(f"artemon/default/{place}", forged)
        good = await mesh.grant("till", attestor="jwt", facts=spec["facts"], serviceAccounts=["till"])
        await until(lambda: mesh.rig.by_token(request_for(TILL), issuer.token()))
        await mesh.store.delete(good)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await mesh.rig.by_token(request_for(), issuer.token())
        assert caught.value.code() is STATUS.PERMISSION_DENIED
        await until(lambda: mesh.rig.by_token(request_for(TILL), issuer.token()), STATUS.PERMISSION_DENIED)


async def test_the_account_may_come_from_a_fact(mesh: Granting, issuer: Issuer) -> None:
    pod = {"namespace": "shop", "serviceaccount": {"name": "till"}}
    await mesh.grant(
        attestor="jwt",
        facts=facts(**{"claims[kubernetes.io][namespace]": "shop"}),
        serviceAccountFact="claims[kubernetes.io][serviceaccount][name]",
    )
    token = issuer.token(**{"kubernetes.io": pod})
    chain = await until(lambda: mesh.rig.by_token(request_for(TILL), token))
    assert check_leaf(leaf_of(chain)) == TILL  # type: ignore[arg-type]
    with pytest.raises(grpc.aio.AioRpcError):
        await mesh.rig.by_token(request_for(CART), token)


async def test_a_banned_identity_cannot_attest(mesh: Granting, issuer: Issuer) -> None:
    await mesh.grant(attestor="jwt", facts=facts(**{"claims[sub]": "ci"}), serviceAccounts=["cart"])
    await until(lambda: mesh.rig.by_token(request_for(), issuer.token()))
    ban = b'{"identity":"%s","at":"","by":"","reason":""}' % str(CART).encode()
    await mesh.store.put("artemon/default/trust/revoked/identities/shop/cart", ban)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await mesh.rig.by_token(request_for(), issuer.token())
    assert "revoked" in str(caught.value.details())


async def test_a_cluster_mounts_its_token(mesh: Granting, issuer: Issuer, tmp_path: Path) -> None:
    await mesh.grant(attestor="jwt", facts=facts(**{"claims[sub]": "ci"}), serviceAccounts=["cart"])
    await until(lambda: mesh.rig.by_token(request_for(), issuer.token()))
    (tmp_path / "real").write_text(issuer.token())
    (tmp_path / "token").symlink_to(tmp_path / "real")
    options = mesh.rig.options(tmp_path, CART, evidence=Evidence(token_file=str(tmp_path / "token")))
    keeper = IdentityKeeper(options, LOG)
    async with asyncio.timeout(30):
        await keeper.start()
    assert keeper.current().spiffe_id == CART


async def test_operators_socket_takes_tokens_as_well(mesh: Granting, issuer: Issuer) -> None:
    await mesh.grant(attestor="jwt", facts=facts(**{"claims[sub]": "ci"}), serviceAccounts=["cart"])
    await until(lambda: mesh.rig.by_token(request_for(), issuer.token()))
    wish = ca_pb2.IstioCertificateRequest(csr=request_for().decode())
    async with grpc.aio.insecure_channel(f"unix:{mesh.rig.settings.socket}") as channel:
        for bearer in (await mesh.rig.token(), issuer.token()):
            headers = [("authorization", f"Bearer {bearer}")]
            answer = await call(channel, CREATE, wish, ca_pb2.IstioCertificateResponse, headers)
            assert check_leaf(leaf_of(list(answer.cert_chain))) == CART
            wish.csr = request_for().decode()
