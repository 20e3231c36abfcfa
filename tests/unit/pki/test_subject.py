"""The subject of leaves: for telemetry, and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from pki_realm import NOW, Realm

from artemon.pki.certificate import Leaf, leaf_validity, make_leaf
from artemon.pki.errors import CertificateRefused, CsrRefused
from artemon.pki.keys import PrivateKey
from artemon.pki.spiffe import SpiffeId
from artemon.pki.subject import MAX_SUBJECT, check_subject, subject_text
from artemon.pki.verify import check_issued, check_leaf

LABELS = {"app": "reviews", "version": "v2", "service.istio.io/canonical-revision": "r7"}


def test_the_six_parts() -> None:
    assert subject_text("reviews-v2", LABELS, "east") == "reviews-v2/reviews/v2/reviews/r7/east"
    assert subject_text("cart", {}, "") == "cart///cart/latest/"


@settings(deadline=None)
@given(st.text(max_size=400), st.dictionaries(st.sampled_from(["app", "version"]), st.text(max_size=400)))
def test_whatever_a_workload_is_called_can_be_certified(name: str, labels: dict[str, str]) -> None:
    assert len(check_subject(subject_text(name, labels, name))) <= MAX_SUBJECT


@pytest.mark.parametrize(
    "text",
    [
        "a/b",
        "a/b/c/d/e/f/g",
        "a,O=x/b/c/d/e/f",
        "a+b/b/c/d/e/f",
        "a=b/b/c/d/e/f",
        "\n/b/c/d/e/f",
        "é/b/c/d/e/f",
    ],
)
def test_what_could_be_read_as_another_name_is_refused(text: str) -> None:
    with pytest.raises(CsrRefused, match="6 parts"):
        check_subject(text)


def test_the_leaf_carries_it(realm: Realm, key: PrivateKey) -> None:
    text = subject_text("reviews-v2", LABELS, "east")
    leaf = Leaf(SpiffeId("cluster.local", "shop", "cart"), key.public_key(), timedelta(hours=1), subject=text)
    made = make_leaf(leaf, realm.authority, serial=9, now=NOW)
    assert made.subject.rfc4514_string() == f"UID={text}"
    assert not made.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    assert check_leaf(made) == leaf.identity
    more = {"serial": 9, "issuer": realm.authority.certificate}
    validity = leaf_validity(leaf.lifetime, realm.authority, NOW)
    check_issued(made, leaf, **more, validity=validity)
    with pytest.raises(CertificateRefused, match="subject"):
        check_issued(made, replace(leaf, subject=""), **more, validity=validity)
