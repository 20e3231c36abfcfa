"""Trust domains for the tests of pki."""

from __future__ import annotations

import pytest
from pki_realm import Realm, make_realm

from artemon.pki.keys import PrivateKey, generate_key


@pytest.fixture(scope="session")
def realm() -> Realm:
    return make_realm()


@pytest.fixture(scope="session")
def other_realm() -> Realm:
    return make_realm("elsewhere.example")


@pytest.fixture(scope="session")
def short_realm() -> Realm:
    return make_realm(root_hours=0.75, ca_hours=100)


@pytest.fixture(scope="session")
def key() -> PrivateKey:
    return generate_key()
