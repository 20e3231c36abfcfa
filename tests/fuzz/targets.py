"""What is fuzzed: every parser that sees bytes from the network or the registry. Each takes anything, and
raises nothing but what it promises; whatever else comes out is a finding."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from envoy.service.discovery.v3 import discovery_pb2
from more_targets import MORE

from artemon import validate
from artemon.errors import Refused
from artemon.model.decode import load_json, load_yaml
from artemon.model.plaintext import PlaintextReport
from artemon.model.tolerant import decode_tolerantly
from artemon.model.workload import decode_workload
from artemon.pki import jwt, signing
from artemon.pki.bundle import Bundle
from artemon.pki.certificate import Authority, chain_pem, load_certificates, make_root
from artemon.pki.csr import check_csr, make_csr, requested_identity
from artemon.pki.endorsement import Endorsement, check_endorsement
from artemon.pki.errors import CertificateRefused, CsrRefused, InvalidSpiffeId, KeyRefused
from artemon.pki.keys import generate_key, load_private_key
from artemon.pki.request import IntermediateRequest, ask, judge
from artemon.pki.spiffe import SpiffeId, SpiffeUri
from artemon.pki.verify import UNREADABLE, verify_chain
from artemon.snapshot import records
from artemon.store.api import Entry
from artemon.xds.request import Malformed, TooMuch, parse_delta, parse_sotw
from artemon.xds.types import CLUSTER
from citadeld.attestors.unix import unit_of
from citadeld.attestors.x509 import facts_of
from citadeld.decision import Denied
from citadeld.peers import question
from galleyd import body, history, patch, protobuf
from galleyd.discovery import wants_aggregated
from galleyd.forms import asked_form
from galleyd.secrets import from_protobuf
from galleyd.selectors import selector
from galleyd.status import ApiError
from galleyd.writes import decode as decode_stored
from pilotd.node import WrongNode, proxy_of, workload_of

Target = Callable[[bytes], None]


def _authority() -> Authority:
    key = generate_key()
    made = make_root(key, "a", serial=1, now=datetime(2026, 1, 1, tzinfo=UTC), lifetime=timedelta(days=1))
    return Authority(made, key)


NOW = datetime(2026, 1, 1, tzinfo=UTC)
CALLER = SpiffeId("cluster.local", "shop", "cart")
KEY = signing.SigningKey.new()
CSR = make_csr(generate_key(), CALLER)
AUTHORITY = _authority()
LEAF = chain_pem([AUTHORITY.certificate])
SAMPLE = {"spec": {"hosts": ["a"], "http": [{"timeout": "1s"}]}, "metadata": {"labels": {"a": "b"}}}


@dataclass(frozen=True)
class Fuzzed:
    """A parser and texts that it knows, to begin with."""

    run: Target
    seeds: tuple[bytes, ...] = (b"",)


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def spiffe(data: bytes) -> None:
    for parse in (SpiffeId.parse, SpiffeUri.parse):
        try:
            found = parse(text(data))
        except InvalidSpiffeId:
            continue
        assert str(found) == text(data), "what is taken means itself alone"


def csr(data: bytes) -> None:
    try:
        requested_identity(data)
        check_csr(data, CALLER)
    except (CsrRefused, KeyRefused):
        return


def certificates(data: bytes) -> None:
    try:
        chain = load_certificates(data)
        verify_chain(chain, chain[-1:], now=NOW)
    except CertificateRefused:
        return


def private_key(data: bytes) -> None:
    try:
        load_private_key(data)
    except KeyRefused:
        return


def bundle(data: bytes) -> None:
    try:
        Bundle.decode(data)
    except CertificateRefused:
        return


def endorsement(data: bytes) -> None:
    try:
        one = Endorsement.decode(data)
        check_endorsement(one, roots_pem=one.chain_pem, endorser=CALLER, mesh="default")
    except CertificateRefused:
        return


def signed_value(data: bytes) -> None:
    rest, signature = signing.split(data)
    assert signature is None or not signing.fits(signature, rest, KEY.public, place="p")
    if data[:1] == b"{" and data[-1:] == b"}" and len(data) > 2:
        again, found = signing.split(signing.sign(data, KEY, place="p", sequence=1))
        assert again == data
        assert found is not None
        assert signing.fits(found, data, KEY.public, place="p")


def intermediate_request(data: bytes) -> None:
    try:
        judge(IntermediateRequest.decode(data), load_certificates(LEAF), now=NOW)
    except CertificateRefused:
        return


def report_of_callers(data: bytes) -> None:
    try:
        PlaintextReport.decode(text(data))
    except Refused:
        return


def evidence(data: bytes) -> None:
    """What a machine's certificate says, and the line of a process."""
    unit_of(text(data))
    try:
        for one in load_certificates(data):
            facts_of(one, one)
    except (CertificateRefused, *UNREADABLE):
        return
    finally:
        with suppress(Denied):
            question(data)


