"""Who gets which certificate, and who does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from citadel_rig import CART, CREATE, TOKENS, Rig, bundle, call, running, settings_in
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from artemon.api.v1 import ca_pb2, join_tokens_pb2
from artemon.daemon.audit import check_chain
from artemon.daemon.identity_tls import channel_options, grpc_channel_credentials
from artemon.errors import ArtemonError
from artemon.model.trust import serial_name
from artemon.pki.certificate import load_certificates, make_root
from artemon.pki.csr import make_csr
from artemon.pki.keys import generate_key
from artemon.pki.spiffe import SpiffeId
from artemon.pki.verify import check_leaf
from artemon.store.open import open_store
from citadeld.app import key_room
from citadeld.issuer import authority_facts

STATUS = grpc.StatusCode
GALLEYD = SpiffeId("cluster.local", "artemon-system", "galleyd")
PILOTD = SpiffeId("cluster.local", "artemon-system", "pilotd")


def request_for(identity: SpiffeId = CART) -> bytes:
    return make_csr(generate_key(), identity)


async def refusal(work: object, status: grpc.StatusCode) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await work  # type: ignore[misc]
    assert caught.value.code() is status, caught.value.details()
    return str(caught.value.details())


def leaf_of(chain: Sequence[str]) -> x509.Certificate:
    return load_certificates(chain[0].encode())[0]


async def test_token_gives_one_certificate(rig: Rig) -> None:
    token = await rig.token()
    chain = await rig.by_token(request_for(), token)
    assert check_leaf(leaf_of(chain)) == CART
    assert chain[-1].encode() == rig.root.read_bytes()
    assert "not valid" in await refusal(rig.by_token(request_for(), token), STATUS.UNAUTHENTICATED)
    assert rig.count("authentication_failure") == 1


async def test_token_of_two_uses_gives_two(rig: Rig) -> None:
    token = await rig.token(uses=2)
    await rig.by_token(request_for(), token)
    await rig.by_token(request_for(), token)
    await refusal(rig.by_token(request_for(), token), STATUS.UNAUTHENTICATED)


async def test_refused_request_leaves_the_token_good(rig: Rig) -> None:
    token = await rig.token()
    await refusal(rig.by_token(request_for(PILOTD), token), STATUS.INVALID_ARGUMENT)
    assert check_leaf(leaf_of(await rig.by_token(request_for(), token))) == CART


async def test_expired_token_gives_nothing(rig: Rig) -> None:
    token = await rig.token(ttl_seconds=1)
    await asyncio.sleep(1.1)
    await refusal(rig.by_token(request_for(), token), STATUS.UNAUTHENTICATED)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="none"),
        pytest.param([("authorization", "Bearer ")], id="empty"),
        pytest.param([("authorization", "Basic dXNlcjpwYXNz")], id="basic"),
        pytest.param([("authorization", "Bearer wrong")], id="unknown"),
        pytest.param([("authorization", "Bearer " + "x" * 5000)], id="long"),
        pytest.param([("authorization", "Bearer ../../tokens")], id="path"),
        pytest.param([("authorization", "Bearer a"), ("authorization", "Bearer b")], id="two-headers"),
    ],
)
async def test_without_a_token_nobody_joins(rig: Rig, headers: list[tuple[str, str]]) -> None:
    await refusal(rig.by_token(request_for(), headers=headers), STATUS.UNAUTHENTICATED)
    assert rig.count("success_cert_issuance") == 1  # citadeld's own
    assert json.loads(rig.audit[-1])["decision"] == "refused"


async def test_renewal_is_for_the_same_identity_only(rig: Rig, tmp_path: Path) -> None:
    keeper = await rig.joined(tmp_path)
    credentials = grpc_channel_credentials(keeper.current())
    chain = await rig.by_certificate(credentials, request_for())
    assert check_leaf(leaf_of(chain)) == CART
    other = request_for(SpiffeId("cluster.local", "shop", "till"))
    assert "another identity" in await refusal(
        rig.by_certificate(credentials, other), STATUS.INVALID_ARGUMENT
    )


async def test_nobody_asks_for_someone_else(rig: Rig, tmp_path: Path) -> None:
    credentials = grpc_channel_credentials((await rig.joined(tmp_path)).current())
    wish = {"ImpersonatedIdentity": "spiffe://cluster.local/ns/shop/sa/till"}
    await refusal(rig.by_certificate(credentials, request_for(), metadata=wish), STATUS.PERMISSION_DENIED)


async def test_lifetime_may_be_shorter_but_not_longer(rig: Rig, tmp_path: Path) -> None:
    credentials = grpc_channel_credentials((await rig.joined(tmp_path)).current())
    for wished, given in ((60, 60), (10**9, 3600), (0, 3600)):
        leaf = leaf_of(await rig.by_certificate(credentials, request_for(), validity_duration=wished))
        lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
        assert lifetime == timedelta(seconds=given, minutes=5)
    await refusal(
        rig.by_certificate(credentials, request_for(), validity_duration=-1), STATUS.INVALID_ARGUMENT
    )


async def test_certificates_of_others_open_nothing(rig: Rig, tmp_path: Path) -> None:
    keeper = await rig.joined(tmp_path)
    (tmp_path / "other").mkdir()
    async with running(settings_in(tmp_path / "other")) as stranger:
        foreign = (await stranger.joined(tmp_path / "other")).current()
    ours = keeper.current()
    credentials = grpc.ssl_channel_credentials(ours.roots_pem, foreign.key_pem, foreign.cert_chain_pem)
    await refusal(rig.by_certificate(credentials, request_for()), STATUS.UNAVAILABLE)
    nothing = grpc.ssl_channel_credentials(ours.roots_pem)
    await refusal(rig.by_certificate(nothing, request_for()), STATUS.UNAVAILABLE)
    distrusting = grpc.ssl_channel_credentials(foreign.roots_pem)
    await refusal(rig.by_certificate(distrusting, request_for()), STATUS.UNAVAILABLE)


async def test_one_key_is_not_for_two_identities(rig: Rig) -> None:
    key = generate_key()
    await rig.by_token(make_csr(key, CART), await rig.token())
    till = SpiffeId("cluster.local", "shop", "till")
    token = await rig.token(till)
    reason = await refusal(rig.by_token(make_csr(key, till), token), STATUS.INVALID_ARGUMENT)
    assert "belongs to another identity" in reason


@pytest.mark.parametrize(
    "body", [b"", b"\xff" * 100, b"-----BEGIN CERTIFICATE REQUEST-----\n" * 9, b"A" * 60_000]
)
async def test_malformed_request_is_refused_and_serving_goes_on(rig: Rig, body: bytes) -> None:
    token = await rig.token()
    await refusal(rig.by_token(body, token), STATUS.INVALID_ARGUMENT)
    assert rig.count("csr_parsing_err") == 1
    assert check_leaf(leaf_of(await rig.by_token(request_for(), token))) == CART


async def test_undecodable_message_is_refused(rig: Rig) -> None:
    credentials = grpc.ssl_channel_credentials(rig.root.read_bytes())
    name = [("grpc.ssl_target_name_override", "citadeld.artemon-system.svc")]
    async with grpc.aio.secure_channel(rig.settings.join_address, credentials, options=name) as channel:
        for method in (CREATE, "/artemon.v1.Trust/GetBundle"):
            await refusal(channel.unary_unary(method)(b"\xff\xff\xff", timeout=5), STATUS.INVALID_ARGUMENT)
        await refusal(channel.unary_unary(f"{TOKENS}/Create")(b"", timeout=5), STATUS.UNIMPLEMENTED)


@pytest.mark.parametrize(
    ("identity", "names"),
    [
        (CART, []),
        (SpiffeId("cluster.local", "artemon-system", "admin"), []),
        (SpiffeId("cluster.local", "shop", "pilotd"), []),
        (PILOTD, ["pilotd.artemon-system.svc", "mesh.example"]),
        (GALLEYD, ["galleyd.artemon-system.svc", "mesh.example", "127.0.0.1", "api.example"]),
    ],
)
async def test_only_daemons_have_dns_names(tmp_path: Path, identity: SpiffeId, names: list[str]) -> None:
    given = ("mesh.example", "galleyd=127.0.0.1", "galleyd=api.example")
    async with running(settings_in(tmp_path, names=given)) as rig:
        leaf = leaf_of(await rig.by_token(request_for(identity), await rig.token(identity)))
    found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in found][1:] == [*names, serial_name(leaf.serial_number)]


@pytest.mark.parametrize("permitted", [True, False])
def test_where_an_authority_may_not_certify_any_dns_name_leaves_do_not_tell_their_serial(
    permitted: bool,
) -> None:
    """A company's authority: the name would make the whole chain invalid (RFC 5280 section 4.2.1.10)."""
    key = generate_key()
    root = make_root(key, "cluster.local", serial=1, now=datetime.now(UTC), lifetime=timedelta(days=1))
    name = [x509.DNSName("corp.example")]
    limits = x509.NameConstraints(name, None) if permitted else x509.NameConstraints(None, name)
    limited = (
        x509.CertificateBuilder(
            root.subject,
            root.subject,
            key.public_key(),
            2,
            datetime.now(UTC),
            datetime(2100, 1, 1, tzinfo=UTC),
        )
        .add_extension(limits, critical=True)
        .sign(key, hashes.SHA256())
    )
    assert authority_facts(root).tells_serials
    assert not authority_facts(limited, root).tells_serials


