"""Who calls: the fields of a policy about the source, as Envoy's principals."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.rbac.v3.rbac_pb2 import Principal
from envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from envoy.type.matcher.v3.value_pb2 import ValueMatcher

from artemon.translate.authz.ground import Ground, NotHere, Speech
from artemon.translate.authz.texts import ANY_TEXT, header, not_plain, regex, text
from artemon.translate.authz.trust import with_aliases

SPIFFE = "spiffe://"
_DOMAIN = f"{SPIFFE}[^/]+"
JWT = "envoy.filters.http.jwt_authn"
PAYLOAD = "payload"
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")


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
    """By namespace; `*` anywhere in it stands for any text. The pattern begins where a SPIFFE ID does: Envoy
    and gRPC match the subject of the certificate too, which the workload chooses."""
    return [authenticated(regex(f"{_DOMAIN}/ns/{_starred(one)}/.*")) for one in values]


def _starred(value: str) -> str:
    return re.escape(value).replace(re.escape("*"), "[^/]*")


def service_accounts(values: Sequence[str], ground: Ground, _wide: bool) -> list[Principal]:
    """By service account, `[<namespace>/]<name>`; without a namespace it is the policy's."""
    return [authenticated(regex(_account(one, ground.namespace))) for one in values]


def _account(value: str, namespace: str) -> str:
    written, slash, name = value.rpartition("/")
    space = re.escape(written if slash else namespace)
    return f"{_DOMAIN}/ns/{space}/(.+/|)sa/{re.escape(name)}(/.+)?"


def trust_domains(values: Sequence[str], _: Ground, _wide: bool) -> list[Principal]:
    """By trust domain."""
    return [authenticated(_domain(one)) for one in values]


def _domain(value: str) -> StringMatcher:
    if "*" not in value:
        return StringMatcher(prefix=f"{SPIFFE}{value}/")
    return regex(f"{SPIFFE}{_starred(value)}/.*")


def ip_blocks(values: Sequence[str], _: Ground, _wide: bool) -> list[Principal]:
    """By the address that the connection comes from."""
    return [Principal(direct_remote_ip=each) for one in values for each in ranges(one)]


def remote_ip_blocks(values: Sequence[str], _: Ground, _wide: bool) -> list[Principal]:
    """By the address of the client, as trusted proxies before this one tell it (x-forwarded-for)."""
    return [Principal(remote_ip=each) for one in values for each in ranges(one)]


_MAPPED = IPv6Network("::ffff:0:0/96")


def ranges(block: str) -> list[CidrRange]:
    """An address or a block. One of IPv4 also as IPv6 writes it (RFC 4291 section 2.5.5.2): Envoy compares
    addresses of one family alone, and proxies on sockets for both write `::ffff:192.0.2.1`."""
    network = ip_network(block, strict=False)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        address = int(network.network_address) & 0xFFFFFFFF
        network = IPv4Network((address, network.prefixlen - _MAPPED.prefixlen))
    if isinstance(network, IPv6Network):
        return [_range(str(network.network_address), network.prefixlen)]
    plain = str(network.network_address)
    return [
        _range(plain, network.prefixlen),
        _range(f"::ffff:{plain}", _MAPPED.prefixlen + network.prefixlen),
    ]


def _range(prefix: str, length: int) -> CidrRange:
    out = CidrRange(address_prefix=prefix)
    out.prefix_len.value = length
    return out


def request_principals(values: Sequence[str], ground: Ground, wide: bool) -> list[Principal]:
    """By the issuer and subject of a valid token, `<issuer>/<subject>`; wide: wherever the two may be parted,
    as subjects may have slashes (a SPIFFE ID has)."""
    _needs_tokens(ground)
    found = [_both(*_issuer_and_subject(one)) for one in values]
    if wide:
        found += [_both(text(iss), text(sub)) for one in values for iss, sub in _other_parts(one)]
    return found


def _other_parts(value: str) -> Iterator[tuple[str, str]]:
    """What is before and behind each slash but the last, and but those of a URL's scheme."""
    parts = value.split("/")
    for end in range(1, len(parts) - 1):
        issuer, subject = "/".join(parts[:end]), "/".join(parts[end:])
        if subject and not issuer.endswith((":", ":/")):
            yield issuer, subject


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


def claims(values: Sequence[str], ground: Ground, wide: bool, *, keys: Sequence[str]) -> list[Principal]:
    """By a claim, at a path of keys: its text, or one text of its list. wide: a truth value or a number that
    reads so too, and `*` is whatever is there."""
    _needs_tokens(ground)
    return [Principal(metadata=_claim(*keys, _text_or_list(one, wide=wide))) for one in values]


def _text_or_list(value: str, *, wide: bool) -> ValueMatcher:
    plain = [ValueMatcher(string_match=text(value)), *(_other_types(value) if wide else ())]
    out = ValueMatcher()
    for one in plain:
        out.or_match.value_matchers.add().list_match.one_of.CopyFrom(one)
    out.or_match.value_matchers.extend(plain)
    return out


def _other_types(value: str) -> list[ValueMatcher]:
    if value == "*":
        return [ValueMatcher(present_match=True)]
    if value in {"true", "false"}:
        return [ValueMatcher(bool_match=value == "true")]
    return [ValueMatcher(double_match={"exact": float(value)})] if _NUMBER.fullmatch(value) else []


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
