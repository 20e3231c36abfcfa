"""What stands before a gRPC server: policies and bans, as gRPC enforces them (gRFC A41)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from envoy.config.rbac.v3.rbac_pb2 import RBAC
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC as HttpRbac
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from google.protobuf.message import Message

from artemon.snapshot.view import ProxyView
from artemon.translate.authz.external import external
from artemon.translate.authz.ground import Speech
from artemon.translate.authz.rbac import Authorization, is_dry_run, rules_of
from artemon.translate.authz.texts import without_bytes
from artemon.translate.filters.bans import banned
from artemon.translate.wire import packed

NAME = "envoy.filters.http.rbac"


def filters_of(view: ProxyView) -> tuple[HttpFilter, ...] | None:
    """Bans, CUSTOM (nobody can be asked, which refuses), DENY and ALLOW, in this order. What is only tried or
    written down is left out. None where tokens are to be looked at: gRPC cannot."""
    if view.policies.authentication:
        return None
    return tuple(
        HttpFilter(name=f"{NAME}.{name}", typed_config=packed(HttpRbac(rules=_for_every_language(rules))))
        for name, rules in _rules(view)
    )


def _for_every_language(rules: RBAC) -> RBAC:
    """The same rules with patterns that gRPC takes in Go and Java too; one that it does not know would cost
    the whole listener, and leave older rules in force."""
    _rewrite(rules)
    return rules


def _rewrite(message: Message) -> None:
    for field, value in message.ListFields():
        if isinstance(message, RegexMatcher) and field.name == "regex":
            message.regex = without_bytes(message.regex)
        elif field.message_type is None:
            continue
        elif field.message_type.GetOptions().map_entry:
            for key in value:
                _rewrite(value[key])
        else:
            for one in value if field.is_repeated else (value,):
                _rewrite(one)


def _rules(view: ProxyView) -> Iterator[tuple[str, RBAC]]:
    if view.bans or view.revoked:
        yield "bans", banned((*view.bans, *view.revoked))
    enforced = [one for one in view.policies.authorization if not is_dry_run(one)]
    custom = external(view, _of(enforced, "CUSTOM"), Speech.GRPC)
    if custom is not None:
        yield "custom", custom.rules
    for action in ("DENY", "ALLOW"):
        rules = rules_of(view, _of(enforced, action), Speech.GRPC)
        if rules is not None:
            yield action.lower(), rules


def _of(policies: Sequence[Authorization], action: str) -> list[Authorization]:
    return [one for one in policies if one.spec.action == action]
