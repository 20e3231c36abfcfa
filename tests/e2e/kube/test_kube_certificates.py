"""What citadeld keeps in a cluster: whom to trust, and certificates as Secrets, rotated and revocable."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from attestation_site import Trust, account
from cryptography import x509
from kube_server import KubeApi, until

from artemon.api.v1 import certificates_pb2 as pb
from artemon.pki.certificate import load_certificates

pytestmark = [pytest.mark.kube, pytest.mark.timeout(300)]
ASKS = {"ca.istio.io/override": "true"}
LEAF_SECONDS = 20


def namespace(kube: KubeApi, name: str, labels: dict[str, str], *accounts: str) -> None:
    kube.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    for one in accounts:
        account(kube, name, one)


@pytest.fixture(scope="module")
def trust(lasting_kube: KubeApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    kube = lasting_kube
    namespace(kube, "cert-asks", ASKS, "cart")
    namespace(kube, "cert-quiet", {}, "cart")
    namespace(kube, "other-asks", ASKS, "cart")
    where = f"kubernetes://{kube.kubeconfig()}?name=east&namespaces=cert-*&secrets=cert-*"
    flags = ("--clusters", where, "--leaf-seconds", str(LEAF_SECONDS))
    made = Trust(tmp_path_factory.mktemp("certs") / "c", kube, flags=flags)
    try:
        yield made
    finally:
        made.process.kill()


def found(trust: Trust, kind: str, space: str, name: str) -> dict[str, Any] | None:
    one = trust.kube.found(f"/api/v1/namespaces/{space}/{kind}/{name}")
    return one if one is None else dict(one)


def files(trust: Trust, space: str = "cert-asks", name: str = "cart") -> dict[str, bytes]:
    """The files of a Secret, once it is there."""
    secret = until(lambda: found(trust, "secrets", space, f"istio.{name}"), f"Secret istio.{name}") or {}
    assert secret["type"] == "istio.io/key-and-cert"
    return {key: base64.b64decode(value) for key, value in secret["data"].items()}


def serial(content: dict[str, bytes]) -> int:
    return load_certificates(content["cert-chain.pem"])[0].serial_number


def test_every_namespace_that_is_named_knows_the_roots_and_keeps_them(trust: Trust) -> None:
    root = (trust.folder / "ca" / "root-cert.pem").read_text()
    path = "/api/v1/namespaces/{}/configmaps/istio-ca-root-cert"

    def says(space: str) -> bool:
        one = found(trust, "configmaps", space, "istio-ca-root-cert")
        return one is not None and one["data"]["root-cert.pem"].strip() == root.strip()

    until(lambda: says("cert-asks") and says("cert-quiet"), "the ConfigMaps")
    assert found(trust, "configmaps", "other-asks", "istio-ca-root-cert") is None
    trust.kube.call("PATCH", path.format("cert-quiet"), {"data": {"root-cert.pem": "broken"}})
    trust.kube.call("DELETE", path.format("cert-asks"))
    until(lambda: says("cert-asks") and says("cert-quiet"), "the ConfigMaps mended")
    namespace(trust.kube, "cert-late", {})
    until(lambda: says("cert-late"), "a new namespace's")


def test_accounts_have_certificates_where_the_namespace_asks(trust: Trust, tmp_path: Path) -> None:
    content = files(trust)
    leaf = load_certificates(content["cert-chain.pem"])[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names.get_values_for_type(x509.UniformResourceIdentifier)) == [
        "spiffe://cluster.local/ns/cert-asks/sa/cart"
    ]
    for name, value in content.items():
        (tmp_path / name).write_bytes(value)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert-chain.pem", tmp_path / "key.pem")  # they fit each other
    context.load_verify_locations(tmp_path / "root-cert.pem")
    assert found(trust, "secrets", "cert-quiet", "istio.cart") is None
    assert found(trust, "secrets", "other-asks", "istio.cart") is None
    account(trust.kube, "cert-asks", "till")
    assert files(trust, name="till")
    trust.kube.call("DELETE", "/api/v1/namespaces/cert-asks/serviceaccounts/till")
    until(lambda: found(trust, "secrets", "cert-asks", "istio.till") is None, "its end with the account")


def test_they_are_replaced_at_half_of_their_life_and_when_somebody_spoils_them(trust: Trust) -> None:
    first = files(trust)
    until(lambda: serial(files(trust)) != serial(first), "the rotation")
    second = files(trust)
    assert second["key.pem"] != first["key.pem"]
    spoilt = {"data": {"cert-chain.pem": base64.b64encode(b"spoilt").decode()}}
    trust.kube.call("PATCH", "/api/v1/namespaces/cert-asks/secrets/istio.cart", spoilt)
    until(lambda: b"BEGIN CERTIFICATE" in files(trust)["cert-chain.pem"], "the mending")


def test_a_secret_that_citadeld_did_not_make_is_left_alone(trust: Trust) -> None:
    path = "/api/v1/namespaces/cert-asks/secrets"
    own = {"metadata": {"name": "istio.nobody"}, "type": "istio.io/key-and-cert"}
    trust.kube.create(path, own)
    before = serial(files(trust))
    until(lambda: serial(files(trust)) != before, "another round")
    assert found(trust, "secrets", "cert-asks", "istio.nobody")


def revoke(trust: Trust, **what: str) -> None:
    """As an operator on citadeld's socket."""
    with grpc.insecure_channel(f"unix:{trust.folder / 'c.sock'}") as channel:
        call: Any = channel.unary_unary(
            "/artemon.v1.Certificates/Revoke",
            request_serializer=pb.RevokeCertificateRequest.SerializeToString,
            response_deserializer=pb.RevokeCertificateResponse.FromString,
        )
        call(pb.RevokeCertificateRequest(**what), timeout=30)


def test_no_label_no_secret(trust: Trust) -> None:
    assert files(trust)
    trust.kube.call(
        "PATCH", "/api/v1/namespaces/cert-asks", {"metadata": {"labels": {next(iter(ASKS)): None}}}
    )
    until(lambda: found(trust, "secrets", "cert-asks", "istio.cart") is None, "the end of the Secret")


def test_what_is_revoked_is_replaced_and_a_banned_identity_gets_none(
    trust: Trust, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By a citadeld whose certificates live long: nothing is replaced for its age."""
    trust.process.kill()
    namespace(trust.kube, "cert-long", ASKS, "cart", "till")
    where = f"kubernetes://{trust.kube.kubeconfig()}?name=east&namespaces=cert-long&secrets=cert-long"
    other = Trust(tmp_path_factory.mktemp("long") / "c", trust.kube, flags=("--clusters", where))
    try:
        first = serial(files(other, "cert-long"))
        assert files(other, "cert-long", "till")
        revoke(other, serial=f"{first:x}")
        until(lambda: serial(files(other, "cert-long")) != first, "another certificate")
        revoke(other, identity="spiffe://cluster.local/ns/cert-long/sa/till")
        until(lambda: "cert-long/sa/till or its certificate" in other.process.log.read_text(), "the reason")
    finally:
        other.process.kill()