async def test_tokens_are_managed_by_operators_only(rig: Rig, tmp_path: Path) -> None:
    wish = join_tokens_pb2.CreateJoinTokenRequest(namespace="shop", service_account="cart")
    for identity, allowed in ((CART, False), (PILOTD, False), (GALLEYD, True)):
        keeper = await rig.joined(tmp_path / identity.service_account, identity)
        credentials = grpc_channel_credentials(keeper.current())
        name = [("grpc.ssl_target_name_override", "citadeld.artemon-system.svc")]
        async with grpc.aio.secure_channel(rig.settings.listen, credentials, options=name) as channel:
            asked = channel.unary_unary(f"{TOKENS}/Create")(wish.SerializeToString(), timeout=5)
            if allowed:
                assert await asked
            else:
                await refusal(asked, STATUS.PERMISSION_DENIED)
        assert (await bundle(rig.settings.listen, credentials)).roots == [rig.root.read_text()]


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"namespace": "", "service_account": "a"}, STATUS.INVALID_ARGUMENT),
        ({"namespace": "Shop", "service_account": "a"}, STATUS.INVALID_ARGUMENT),
        ({"namespace": "a/b", "service_account": "a"}, STATUS.INVALID_ARGUMENT),
        ({"namespace": "a", "service_account": ".."}, STATUS.INVALID_ARGUMENT),
        ({"namespace": "a", "service_account": "a..b"}, STATUS.INVALID_ARGUMENT),
        ({"namespace": "a", "service_account": "b", "ttl_seconds": 10**9}, STATUS.INVALID_ARGUMENT),
        ({"namespace": "a", "service_account": "b", "uses": 10**9}, STATUS.INVALID_ARGUMENT),
        ({"namespace": "artemon-system", "service_account": "citadeld"}, STATUS.PERMISSION_DENIED),
    ],
)
async def test_token_is_not_made(rig: Rig, wish: dict[str, object], status: grpc.StatusCode) -> None:
    request = join_tokens_pb2.CreateJoinTokenRequest(**wish)
    await refusal(rig.by_socket(f"{TOKENS}/Create", request, join_tokens_pb2.CreateJoinTokenResponse), status)


