"""What listeners say of who is banned and what was revoked: chains that end TLS change, others do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from envoy.config.listener.v3.listener_pb2 import Listener
from translate_mesh import view_of

from artemon.snapshot.impact import differences
from artemon.translate.translator import messages
from artemon.xds.types import CLUSTER, ENDPOINTS, LISTENER, ROUTES

MESH = """
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: default}
spec: {ports: [{port: 80, name: http, targetPort: 8080}], selector: {app: cart}}
"""
PROXY: dict[str, Any] = {"namespace": "default", "labels": {"app": "cart"}, "ipAddresses": ["10.0.0.1"]}


def chains(drain: str, bans: tuple[str, ...] = ()) -> dict[str, bytes]:
    """All chains of the proxy by listener and number, as bytes; those with TLS are named so."""
    view = replace(view_of(MESH, PROXY), drain=drain, bans=bans)
    found: dict[str, bytes] = {}
    for name, listener in messages(view)[LISTENER].items():
        assert isinstance(listener, Listener)
        every = [*listener.filter_chains, listener.default_filter_chain]
        for number, chain in enumerate(every):
            what = "tls" if chain.HasField("transport_socket") else "plain"
            found[f"{name} {number} {what}"] = chain.SerializeToString(deterministic=True)
    return found


def test_chains_that_end_tls_change_with_each_revocation_and_no_others() -> None:
    before, first, second = chains(""), chains("2026-01-01"), chains("2026-01-02")
    assert any(name.endswith("tls") for name in before)
    for name in before:
        different = {before[name], first[name], second[name]}
        assert len(different) == (3 if name.endswith("tls") else 1), name
    assert chains("2026-01-01") == first, "and only with it"


def test_a_ban_comes_with_its_filter() -> None:
    banned = chains("2026-01-01", ("spiffe://cluster.local/ns/a/sa/b",))
    for name, body in banned.items():
        assert (b"spiffe://cluster.local/ns/a/sa/b" in body) == name.endswith("tls"), name


def test_only_listeners_are_concerned() -> None:
    view = view_of(MESH, PROXY)
    after = replace(view, drain="2026-01-01")
    assert "LDS" in differences(view, after)
    for url in (CLUSTER, ENDPOINTS, ROUTES):
        assert messages(view)[url] == messages(after)[url]