def token(data: bytes) -> None:
    jwt.key_id(text(data))
    jwt.claimed_issuer(text(data))
    try:
        jwt.verify(text(data), (), issuer="i", audiences=["a"], now=NOW)
    except jwt.JwtRefused:
        return
    raise AssertionError("a token was taken that nobody signed")


def token_keys(data: bytes) -> None:
    try:
        jwt.read_keys(data)
    except jwt.JwtRefused:
        return


def json_body(data: bytes) -> None:
    try:
        body.parse_json(data)
    except ApiError:
        return


def yaml_body(data: bytes) -> None:
    try:
        body.parse_yaml(data)
    except ApiError:
        return


def yaml_objects(data: bytes) -> None:
    try:
        load_yaml(data.decode("utf-8", "replace"))
    except Refused:
        return


def protobuf_body(data: bytes) -> None:
    for read in (protobuf.raw, from_protobuf, lambda content: protobuf.text(protobuf.raw(content), 2, 1, 4)):
        try:
            read(data)
        except ApiError:
            continue


def selectors(data: bytes) -> None:
    for pair in ((text(data), ""), ("", text(data))):
        try:
            selector(*pair)(SAMPLE)
        except ApiError:
            continue


def accept_header(data: bytes) -> None:
    asked_form(text(data))
    wants_aggregated(text(data))


def patches(data: bytes) -> None:
    try:
        wanted = body.parse_json(data)
    except ApiError:
        return
    for change in (patch.merge, patch.json_patch):
        try:
            change(json.loads(json.dumps(SAMPLE)), wanted)
        except ApiError:
            continue


def config_object(data: bytes) -> None:
    """Decode and validate, as galleyd does."""
    try:
        found = load_json(data)
    except Refused:
        return
    if not isinstance(found, dict):
        return
    decoded = decode_tolerantly(found)
    if decoded.resource is not None:
        list(validate.problems(decoded.resource))
        validate.untranslated(decoded.resource)


KEYS = ("mesh", "config/virtualservices/shop/a", "workloads/shop/cart/a", "secrets/shop/a", "config/x")


def registry_value(data: bytes) -> None:
    """What pilotd reads: nothing in it may do more than be told as bad."""
    for key in (
        "mesh",
        "config/virtualservices/shop/a",
        "workloads/shop/cart/a",
        "secrets/shop/a",
        "config/x",
    ):
        records.read(key, data, check=validate.problems, check_mesh=validate.mesh_problems)
    decode_stored(Entry("k", data, 1))
    try:
        decode_workload("shop", data)
    except Refused:
        return


def history_record(data: bytes) -> None:
    try:
        history.decode(data)
    except (ValueError, RecursionError):
        return


def discovery_request(data: bytes) -> None:
    """The first bytes that a proxy sends, and the node in them."""
    for parse in (parse_delta, parse_sotw):
        try:
            _, node = parse(data)
            if node is not None:
                workload_of(proxy_of(node))
        except (Malformed, TooMuch, WrongNode):
            continue


def _config(kind: str, spec: object) -> bytes:
    group = "security" if kind == "AuthorizationPolicy" else "networking"
    head = {"apiVersion": f"{group}.istio.io/v1", "kind": kind}
    return json.dumps({**head, "metadata": {"name": "a", "namespace": "shop"}, "spec": spec}).encode()


