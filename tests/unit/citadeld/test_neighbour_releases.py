"""Two releases side by side: what the one before wrote is read, what the one after adds is let be; agents and
certificates of the one before are served."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from citadel_rig import CART, running, settings_in
from cryptography import x509

from artemon.model.trust import IDENTITIES, SERIALS, decode_trust, serial_name
from artemon.model.workload import decode_workload, encode_workload
from artemon.pki.bundle import Bundle
from artemon.pki.certificate import Leaf, chain_pem, load_certificates, make_leaf, make_root, serial_number
from artemon.pki.csr import make_csr
from artemon.pki.endorsement import Endorsement
from artemon.pki.keys import generate_key, private_pem
from artemon.pki.request import IntermediateRequest
from artemon.pki.revocation import Ban, Revocation
from artemon.pki.rotation import RotationState
from artemon.store.api import Entry
from citadeld.app import key_room
from citadeld.fellows import Fellow
from citadeld.issuer import grounds_of, is_over
from citadeld.revoker import Issued
from citadeld.tokens import Token

AT = "2026-01-01T00:00:00+00:00"
ISSUED = {
    "identity": str(CART),
    "node": "cart-1",
    "notBefore": AT,
    "notAfter": AT,
    "issuer": "ab",
    "issued": AT,
}
REVOKED = {"serial": "ab", "identity": str(CART), "node": "", "issuer": "cd", "notAfter": AT, "at": AT,
           "by": "ann", "reason": "x"}  # fmt: skip
PORT = {"name": "http", "number": 80, "protocol": "HTTP", "listenPort": 80, "appPort": 8080}
BAN = {"identity": str(CART), "at": AT, "by": "ann", "reason": "x"}
REQUEST = {"root": "ab", "csr": "x", "chain": "y", "signature": "AAAA"}
WRITTEN: dict[str, tuple[dict[str, Any], Callable[[bytes], Any]]] = {
    "issued": (ISSUED, lambda value: Issued.of(Entry("trust/issued/ab", value, 1))),
    "issued-for-facts": (
        {**ISSUED, "attested": {"attestor": "jwt", "grant": "shop/a", "facts": {"a": ["b"]}}}, grounds_of
    ),
    "sweep": (ISSUED, lambda value: is_over(value, datetime.now(UTC)) or None),
    "revoked": (REVOKED, Revocation.decode),
    "ban": (BAN, Ban.decode),
    "serial-for-pilotd": (REVOKED, lambda value: decode_trust(f"{SERIALS}ab", value)),
    "ban-for-pilotd": (BAN, lambda value: decode_trust(f"{IDENTITIES}shop/cart", value)),
    "rotation": ({"phase": "trust", "old": "a", "new": "b", "since": AT, "by": "ann"}, RotationState.decode),
    "replica": ({"intermediates": ["a"], "roots": ["b"]}, lambda value: Fellow.decode("a", value)),
    "replica-with-a-wish": (
        {"intermediates": ["a"], "roots": ["b"], "request": REQUEST}, lambda value: Fellow.decode("a", value)
    ),
    "wish": (REQUEST, IntermediateRequest.decode),
    "papers": ({"key": "AAAA", "at": AT, "chain": "x", "signature": "AAAA"}, Endorsement.decode),
    "token": (
        {"id": "ab", "namespace": "shop", "serviceAccount": "cart", "created": AT, "expires": AT, "uses": 1},
        Token.decode,
    ),
    "workload": (
        {"node": "a", "address": "10.0.0.1", "service": "cart", "ports": [PORT]},
        lambda value: decode_workload("shop", value),
    ),
}  # fmt: skip
"""What -> the least that a release wrote, and who reads it."""


@pytest.mark.parametrize("name", WRITTEN)
def test_records_of_the_release_before_and_after(name: str) -> None:
    fields, read = WRITTEN[name]
    before = read(json.dumps(fields).encode())
    after = read(json.dumps({"first": {"a": [1]}, **fields, "schema": 99, "more": None}).encode())
    assert before is not None
    assert after == before, "what a later release adds changes nothing"


def test_a_bundle_of_the_release_after() -> None:
    key = generate_key()
    root = make_root(key, "cluster.local", serial=5, now=datetime.now(UTC), lifetime=timedelta(days=1))
    bundle = Bundle("cluster.local", 7, (root,))
    fields = json.loads(bundle.encode())
    assert Bundle.decode(json.dumps({**fields, "refreshHint": 60, "jwks": []}).encode()) == bundle


def test_a_workload_is_written_so_that_the_release_before_reads_it() -> None:
    fields = json.loads(encode_workload(decode_workload("shop", json.dumps(WRITTEN["workload"][0]).encode())))
    assert {"node", "address", "service", "ports", "labels", "serviceAccount", "weight"} <= set(fields)
    assert {"name", "number", "protocol", "listenPort", "appPort"} == set(fields["ports"][0])


async def test_a_certificate_of_the_release_before_is_renewed(tmp_path: Path) -> None:
    """It has no name that tells its serial, and its holder says nothing of itself: agents and citadelds are
    upgraded one by one."""
    async with running(settings_in(tmp_path)) as rig:
        authority = key_room(rig.settings).load()
        key, now = generate_key(), datetime.now(UTC)
        old = make_leaf(
            Leaf(CART, key.public_key(), timedelta(hours=1)),
            authority,
            serial=serial_number(secrets.token_bytes(20)),
            now=now,
        )
        chain = chain_pem([old, authority.certificate])
        credentials = grpc.ssl_channel_credentials(rig.root.read_bytes(), private_pem(key), chain)
        answer = await rig.by_certificate(credentials, make_csr(generate_key(), CART))
    new = load_certificates("".join(answer).encode())[0]
    names = new.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [serial_name(new.serial_number)]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [str(CART)]
