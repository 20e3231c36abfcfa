"""SPIFFE IDs: every character, every form (SPIFFE standard, "SPIFFE-ID", section 2)."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artemon.pki.errors import InvalidSpiffeId
from artemon.pki.spiffe import SpiffeId, SpiffeUri

TRUST_DOMAIN = set(string.ascii_lowercase + string.digits + "._-")
SEGMENT = set(string.ascii_letters + string.digits + "._-")
CHARACTERS = [pytest.param(chr(code), id=f"0x{code:02x}") for code in range(256)]


def accepted(text: str) -> bool:
    try:
        return str(SpiffeUri.parse(text)) == text
    except InvalidSpiffeId:
        return False


@pytest.mark.parametrize("character", CHARACTERS)
def test_characters_of_trust_domains(character: str) -> None:
    # a slash ends the trust domain, and what follows is a path
    assert accepted(f"spiffe://a{character}b") is (character in TRUST_DOMAIN | {"/"})
    assert accepted(f"spiffe://{character}") is (character in TRUST_DOMAIN)


@pytest.mark.parametrize("character", CHARACTERS)
def test_characters_of_paths(character: str) -> None:
    assert accepted(f"spiffe://td/a{character}b") is (character in SEGMENT | {"/"})
    assert accepted(f"spiffe://td/{character}") is (character in SEGMENT - {"."})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("spiffe://", id="no-trust-domain"),
        pytest.param("spiffe:///path", id="only-path"),
        pytest.param("SPIFFE://td/a", id="upper-case-scheme"),
        pytest.param("spiffe:/td/a", id="one-slash"),
        pytest.param("https://td/a", id="https"),
        pytest.param(" spiffe://td/a", id="leading-space"),
        pytest.param("spiffe://td/a\n", id="trailing-newline"),
        pytest.param("spiffe://td/", id="root-path"),
        pytest.param("spiffe://td/a/", id="trailing-slash"),
        pytest.param("spiffe://td//a", id="empty-segment"),
        pytest.param("spiffe://td/a/../b", id="dot-dot"),
        pytest.param("spiffe://td/./a", id="dot"),
        pytest.param("spiffe://td/%2e%2e/a", id="escaped-dots"),
        pytest.param("spiffe://td:80/a", id="port"),
        pytest.param("spiffe://user@td/a", id="user"),
        pytest.param("spiffe://td/a?b=c", id="query"),
        pytest.param("spiffe://td/a#b", id="fragment"),
        pytest.param("spiffe://" + "a" * 256, id="trust-domain-256"),
        pytest.param("spiffe://td/" + "a" * 2048, id="id-over-2048"),
        pytest.param("spiffe://td/\N{CYRILLIC SMALL LETTER A}", id="cyrillic"),
    ],
)
def test_is_no_spiffe_id(text: str) -> None:
    assert not accepted(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("spiffe://td", id="trust-domain-alone"),
        pytest.param("spiffe://" + "a" * 255, id="trust-domain-255"),
        pytest.param("spiffe://td/" + "a" * (2048 - 12), id="exactly-2048"),
        pytest.param("spiffe://td/.../.a/a.", id="dots-within-segments"),
        pytest.param("spiffe://1.2.3.4/_/-", id="odd-but-allowed"),
    ],
)
def test_is_a_spiffe_id(text: str) -> None:
    assert accepted(text)


@pytest.mark.parametrize(
    "text",
    [
        "spiffe://td",
        "spiffe://td/ns/a",
        "spiffe://td/ns/a/sa/b/c",
        "spiffe://td/sa/a/ns/b",
        "spiffe://td/NS/a/sa/b",
    ],
)
def test_is_no_workload(text: str) -> None:
    with pytest.raises(InvalidSpiffeId):
        SpiffeId.parse(text)


@pytest.mark.parametrize("part", ["", "..", "a/b", "a b", "\0"])
def test_workloads_cannot_be_made_of(part: str) -> None:
    for parts in ((part, "a", "b"), ("td", part, "b"), ("td", "a", part)):
        if parts == ("..", "a", "b"):
            continue  # dots alone are characters of a trust domain
        with pytest.raises(InvalidSpiffeId):
            SpiffeId(*parts)


@given(
    st.text(string.ascii_lowercase + string.digits + "._-", min_size=1, max_size=20),
    st.text(string.ascii_letters + "_-", min_size=1, max_size=20),
    st.text(string.ascii_letters + "_-", min_size=1, max_size=20),
)
def test_what_is_written_is_read(trust_domain: str, namespace: str, account: str) -> None:
    identity = SpiffeId(trust_domain, namespace, account)
    assert SpiffeId.parse(str(identity)) == identity


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, "spiffe://" + text, "spiffe://td/" + text):
        assert accepted(candidate) in {True, False}