async def test_tokens_are_listed_and_revoked(rig: Rig) -> None:
    token = await rig.token()
    answer = join_tokens_pb2.ListJoinTokensResponse
    listed = await rig.by_socket(f"{TOKENS}/List", join_tokens_pb2.ListJoinTokensRequest(), answer)
    assert [(one.namespace, one.service_account, one.uses) for one in listed.tokens] == [("shop", "cart", 1)]
    revoke = join_tokens_pb2.RevokeJoinTokenRequest(id=listed.tokens[0].id)
    await rig.by_socket(f"{TOKENS}/Revoke", revoke, join_tokens_pb2.RevokeJoinTokenResponse)
    await refusal(rig.by_token(request_for(), token), STATUS.UNAUTHENTICATED)
    again = rig.by_socket(f"{TOKENS}/Revoke", revoke, join_tokens_pb2.RevokeJoinTokenResponse)
    await refusal(again, STATUS.NOT_FOUND)


async def test_two_replicas_take_a_token_once(rig: Rig, tmp_path: Path) -> None:
    second = tmp_path / "second"
    (second / "ca").mkdir(parents=True, mode=0o700)
    for name in ("root-cert.pem", "root-key.pem"):
        (second / "ca" / name).write_bytes((rig.settings.data_dir / name).read_bytes())
        (second / "ca" / name).chmod(0o600)
    async with running(settings_in(second, registry=tmp_path / "registry.db")) as other:
        for _ in range(10):
            token = await rig.token()
            asked = [one.by_token(request_for(), token) for one in (rig, other) * 4]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            refused = [one for one in answers if isinstance(one, grpc.aio.AioRpcError)]
            assert [one.code() for one in refused] == [STATUS.UNAUTHENTICATED] * 7
        found = await bundle(other.settings.join_address, grpc.ssl_channel_credentials(rig.root.read_bytes()))
        assert (len(found.roots), len(found.intermediates)) == (1, 2)
        assert rig.count("success_cert_issuance") + other.count("success_cert_issuance") == 12