PORTS = [{"number": 1, "name": "a"}]
CONFIGS = (
    _config("VirtualService", {"hosts": ["a"], "http": [{"match": [{"uri": {"regex": "a.*"}}]}]}),
    _config("ServiceEntry", {"hosts": ["a.com"], "addresses": ["10.0.0.0/8"], "ports": PORTS}),
    _config("AuthorizationPolicy", {"rules": [{"from": [{"source": {"ipBlocks": ["1.2.3.4"]}}]}]}),
    b'{"apiVersion":"access.artemon.io/v1","kind":"RoleBinding","metadata":{"name":"a","namespace":"b"},'
    b'"spec":{"role":"editor","subjects":[{"kind":"User","name":"x"}]}}',
)
JWT_SEED = b"eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJpIiwiYXVkIjoiYSIsInN1YiI6InMiLCJleHAiOjF9.AAAA"
PEM = b"-----BEGIN %s-----\nMIIB\n-----END %s-----\n"
PAPERS = b'{"key":"","at":"2026-01-01T00:00:00+00:00","chain":"","signature":""}'
JWKS = b'{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"a"}]}'
PACKED = b'{"at":"x","who":"y","packed":"H4sIAAAAAAAA/4qOBQAAAP//"}'
TABLE = b"application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
JSON_PATCH = b'[{"op":"move","from":"/spec/hosts/0","path":"/spec/x"}]'
WORKLOAD = b'{"node":"a","service":"cart","ports":[{"number":1}]}'


def _first_request() -> bytes:
    request = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, resource_names_subscribe=["*"])
    request.node.id = "sidecar~10.0.0.1~a.shop~shop.svc.cluster.local"
    ports = '[{"name":"http","number":80,"protocol":"HTTP","listenPort":80,"appPort":8080}]'
    request.node.metadata.update({"NAMESPACE": "shop", "SERVICE_ACCOUNT": "a", "ARTEMON_PORTS": ports})
    content: bytes = request.SerializeToString()
    return content


TARGETS: dict[str, Fuzzed] = {
    "spiffe": Fuzzed(spiffe, (b"spiffe://cluster.local/ns/shop/sa/cart",)),
    "csr": Fuzzed(csr, (CSR,)),
    "certificates": Fuzzed(certificates, (PEM.replace(b"%s", b"CERTIFICATE"),)),
    "private_key": Fuzzed(private_key, (PEM.replace(b"%s", b"PRIVATE KEY"),)),
    "bundle": Fuzzed(bundle, (b'{"trustDomain":"a","sequence":1,"roots":[""],"intermediates":[]}',)),
    "endorsement": Fuzzed(endorsement, (PAPERS,)),
    "intermediate_request": Fuzzed(intermediate_request, (ask(AUTHORITY.key, "r", AUTHORITY).encode(),)),
    "report_of_callers": Fuzzed(report_of_callers, (b'{"since":"t","seen":[]}',)),
    "evidence": Fuzzed(evidence, (LEAF, b"0::/system.slice/a.service", b'{"csr":"x","node":"y"}')),
    "signed_value": Fuzzed(signed_value, (signing.sign(b'{"a":1}', KEY, place="q", sequence=1),)),
    "token": Fuzzed(token, (JWT_SEED,)),
    "token_keys": Fuzzed(token_keys, (JWKS,)),
    "json_body": Fuzzed(json_body, CONFIGS),
    "yaml_body": Fuzzed(yaml_body, (b"a: {b: [1, '2']}\n---\nc: |\n  d\n", *CONFIGS)),
    "yaml_objects": Fuzzed(yaml_objects, (b"kind: List\nitems: [{kind: A}]\n", *CONFIGS)),
    "protobuf_body": Fuzzed(protobuf_body, (b"k8s\0\n\x10\n\x02v1\x12\nSecret\x12\x05\n\x03\n\x01a",)),
    "selectors": Fuzzed(selectors, (b"a=b,c!=d,e in (f,g),!h", b"metadata.name=a")),
    "accept_header": Fuzzed(accept_header, (TABLE,)),
    "patches": Fuzzed(patches, (JSON_PATCH, b'{"spec":null}')),
    "config_object": Fuzzed(config_object, CONFIGS),
    "registry_value": Fuzzed(registry_value, (*CONFIGS, WORKLOAD)),
    "history_record": Fuzzed(history_record, (PACKED, PACKED.replace(b"AAAP", b"AAsP"))),
    "discovery_request": Fuzzed(discovery_request, (_first_request(),)),
    **{name: Fuzzed(*one) for name, one in MORE.items()},
}
"""Name -> what is fuzzed under it."""


def check(name: str, data: bytes) -> None:
    """Run one target once; for reproducing a finding."""
    TARGETS[name].run(data)
