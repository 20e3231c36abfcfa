"""Who calls: the fields of a policy about the source, as Envoy's principals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_network

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.rbac.v3.rbac_pb2 import Principal
from envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from envoy.type.matcher.v3.value_pb2 import ValueMatcher

from artemon.translate.authz.ground import Ground, NotHere, Speech
from artemon.translate.authz.texts import ANY_TEXT, header, not_plain, regex, text
from artemon.translate.authz.trust import with_aliases

SPIFFE = "spiffe://"
JWT = "envoy.filters.http.jwt_authn"
PAYLOAD = "payload"


def authenticated(matcher: StringMatcher) -> Principal:
    """A caller whose certificate names it so."""
    return Principal(authenticated=Principal.Authenticated(principal_name=matcher))


def somebody() -> Principal:
    """Any caller with an identity."""
    return authenticated(regex(ANY_TEXT))


def principals(values: Sequence[str], ground: Ground, _wide: bool) -> list[Principal]:
    """By SPIFFE ID without its scheme, under every trust domain of the mesh."""
    return [authenticated(_identity(one)) for one in with_aliases(values, ground.trust_domains)]


def _identity(value: str) -> StringMatcher:
    if value == "*":
        return regex(ANY_TEXT)
    if value.startswith("*"):
        return regex(f"{SPIFFE}.*{re.escape(value[1:])}")
    if value.endswith("*"):
        return StringMatcher(prefix=SPIFFE + value[:-1])
    return StringMatcher(exact=SPIFFE + value)


def namespaces(values: Sequence[str], _: Ground, _wide: bool) -> list[Principal]:
    """By namespace; `*` anywhere in it stands for any text."""
    return [authenticated(regex(f".*/ns/{_starred(one)}/.*")) for one in values]


def _starred(value: str) -> str:
    return re.escape(value).replace(re.escape("*"), ".*")


def service_accounts(values: Sequence[str], ground: Ground, _wide: bool) -> list[Principal]:
    """By service account, `[<namespace>/]<name>`; without a namespace it is the policy's."""
    return [authenticated(regex(_account(one, ground.namespace))) for one in values]


def _account(value: str, namespace: str) -> str:
    written, slash, name = value.rpartition("/")
    space = re.escape(written if slash else namespace)
    return f"{SPIFFE}.+/ns/{space}/(.+/|)sa/{re.escape(name)}(/.+)?"


def trust_domains(values: Sequence[str], _: Ground, _wide: bool) -> list[Principal]:
    """By trust domain."""
    return [authenticated(_domain(one)) for one in values]


def _domain(value: str) -> StringMatcher:
    if "*" not in value:
        return StringMatcher(prefix=f"{SPIFFE}{value}/")
    return regex(f"{SPIFFE}{re.escape(value).replace(re.escape('*'), '[^/]*')}/.*")


def ip_blocks(values: Sequence[str], _: Ground, _wide: bool) -> list[Principal]:
    """By the address that the connection comes from."""
    return [Principal(direct_remote_ip=cidr(one)) for one in values]


def remote_ip_blocks(values: Sequence[str], _: Ground, _wide: bool) -> list[Principal]:
    """By the address of the client, as trusted proxies before this one tell it (x-forwarded-for)."""
    return [Principal(remote_ip=cidr(one)) for one in values]


def cidr(block: str) -> CidrRange:
    """An address or a block."""
    network = ip_network(block, strict=False)
    out = CidrRange(address_prefix=str(network.network_address))
    out.prefix_len.value = network.prefixlen
    return out


def request_principals(values: Sequence[str], ground: Ground, _wide: bool) -> list[Principal]:
    """By the issuer and subject of a valid token, `<issuer>/<subject>`."""
    _needs_tokens(ground)
    return [_both(*_issuer_and_subject(one)) for one in values]


def _issuer_and_subject(value: str) -> tuple[StringMatcher, StringMatcher]:
    """The last slash parts them: an issuer is a URL."""
    issuer, slash, subject = value.rpartition("/")
    if value == "*":
        return regex(ANY_TEXT), regex(ANY_TEXT)
    if slash:
        return text(issuer), text(subject)
    if value.startswith("*"):
        return regex(ANY_TEXT), text(value)
    if value.endswith("*"):
        return text(value), regex(ANY_TEXT)
    return text(value), StringMatcher(exact="")


def _both(issuer: StringMatcher, subject: StringMatcher) -> Principal:
    parts = [
        Principal(metadata=_claim(name, ValueMatcher(string_match=one)))
        for name, one in (("iss", issuer), ("sub", subject))
    ]
    return Principal(and_ids=Principal.Set(ids=parts))


def claims(values: Sequence[str], ground: Ground, *, keys: Sequence[str]) -> list[Principal]:
    """By a claim, at a path of keys: its text, or one text of its list."""
    _needs_tokens(ground)
    return [Principal(metadata=_claim(*keys, _text_or_list(one))) for one in values]


def _text_or_list(value: str) -> ValueMatcher:
    plain = ValueMatcher(string_match=text(value))
    out = ValueMatcher()
    out.or_match.value_matchers.add().list_match.one_of.CopyFrom(plain)
    out.or_match.value_matchers.append(plain)
    return out


def _claim(*keys_then_value: str | ValueMatcher) -> MetadataMatcher:
    *keys, value = keys_then_value
    assert isinstance(value, ValueMatcher)
    path = [MetadataMatcher.PathSegment(key=str(one)) for one in (PAYLOAD, *keys)]
    return MetadataMatcher(filter=JWT, path=path, value=value)


def _needs_tokens(ground: Ground) -> None:
    if ground.speech is not Speech.HTTP:
        raise NotHere


def headers(values: Sequence[str], ground: Ground, wide: bool, *, name: str) -> list[Principal]:
    """By a header of the request."""
    if ground.speech is Speech.TCP:
        raise NotHere
    found = [Principal(header=matcher) for one in values for matcher in header(name, one, wide=wide)]
    if wide and ground.speech is Speech.GRPC:
        found.append(Principal(header=not_plain(name)))
    return found