@pytest.mark.parametrize(
    ("trust_domain", "own_root", "reason"),
    [
        ("cluster.local", False, "has none: copy root-cert.pem"),
        ("cluster.local", True, "this replica has .*: copy root-cert.pem"),
        ("elsewhere.example", True, "the registry's trust domain is cluster.local"),
    ],
)
async def test_replica_with_another_root_does_not_start(
    rig: Rig, tmp_path: Path, trust_domain: str, own_root: bool, reason: str
) -> None:
    second = tmp_path / "second"
    second.mkdir()
    settings = settings_in(second, registry=tmp_path / "registry.db", trust_domain=trust_domain)
    if own_root:
        key_room(settings).make_root()
    with pytest.raises(ArtemonError, match=reason):
        async with running(settings):
            pass


async def test_everything_issued_is_on_record(rig: Rig, tmp_path: Path) -> None:
    keeper = await rig.joined(tmp_path)
    await refusal(rig.by_token(b"", await rig.token()), STATUS.INVALID_ARGUMENT)
    lines = [json.loads(line) for line in rig.audit]
    assert check_chain(rig.audit) == len(lines)
    assert [line["decision"] for line in lines] == [
        "issued",
        "token_created",
        "issued",
        "token_created",
        "refused",
    ]
    leaf = load_certificates(keeper.current().cert_chain_pem)[0]
    assert lines[2]["serial"] == f"{leaf.serial_number:x}"
    store = await open_store(rig.settings.registry)
    try:
        record = await store.get(f"artemon/default/trust/issued/{leaf.serial_number:x}")
        assert record is not None
        assert json.loads(record.value)["identity"] == str(CART)
        stored = b"".join(entry.value for entry in (await store.list("artemon/")).entries)
    finally:
        await store.close()
    secret = (tmp_path / "token").read_text().encode()
    for place in (stored, b"".join(rig.audit)):
        assert b"PRIVATE KEY" not in place
        assert secret not in place


async def test_asking_too_often_is_refused(rig: Rig, tmp_path: Path) -> None:
    """Over one connection: making 200 takes a slow machine longer than the limit is high."""
    credentials = grpc_channel_credentials((await rig.joined(tmp_path)).current())
    options = channel_options("citadeld")
    requests = [ca_pb2.IstioCertificateRequest(csr=request_for().decode()) for _ in range(16)]
    refused: set[grpc.StatusCode] = set()
    async with grpc.aio.secure_channel(rig.settings.listen, credentials, options=options) as channel:
        for _ in range(20):
            asked = [call(channel, CREATE, one, ca_pb2.IstioCertificateResponse) for one in requests]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            refused |= {one.code() for one in answers if isinstance(one, grpc.aio.AioRpcError)}
            if refused:
                break
    assert refused == {STATUS.RESOURCE_EXHAUSTED}
    assert rig.count("rate_limited") >= 1
