"""Certificates of a real cluster's Secrets at a real gateway: who gets which, changes, refusals."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from cluster_site import NS, ClusterMesh
from cryptography import x509
from edge_site import GATEWAYS, EdgeGateway, in_words, status_of, written
from gateway_certificates import Certificates, Issued
from kube_server import until

pytestmark = [pytest.mark.kube, pytest.mark.envoy, pytest.mark.timeout(300)]
ISTIO = "/apis/networking.istio.io/v1/namespaces/shop/gateways"
GRANTS = "/apis/gateway.networking.k8s.io/v1beta1/namespaces/lent/referencegrants"
SITE = Certificates()


@pytest.fixture(scope="module")
def edge(cluster_mesh: ClusterMesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeGateway]:
    made = EdgeGateway(cluster_mesh, tmp_path_factory.mktemp("edge"), "tls")
    try:
        made.start()
        yield made
    finally:
        made.stop()


def coded(**data: bytes) -> dict[str, str]:
    return {name.replace("_", "."): base64.b64encode(value).decode() for name, value in data.items()}


def keep(mesh: ClusterMesh, name: str, one: Issued, *, space: str = "shop") -> None:
    """A certificate as a Secret of the cluster, new or in the place of another."""
    place = f"/api/v1/namespaces/{space}/secrets"
    data = coded(tls_crt=one.chain, tls_key=one.key)
    if mesh.kube.found(f"{place}/{name}"):
        mesh.kube.call("PATCH", f"{place}/{name}", {"data": data})
    else:
        mesh.kube.create(place, {"metadata": {"name": name}, "type": "kubernetes.io/tls", "data": data})


def serial(found: x509.Certificate | None) -> int:
    return found.serial_number if found else 0


def kept(mesh: ClusterMesh) -> str:
    return mesh.meshctl("get", "secrets", "-A", "-o", "yaml")


def istio_gateway(name: str, host: str, secret: str) -> dict[str, Any]:
    tls = {"mode": "SIMPLE", "credentialName": secret}
    server = {"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": [host], "tls": tls}
    spec = {"selector": {"istio": "ingressgateway"}, "servers": [server]}
    head = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": name}}
    return {**head, "spec": spec}


def test_a_gateways_secret_is_served_and_its_changes_are(
    cluster_mesh: ClusterMesh, edge: EdgeGateway
) -> None:
    mesh, kube = cluster_mesh, cluster_mesh.kube
    first, second = SITE.issue("a.example"), SITE.issue("a.example")
    keep(mesh, "unnamed", SITE.issue("b.example"))
    keep(mesh, "a", SITE.issue("a.example"), space="default")
    until(lambda: kube.create(ISTIO, istio_gateway("tls", "a.example", "a")), "the webhook")
    until(lambda: kube.call("GET", f"{ISTIO}/tls").get("status"), "the Gateway taken")
    until(lambda: edge.is_open(443), "the listener")
    assert edge.shown("a.example") is None, "there is no certificate yet"
    keep(mesh, "a", first)
    until(lambda: serial(edge.shown("a.example")) == first.own[0].serial_number, "the certificate")
    process = edge.envoy()
    keep(mesh, "a", second)
    until(lambda: serial(edge.shown("a.example")) == second.own[0].serial_number, "the new one")
    assert edge.envoy() == process
    assert "name: a\n" in kept(mesh)
    assert "unnamed" not in kept(mesh), "a Secret was read that nothing names"
    assert "namespace: default" not in kept(mesh), "a namespace was read that is not to be"
    broken = coded(tls_crt=second.chain, tls_key=first.key)
    kube.call("PATCH", f"{NS}/secrets/a", {"data": broken})
    until(lambda: "data.tls.key" in mesh.log("galleyd") or "tls.key" in mesh.log("galleyd"), "the reason")
    assert serial(edge.shown("a.example")) == second.own[0].serial_number, "the last good one is in force"
    kube.call("DELETE", f"{ISTIO}/tls")
    until(lambda: "name: a\n" not in kept(mesh), "what nothing names any more is taken out")
    kube.call("DELETE", f"{NS}/secrets/a")
    kube.call("DELETE", f"{NS}/secrets/unnamed")


def test_gateway_api_says_what_it_lacks_and_borrows_by_a_grant(
    cluster_mesh: ClusterMesh, edge: EdgeGateway
) -> None:
    mesh, kube = cluster_mesh, cluster_mesh.kube
    own, lent = SITE.issue("own.example"), SITE.issue("lent.example")

    def listener(name: str, ref: dict[str, str]) -> dict[str, Any]:
        tls = {"certificateRefs": [{"kind": "Secret", **ref}]}
        host = {"hostname": f"{name}.example"}
        return {"name": name, "port": 443, "protocol": "HTTPS", "tls": tls, **host}

    listeners = [listener("own", {"name": "own"}), listener("lent", {"name": "cert", "namespace": "lent"})]
    spec = {"gatewayClassName": "istio", "listeners": listeners}
    until(lambda: kube.create(GATEWAYS, written("Gateway", "edge", spec)), "the Gateway's storage")

    def said(name: str) -> tuple[str, str]:
        found = status_of(mesh, f"{GATEWAYS}/edge").get("listeners") or ()
        words = {one["name"]: in_words(one["conditions"]) for one in found}
        return words.get(name, {}).get("ResolvedRefs", ("", ""))

    until(lambda: said("own") == ("False", "InvalidCertificateRef"), "no Secret")
    until(lambda: said("lent") == ("False", "RefNotPermitted"), "no grant")
    keep(mesh, "own", own)
    keep(mesh, "cert", lent, space="lent")
    until(lambda: said("own") == ("True", "ResolvedRefs"), "the Secret found")
    until(lambda: serial(edge.shown("own.example")) == own.own[0].serial_number, "its own")
    assert edge.shown("lent.example") is None
    whose = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "shop"}
    grant = {"from": [whose], "to": [{"group": "", "kind": "Secret", "name": "cert"}]}
    head = {"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant"}
    until(
        lambda: kube.create(GRANTS, {**head, "metadata": {"name": "lend"}, "spec": grant}),
        "the grant's storage",
    )
    until(lambda: serial(edge.shown("lent.example")) == lent.own[0].serial_number, "what is lent")
    until(lambda: said("lent") == ("True", "ResolvedRefs"), "its status")
    kube.call("DELETE", f"{GRANTS}/lend")
    until(lambda: edge.shown("lent.example") is None, "what is lent no longer")
    kube.call("DELETE", f"{GATEWAYS}/edge")
    for path in (f"{NS}/secrets/own", "/api/v1/namespaces/lent/secrets/cert"):
        kube.call("DELETE", path)
