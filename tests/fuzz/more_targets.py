"""More of what sees bytes of others: webhooks, attestation, DNS, telemetry, key sets, records of registries,
and policies that become filters."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import cache

from cryptography import x509
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from artemon.daemon.addresses import Forbidden, check_url
from artemon.errors import Refused
from artemon.inject import Injector
from artemon.kube import admission
from artemon.model.decode import load_json
from artemon.model.mesh_config import MeshConfig
from artemon.model.proxy import Proxy
from artemon.model.tolerant import decode_tolerantly
from artemon.pki.csr import requested_identity
from artemon.pki.errors import CertificateRefused, CsrRefused
from artemon.pki.revocation import Ban, Revocation, RevocationList
from artemon.registry.etcd import convert
from artemon.registry.files import read_proxy, snapshot_of
from artemon.translate.guard import guard_of
from artemon.translate.translator import messages
from artemon.validate import problems
from citadeld.attestors.x509 import facts_of
from citadeld.decision import Denied
from citadeld.peers import question as attestation_line
from injectord.review import answer
from mixerd import reading
from mixerd.records import Reporter
from pilotd.keysets.fetch import NotFetched, public_keys
from proxyd.dns.answers import Answers, Foreign
from proxyd.dns.table import Table

Target = Callable[[bytes], None]
REPORTER = Reporter("shop", "cart", "cart-1")


@cache
def _injector() -> Injector:
    return Injector()


@cache
def _proxy() -> Proxy:
    port = {"number": 80, "name": "http", "protocol": "HTTP", "listenPort": 80, "appPort": 8080}
    metadata = {"INTERCEPTION_MODE": "NONE", "ARTEMON_PORTS": [port]}
    return read_proxy({"namespace": "shop", "metadata": metadata})


def review(data: bytes) -> None:
    """What an API server asks injectord; galleyd reads the same."""
    try:
        asked = admission.read(data)
    except admission.Malformed:
        return
    answer(asked, lambda obj, namespace: _injector().inject(obj, namespace=namespace))


def attestation(data: bytes) -> None:
    try:
        attestation_line(data)
    except Denied:
        return


def csr_identity(data: bytes) -> None:
    try:
        requested_identity(data)
    except CsrRefused:
        return


def certificate_facts(data: bytes) -> None:
    try:
        certificate = x509.load_der_x509_certificate(data)
    except (ValueError, x509.InvalidVersion):
        return
    try:
        facts_of(certificate, certificate)
    except (CertificateRefused, ValueError):
        return


def revocation(data: bytes) -> None:
    for kind in (Revocation, Ban, RevocationList):
        try:
            kind.decode(data)
        except CertificateRefused:
            continue


def key_url(data: bytes) -> None:
    try:
        check_url(data.decode("utf-8", "replace"))
    except Forbidden:
        return


def key_set(data: bytes) -> None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(found, dict):
        try:
            public_keys("x", found)
        except NotFetched:
            return


def dns_query(data: bytes) -> None:
    for datagram in (True, False):
        found = Answers(Table([], namespace="shop"), random.Random(1)).answer(data, datagram=datagram)
        assert found is None or isinstance(found, Foreign) or found[:2] == data[:2]


def access_log(data: bytes) -> None:
    try:
        message = StreamAccessLogsMessage.FromString(data)
    except DecodeError:
        return
    for one in message.http_logs.log_entry:
        reading.request(one, REPORTER)
    for one in message.tcp_logs.log_entry:
        reading.connection(one, REPORTER)


def spans(data: bytes) -> None:
    try:
        message = ExportTraceServiceRequest.FromString(data)
    except DecodeError:
        return
    list(reading.spans(message, REPORTER))


def registered_instance(data: bytes) -> None:
    """What applications write of themselves into etcd."""
    try:
        convert.read(("shop", "cart"), data)
    except Refused:
        return


def policy(data: bytes) -> None:
    """A policy that validation accepts is translated, and what comes out is a message of Envoy's."""
    try:
        found = load_json(data)
    except Refused:
        return
    if not isinstance(found, dict) or found.get("kind") != "AuthorizationPolicy":
        return
    decoded = decode_tolerantly(found)
    resource = decoded.resource
    if resource is None or decoded.unknown or any(one.level == "error" for one in problems(resource)):
        return
    view = snapshot_of([found], MeshConfig()).view(_proxy())
    guard = guard_of(view)
    for one in (*guard.http, *guard.network):
        assert type(one).FromString(one.SerializeToString()) == one
    assert messages(view)


def _review() -> bytes:
    pod = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "app", "image": "x"}]}}
    request = {"uid": "1", "operation": "CREATE", "namespace": "shop", "object": {"kind": "Pod", **pod}}
    return json.dumps(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    ).encode()


def _policy() -> bytes:
    rule = {
        "from": [{"source": {"principals": ["a/ns/b/sa/c"], "notNamespaces": ["x*"]}}],
        "to": [{"operation": {"paths": ["/a/{*}"], "hosts": ["a.b"], "methods": ["G*"]}}],
        "when": [{"key": "request.headers[x]", "values": ["*y"]}],
    }
    meta = {"name": "a", "namespace": "shop"}
    head = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": meta}
    return json.dumps({**head, "spec": {"action": "DENY", "rules": [rule]}}).encode()


def _log() -> bytes:
    message = StreamAccessLogsMessage()
    one = message.http_logs.log_entry.add()
    one.request.path = "/a"
    one.common_properties.upstream_cluster = "outbound|80|v1|a.shop.svc.cluster.local"
    peer = one.common_properties.tls_properties.peer_certificate_properties
    peer.subject_alt_name.add().uri = "spiffe://cluster.local/ns/shop/sa/web"
    peer.subject = "UID=a/b/c/d/e/f"
    content: bytes = message.SerializeToString()
    return content


QUERY = b"\0\1\1\0\0\1\0\0\0\0\0\0\1a\4shop\3svc\7cluster\5local\0\0\1\0\1"
MORE: dict[str, tuple[Target, tuple[bytes, ...]]] = {
    "review": (review, (_review(),)),
    "attestation": (attestation, (b'{"csr":"x","seconds":60,"node":"a"}',)),
    "csr_identity": (csr_identity, (b"-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n",)),
    "certificate_facts": (certificate_facts, (b"0\x82\1\0",)),
    "revocation": (revocation, (b'{"issuer":"a","number":1,"pem":"x"}',)),
    "key_url": (key_url, (b"https://issuer.example/keys", b"http://[::ffff:127.0.0.1]:2379/")),
    "key_set": (key_set, (b'{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}',)),
    "dns_query": (dns_query, (QUERY,)),
    "access_log": (access_log, (_log(),)),
    "spans": (spans, (b"\n\6\x12\4\x12\2\x30\x7f",)),
    "registered_instance": (registered_instance, (b'{"address":"10.0.0.1","port":80,"protocol":"http"}',)),
    "policy": (policy, (_policy(),)),
}
"""Name -> what is fuzzed, and texts to begin with."""
