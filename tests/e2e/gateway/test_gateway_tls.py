"""A real gateway with secrets from galleyd: every way in which its servers treat TLS."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from gateway_certificates import Certificates
from gateway_site import GATEWAY, Site, application, behind, refused, resource, secret, server
from real_envoy import envoy

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(300)]

STRANGERS = Certificates("Elsewhere")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    envoy()
    folder = tmp_path_factory.mktemp("site")
    made = Site(folder)
    issued = {
        name: made.certificates.issue(f"{name}.example.com") for name in ("web", "mutual", "optional", "api")
    }
    passed = made.certificates.issue("pass.example.com").save(folder / "passed")
    web, tls = application("web"), application("pass", passed)
    try:
        made.up(80, 443, 9000)
        made.apply(
            *(secret(name, one, roots=made.certificates.roots) for name, one in issued.items()),
            secret("other", made.certificates.issue("other.example.com"), space="elsewhere"),
            behind("web.test", web, "HTTP"),
            behind("pass.test", tls, "TLS"),
            resource("Gateway", "edge", selector={"istio": "edge"}, servers=[
                server(80, "HTTP", "*.example.com", tls={"httpsRedirect": True}),
                server(443, "HTTPS", "web.example.com", tls={"mode": "SIMPLE", "credentialName": "web"}),
                server(443, "HTTPS", "mutual.example.com",
                       tls={"mode": "MUTUAL", "credentialName": "mutual"}),
                server(443, "HTTPS", "optional.example.com",
                       tls={"mode": "OPTIONAL_MUTUAL", "credentialName": "optional"}),
                server(443, "HTTPS", "other.example.com", tls={"mode": "SIMPLE", "credentialName": "other"}),
                server(443, "HTTPS", "stolen.example.com",
                       tls={"mode": "SIMPLE", "credentialName": "kubernetes-gateway://elsewhere/other"}),
                server(443, "HTTPS", "absent.example.com",
                       tls={"mode": "SIMPLE", "credentialName": "absent"}),
                server(443, "TLS", "pass.example.com", tls={"mode": "PASSTHROUGH"}),
                server(443, "TLS", "bytes.example.com", tls={"mode": "SIMPLE", "credentialName": "api"}),
                server(9000, "TCP", "*"),
            ]),
            resource("VirtualService", "web", hosts=["*.example.com"], gateways=["edge"],
                     http=[{"route": [{"destination": {"host": "web.test"}}]}],
                     tls=[{"match": [{"sniHosts": ["pass.example.com"]}],
                           "route": [{"destination": {"host": "pass.test"}}]}],
                     tcp=[{"match": [{"port": 443}], "route": [{"destination": {"host": "web.test"}}]}]),
            resource("VirtualService", "bytes", hosts=["*"], gateways=["edge"],
                     tcp=[{"match": [{"port": 9000}], "route": [{"destination": {"host": "web.test"}}]}]),
        )  # fmt: skip
        made.eventually(lambda: made.get(443, "web.example.com").status == 200, "the gateway serves")
        yield made
    finally:
        made.down()


def test_https_ends_with_the_certificate_of_the_credential(site: Site) -> None:
    answer = site.get(443, "web.example.com")
    assert (answer.status, answer.body["server"]) == (200, "web")
    assert answer.body["x-forwarded-proto"] == "https"


def test_mutual_wants_a_certificate_of_the_credentials_roots(site: Site) -> None:
    ours = site.certificates.issue("client.example.com").save(site.folder / "client")
    theirs = STRANGERS.issue("client.example.com").save(site.folder / "stranger")
    answer = site.get(443, "mutual.example.com", client=ours)
    assert answer.status == 200
    assert "DNS=client.example.com" in answer.body["x-forwarded-client-cert"]
    assert refused(lambda: site.get(443, "mutual.example.com"))
    assert refused(lambda: site.get(443, "mutual.example.com", client=theirs))


def test_optional_mutual_wants_none_but_a_good_one(site: Site) -> None:
    ours = site.certificates.issue("client.example.com").save(site.folder / "client")
    theirs = STRANGERS.issue("client.example.com").save(site.folder / "stranger")
    assert site.get(443, "optional.example.com").status == 200
    assert "x-forwarded-client-cert" in site.get(443, "optional.example.com", client=ours).body
    assert refused(lambda: site.get(443, "optional.example.com", client=theirs))


def test_passthrough_goes_by_server_name(site: Site) -> None:
    assert site.get(443, "pass.example.com").body["server"] == "pass"


def test_tls_ends_and_bytes_go_on(site: Site) -> None:
    assert refused(lambda: site.get(443, "bytes.example.com")), "the certificate is api's"
    site.apply(secret("api", site.certificates.issue("bytes.example.com")))
    answer = site.eventually(lambda: site.get(443, "bytes.example.com"), "the secret is the new one")
    assert answer.body["server"] == "web"
    assert "x-forwarded-proto" not in answer.body, "nobody looked into the bytes"


def test_bytes_of_plain_ports_go_on(site: Site) -> None:
    with socket.create_connection((GATEWAY, site.ports[9000]), timeout=5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: whatever\r\nConnection: close\r\n\r\n")
        assert b'"server": "web"' in b"".join(iter(lambda: raw.recv(4096), b""))


def test_plain_requests_are_sent_to_https(site: Site) -> None:
    answer = site.get(80, "web.example.com", "/page", tls=False)
    assert (answer.status, answer.headers["location"]) == (301, "https://web.example.com/page")
    assert site.get(80, "web.other.com", tls=False).status == 404


@pytest.mark.parametrize("host", ["other.example.com", "stolen.example.com", "absent.example.com"])
def test_a_secret_that_may_not_be_had_closes_its_own_server_alone(site: Site, host: str) -> None:
    assert refused(lambda: site.get(443, host))
    assert site.get(443, "web.example.com").status == 200


def test_names_that_no_server_has_are_refused(site: Site) -> None:
    assert refused(lambda: site.get(443, "unknown.example.com"))


def test_a_renewed_certificate_is_shown_without_a_break(site: Site) -> None:
    before = site.get(443, "web.example.com").shown
    with site.connect(443, "web.example.com") as kept:
        site.apply(secret("web", site.certificates.issue("web.example.com"), roots=site.certificates.roots))
        site.eventually(lambda: site.get(443, "web.example.com").shown != before, "the new certificate")
        kept.sendall(b"GET / HTTP/1.1\r\nHost: web.example.com\r\n\r\n")
        assert kept.recv(4096).startswith(b"HTTP/1.1 200"), "the listener was not replaced"


def test_an_absent_secret_that_comes_opens_its_server(site: Site) -> None:
    site.apply(secret("absent", site.certificates.issue("absent.example.com")))
    site.eventually(lambda: site.get(443, "absent.example.com").status == 200, "the server opens")
    assert site.get(443, "web.example.com").status == 200


def test_nothing_readable_is_left_behind(site: Site) -> None:
    issued = site.certificates.issue("canary.example.com")
    site.apply(secret("canary", issued))
    canaries = [issued.key.splitlines()[2], issued.chain.splitlines()[2]]
    stores = [*site.home.glob("mesh.db*"), *site.home.glob("pilotd/*.snapshot"), *site.home.glob("log/*")]
    assert len(stores) > 3
    for path in (*stores, site.folder / "proxyd.log"):
        held = path.read_bytes()
        assert not any(canary in held for canary in canaries), path
        assert b"PRIVATE KEY" not in held, path
    for file in (site.folder / "gateway").iterdir():
        assert b"PRIVATE KEY" not in file.read_bytes() or file.stat().st_mode & 0o077 == 0, file


def test_what_is_shown_names_secrets_only(site: Site) -> None:
    told = site.meshctl("proxy-config", "secrets", "gateway.edge")
    rows = {line.split()[0]: line.split()[1] for line in told.splitlines()[1:]}
    assert rows["kubernetes://web"] == "pilotd"
    assert rows["kubernetes://other"] == rows["kubernetes-gateway://elsewhere/other"] == "ABSENT"
    listed = site.meshctl("get", "secrets", "-n", "edge", "-o", "yaml")
    assert "artemon.io/keys: ca.crt,tls.crt,tls.key" in listed
    for text in (told, listed, site.meshctl("proxy-config", "all", "gateway.edge", "-o", "json")):
        assert "PRIVATE" not in text
        assert "LS0tLS1CRUdJTi" not in text


def test_a_deleted_secret_leaves_the_gateway_in_step(site: Site) -> None:
    site.apply(secret("absent", site.certificates.issue("absent.example.com")))
    told = site.meshctl("delete", "secret", "absent", "-n", "edge", "--wait")
    assert "Secret/edge/absent deleted" in told
    assert "1/1 proxies" in told, told
    assert site.get(443, "web.example.com").status == 200
    told = site.meshctl("proxy-status")
    assert "NACKED" not in told, told


def test_the_gateway_serves_alone(site: Site) -> None:
    """With everything dead, a restarted gateway has its certificates still."""
    site.meshctl("down", "--dir", str(site.home))
    assert site.proxyd is not None
    site.proxyd.terminate()
    site.proxyd.wait(15)
    site.start()
    site.eventually(lambda: site.get(443, "web.example.com").status == 200, "served from what was kept")
    assert refused(lambda: site.get(443, "absent.example.com"))
