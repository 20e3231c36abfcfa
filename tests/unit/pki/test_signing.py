"""T33, T39: a value that was changed, moved or taken from the past is not what galleyd signed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artemon.pki.signing import MAX_SEQUENCE, TAIL, SigningKey, fits, key_id, sign, split

KEY, OTHER = SigningKey.new(), SigningKey.new()
PLACE = "default/config/virtualservices/shop/reviews"
BODY = b'{"kind":"VirtualService","spec":{"hosts":["a"]}}'
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.integers(0, MAX_SEQUENCE), st.text())
def test_what_was_signed_is_found_again(content: dict[str, Any], sequence: int, place: str) -> None:
    content.pop("signature", None)
    body = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    place = place.encode("utf-8", "replace").decode()
    value = sign(body, KEY, place=place, sequence=sequence)
    found, signature = split(value)
    assert found == body
    assert signature is not None
    assert (signature.key, signature.sequence) == (KEY.id, sequence)
    assert fits(signature, body, KEY.public, place=place)
    whole = json.loads(value.decode("utf-8", "surrogatepass"))
    assert {key: item for key, item in whole.items() if key != "signature"} == content


def judged(value: bytes, *, place: str = PLACE, public: bytes = KEY.public) -> bool:
    body, signature = split(value)
    if signature is None or signature.key != key_id(public):
        return False
    return fits(signature, body, public, place=place)


SIGNED = sign(BODY, KEY, place=PLACE, sequence=7)


def test_every_other_byte_is_noticed() -> None:
    assert judged(SIGNED)
    for index in range(len(SIGNED)):
        for flip in (1, 0x20, 0x80):
            changed = bytearray(SIGNED)
            changed[index] ^= flip
            assert not judged(bytes(changed)), index


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(BODY, id="unsigned"),
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="empty-object"),
        pytest.param(sign(BODY, OTHER, place=PLACE, sequence=7), id="another-key"),
        pytest.param(sign(BODY, KEY, place=PLACE.replace("shop", "bank"), sequence=7), id="another-place"),
        pytest.param(sign(BODY, KEY, place=PLACE.replace("default", "b"), sequence=7), id="another-mesh"),
        pytest.param(SIGNED.replace(b"0000007.", b"0000008."), id="another-sequence"),
        pytest.param(BODY.replace(b"a", b"b")[:-1] + SIGNED[-TAIL:], id="pasted-onto-another-body"),
        pytest.param(SIGNED[:-1] + b',"spec":{}}', id="a-member-after-it"),
        pytest.param(SIGNED + b" ", id="blank-after-it"),
        pytest.param(sign(SIGNED, OTHER, place=PLACE, sequence=8), id="signed-again-by-another"),
    ],
)
def test_t33_forgeries(value: bytes) -> None:
    assert not judged(value)


@given(st.binary(max_size=400))
def test_no_bytes_are_more_than_unsigned(value: bytes) -> None:
    assert split(value) == (value, None)
