"""What stands before everything that comes to a proxy: tokens are looked at, policies decide, rules of mixerd
are asked, and limits count what is left."""

from __future__ import annotations

from dataclasses import dataclass

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter

from artemon.snapshot.view import ProxyView
from artemon.translate.authn import token_filters
from artemon.translate.authz.filters import enforcement
from artemon.translate.checks import check_filters
from artemon.translate.limits import limit_filters


@dataclass(frozen=True, slots=True)
class Guard:
    """http and network: the filters, in their order. strict_paths: whether policies look at paths."""

    http: tuple[HttpFilter, ...] = ()
    network: tuple[Filter, ...] = ()
    strict_paths: bool = False


def guard_of(view: ProxyView) -> Guard:
    """The filters of a proxy's own policies; nothing where it has none."""
    found = enforcement(view)
    return Guard(
        (
            *found.before_tokens,
            *token_filters(view.policies),
            *found.http,
            *check_filters(view),
            *limit_filters(view),
        ),
        found.network,
        found.strict_paths,
    )
