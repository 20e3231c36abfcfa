"""What is asked for: the fields of a policy about the operation, as Envoy's permissions."""

from __future__ import annotations

from collections.abc import Sequence

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.rbac.v3.rbac_pb2 import Permission
from envoy.extensions.path.match.uri_template.v3.uri_template_match_pb2 import UriTemplateMatchConfig
from envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from envoy.type.matcher.v3.path_pb2 import PathMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from envoy.type.matcher.v3.value_pb2 import ValueMatcher

from artemon.translate.authz import texts
from artemon.translate.authz.callers import ranges
from artemon.translate.authz.ground import Ground, NotHere, Speech
from artemon.translate.wire import packed


def hosts(values: Sequence[str], ground: Ground, wide: bool) -> list[Permission]:
    """By the host that the request is for."""
    _needs_requests(ground)
    found = [Permission(header=texts.host(one, wide=wide)) for one in values]
    if wide and ground.speech is Speech.GRPC:
        found.append(Permission(header=texts.not_plain(":authority")))
    return found


def methods(values: Sequence[str], ground: Ground, wide: bool) -> list[Permission]:
    """By the method of the request."""
    _needs_requests(ground)
    return [Permission(header=texts.method(one, wide=wide)) for one in values]


def paths(values: Sequence[str], ground: Ground, wide: bool) -> list[Permission]:
    """By the path of the request, without its query."""
    _needs_requests(ground)
    found = [_path(one, ground, wide=wide) for one in values]
    if wide and ground.speech is Speech.GRPC:
        found.append(Permission(not_rule=_url_path(texts.regex(texts.PLAIN))))
    return found


def _path(value: str, ground: Ground, *, wide: bool) -> Permission:
    if ground.speech is Speech.GRPC:
        return _url_path(texts.path_and_query(value, wide=wide))
    if not texts.is_template(value):
        return _url_path(texts.path(value, wide=wide))
    if wide:
        return _url_path(texts.regex(texts.template_pattern(value)))
    config = UriTemplateMatchConfig(path_template=texts.envoy_template(value))
    return Permission(uri_template=TypedExtensionConfig(name="uri-template", typed_config=packed(config)))


def _url_path(matcher: StringMatcher) -> Permission:
    return Permission(url_path=PathMatcher(path=matcher))


def ports(values: Sequence[str], _: Ground, _wide: bool) -> list[Permission]:
    """By the port of the workload."""
    return [Permission(destination_port=int(one)) for one in values]


def addresses(values: Sequence[str], _: Ground, _wide: bool) -> list[Permission]:
    """By the address of the workload."""
    return [Permission(destination_ip=each) for one in values for each in ranges(one)]


def server_names(values: Sequence[str], _: Ground, wide: bool) -> list[Permission]:
    """By the server name that the client asked for in TLS."""
    return [Permission(requested_server_name=texts.text(one, ignore_case=wide)) for one in values]


def metadata(values: Sequence[str], *, name: str, key: str) -> list[Permission]:
    """By what another filter has said; `[x]` is an element of a list."""
    return [
        Permission(
            metadata=MetadataMatcher(
                filter=name, path=[MetadataMatcher.PathSegment(key=key)], value=_said(one)
            )
        )
        for one in values
    ]


def _said(value: str) -> ValueMatcher:
    if not (value.startswith("[") and value.endswith("]")):
        return ValueMatcher(string_match=texts.text(value))
    out = ValueMatcher()
    out.list_match.one_of.string_match.CopyFrom(texts.text(value[1:-1]))
    return out


def _needs_requests(ground: Ground) -> None:
    if ground.speech is Speech.TCP:
        raise NotHere
