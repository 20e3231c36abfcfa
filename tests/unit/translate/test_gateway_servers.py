"""Servers of Gateways: what TLS settings come out as, and who wins when several want the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import CertificateValidationContext, TlsParameters
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext
from real_envoy import complaint
from test_gateways import ROUTER, WEB, bound, gateway, resource, server
from translate_mesh import reached, view_of

from artemon.model.decode import decode
from artemon.snapshot.gateway_conflicts import Conflict, conflicts
from artemon.translate.listeners import listeners
from artemon.translate.listeners.tls import CIPHERS
from artemon.translate.routes import routes
from artemon.validate import server_tls

SIMPLE = {"mode": "SIMPLE", "credentialName": "c"}
MUTUAL = {"mode": "MUTUAL", "credentialName": "c"}
FILES = {"mode": "MUTUAL", "serverCertificate": "/c", "privateKey": "/k", "caCertificates": "/r"}


def view(*objects: str) -> Any:
    return view_of("\n---\n".join((WEB, *objects)), ROUTER)


def context(tls: dict[str, Any]) -> DownstreamTlsContext:
    """The TLS of an HTTPS server with these settings."""
    seen = view(gateway(server(443, "HTTPS", ["a.com"], tls=tls)), bound("web", ["a.com"]))
    out = DownstreamTlsContext()
    listeners(seen)["0.0.0.0_443"].filter_chains[0].transport_socket.typed_config.Unpack(out)
    return out


def test_versions_and_ciphers_that_envoy_knows() -> None:
    wanted = ["ECDHE-RSA-AES128-GCM-SHA256", "RC4-MD5", "ECDHE-RSA-AES128-GCM-SHA256", "AES128-SHA"]
    limits = {"minProtocolVersion": "TLSV1_1", "maxProtocolVersion": "TLSV1_2", "cipherSuites": wanted}
    found = context({**SIMPLE, **limits}).common_tls_context.tls_params
    assert (found.tls_minimum_protocol_version, found.tls_maximum_protocol_version) == (
        TlsParameters.TLSv1_1,
        TlsParameters.TLSv1_2,
    )
    assert list(found.cipher_suites) == ["ECDHE-RSA-AES128-GCM-SHA256", "AES128-SHA"]
    assert context(SIMPLE).common_tls_context.tls_params.tls_minimum_protocol_version == TlsParameters.TLSv1_2


@pytest.mark.envoy
def test_envoy_takes_every_cipher_that_it_is_said_to_know(tmp_path: Path) -> None:
    tls = {**SIMPLE, "cipherSuites": sorted(server_tls.CIPHERS), "minProtocolVersion": "TLSV1_0"}
    assert (
        complaint(view(gateway(server(443, "HTTPS", ["a.com"], tls=tls)), bound("w", ["a.com"])), tmp_path)
        == ""
    )
    assert CIPHERS <= server_tls.CIPHERS


def test_several_credentials_and_roots_of_another_secret() -> None:
    common = context(
        {"mode": "MUTUAL", "credentialNames": ["rsa", "ecdsa"], "caCertCredentialName": "clients"}
    ).common_tls_context
    certificates = [one.name for one in common.tls_certificate_sds_secret_configs]
    assert certificates == ["kubernetes://rsa", "kubernetes://ecdsa"]
    roots = common.combined_validation_context.validation_context_sds_secret_config
    assert roots.name == "kubernetes://clients-cacert"


def test_how_clients_are_verified() -> None:
    spki, digest = "NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=", "a" * 64
    names = ["spiffe://cluster.local/ns/a/sa/b", "client.example.com"]
    checks = {"subjectAltNames": names, "verifyCertificateSpki": [spki], "verifyCertificateHash": [digest]}
    found = context({**FILES, **checks, "caCrl": "/crl"}).common_tls_context.combined_validation_context
    validation = found.default_validation_context
    assert {one.matcher.exact for one in validation.match_typed_subject_alt_names} == set(names)
    assert (list(validation.verify_certificate_spki), list(validation.verify_certificate_hash)) == (
        [spki],
        [digest],
    )
    assert validation.crl.filename == "/crl"
    assert validation.trust_chain_verification == CertificateValidationContext.VERIFY_TRUST_CHAIN


def test_skipped_verification_is_written_out() -> None:
    found = context({**MUTUAL, "insecureSkipVerify": True})
    validation = found.common_tls_context.combined_validation_context.default_validation_context
    assert validation.trust_chain_verification == CertificateValidationContext.ACCEPT_UNTRUSTED
    assert found.require_client_certificate.value


def test_a_secret_that_may_be_absent_holds_nobody_up_for_long() -> None:
    for tls in (SIMPLE, FILES):
        (certificate,) = context(tls).common_tls_context.tls_certificate_sds_secret_configs
        assert certificate.sds_config.initial_fetch_timeout.seconds == 3
    (own,) = context({"mode": "ISTIO_MUTUAL"}).common_tls_context.tls_certificate_sds_secret_configs
    assert own.sds_config.initial_fetch_timeout.seconds == 0


def test_where_a_server_listens() -> None:
    seen = view(
        gateway(
            server(80, "HTTP", ["*"], bind="127.0.9.9"),
            {
                "port": {"number": 0, "name": "u", "protocol": "HTTP"},
                "hosts": ["*"],
                "bind": "unix:///run/a.sock",
            },
        ),
        bound("web", ["a.com"]),
    )
    found = listeners(seen)
    assert found["127.0.9.9_80"].address.socket_address.address == "127.0.9.9"
    assert [one.address.pipe.path for one in found.values() if one.address.HasField("pipe")] == [
        "/run/a.sock"
    ]
    assert "http.80.127.0.9.9" in routes(seen)


@pytest.mark.parametrize("protocol", ["TCP", "MONGO", "MYSQL", "REDIS"])
def test_databases_are_bytes(protocol: str) -> None:
    rule = {"hosts": ["*"], "gateways": ["gw"], "tcp": [{"route": [{"destination": {"host": "web"}}]}]}
    seen = view(gateway(server(3306, protocol, ["*"])), resource("VirtualService", "db", rule))
    assert reached(seen, protocol="tcp", port=3306, mode="gateway")["cluster"].startswith(
        "outbound|9080||web."
    )


CASES: dict[str, tuple[list[str], list[tuple[str, str, str]]]] = {
    "same-host": (
        [gateway(server(443, "HTTPS", ["a.com"], tls=SIMPLE)),
         gateway(server(443, "HTTPS", ["a.com", "b.com"], tls=MUTUAL), name="late", year=2021)],
        [("default/late", "a.com", "default/gw")],
    ),
    "whole-server": (
        [gateway(server(443, "HTTPS", ["*"], tls=SIMPLE), name="late", year=2021),
         gateway(server(443, "TLS", ["*"], tls={"mode": "PASSTHROUGH"}))],
        [("default/late", "*", "default/gw")],
    ),
    "protocol": (
        [gateway(server(80, "HTTP", ["*"])), gateway(server(80, "TCP", ["*"]), name="late", year=2021)],
        [("default/late", "", "default/gw")],
    ),
    "two-of-bytes": (
        [gateway(server(90, "TCP", ["*"])), gateway(server(90, "MONGO", ["a.com"]), name="late", year=2021)],
        [("default/late", "*", "default/gw")],
    ),
    "plain-hosts-are-merged": (
        [gateway(server(80, "HTTP", ["a.com"])),
         gateway(server(80, "HTTP", ["a.com"]), name="late", year=2021)],
        [],
    ),
    "passed-through-goes-by-rules": (
        [gateway(server(443, "TLS", ["*"], tls={"mode": "PASSTHROUGH"})),
         gateway(server(443, "TLS", ["*"], tls={"mode": "PASSTHROUGH"}), name="late", year=2021)],
        [],
    ),
    "other-address": (
        [gateway(server(443, "HTTPS", ["a.com"], tls=SIMPLE)),
         gateway(server(443, "HTTPS", ["a.com"], tls=SIMPLE, bind="10.0.0.1"), name="late", year=2021)],
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_older_gateway_wins_and_the_later_is_named(case: str) -> None:
    written, expected = CASES[case]
    objects = [decode(json.loads(one), namespace="default") for one in written]
    found = conflicts(sorted(objects, key=lambda one: one.meta.created))
    assert [(one.gateway, one.host, one.holder) for one in found] == expected
    assert all(isinstance(one, Conflict) for one in found)


@pytest.mark.envoy
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backwards", [False, True])
def test_contention_never_breaks_a_listener(case: str, backwards: bool, tmp_path: Path) -> None:
    written, _ = CASES[case]
    web = [{"destination": {"host": "web"}}]
    tls = [{"match": [{"sniHosts": ["*"]}], "route": web}]
    rules = {"http": [{"route": web}], "tcp": [{"route": web}], "tls": tls}
    http = {"hosts": ["*"], "gateways": ["gw", "late"], **rules}
    order = written[::-1] if backwards else written
    assert complaint(view(*order, resource("VirtualService", "w", http)), tmp_path) == ""


def test_what_is_not_contended_stays_with_the_later_one() -> None:
    written, _ = CASES["same-host"]
    rule = {"hosts": ["*.com"], "gateways": ["gw", "late"],
            "http": [{"route": [{"destination": {"host": "web"}}]}]}  # fmt: skip
    seen = view(*written, resource("VirtualService", "w", {**rule, "hosts": ["a.com", "b.com"]}))
    for host, name in (("a.com", "gw"), ("b.com", "late")):
        found = reached(seen, protocol="http", port=443, tls="tls", host=host, sni=host, mode="gateway")
        assert found["routeConfig"] == f"https.443.https-443.{name}.default"
        assert found["virtualHost"] == f"{host}:443"


def test_auto_passthrough_opens_nothing_by_rules() -> None:
    tls = [{"match": [{"sniHosts": ["a.com"]}], "route": [{"destination": {"host": "web"}}]}]
    rule = resource("VirtualService", "web", {"hosts": ["a.com"], "gateways": ["gw"], "tls": tls})
    seen = view(gateway(server(443, "TLS", ["*.com"], tls={"mode": "AUTO_PASSTHROUGH"})), rule)
    assert listeners(seen) == {}
