"""Bootstraps that are printed: their patches, and extension configurations that nobody would deliver.

Running proxies start from the bootstrap that proxyd writes, which no EnvoyFilter reaches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.listener.v3.listener_pb2 import Listener
from google.protobuf.message import Message

from artemon.model.rejected_patch import RejectedPatch
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import ProxyView
from artemon.translate.patches import plan_of
from artemon.translate.patches.constraints import violation
from artemon.translate.patches.listeners import chains_of, managers_of
from artemon.translate.patches.merge import Unmergeable, merge
from artemon.translate.wire import packed

_OWN = ("node", "admin", "dynamic_resources")
_LISTS = ("listeners", "clusters", "secrets")
PROTECTED = "the node, the admin, the control plane and what was generated must stay as they are"


def patched_bootstrap(made: Bootstrap, view: ProxyView) -> tuple[Bootstrap, tuple[RejectedPatch, ...]]:
    """A copy of `made` with the patches of the view's EnvoyFilters, and those that were left out."""
    out, rejected = made, list[RejectedPatch]()
    patches = plan_of(view, Memo()).patches if view.envoy_filters else ()
    for patch in patches:
        if patch.apply_to != "BOOTSTRAP" or patch.match.context not in ("ANY", *_contexts(view)):
            continue
        candidate = Bootstrap()
        candidate.CopyFrom(out)
        try:
            merge(candidate, patch.given, replace_lists=patch.replaces_lists)
            kept = patch.trusted or _keeps(made, candidate)
            reason = violation(candidate) if kept else PROTECTED
        except Unmergeable as problem:
            reason = str(problem)
        if reason is None:
            out = candidate
        else:
            rejected.append(patch.rejected("bootstrap", reason))
    return out, tuple(rejected)


def _contexts(view: ProxyView) -> tuple[str, ...]:
    return ("GATEWAY",) if view.proxy.type == "router" else ("SIDECAR_INBOUND", "SIDECAR_OUTBOUND")


def _keeps(made: Bootstrap, after: Bootstrap) -> bool:
    before, now = made.static_resources, after.static_resources
    own = all(getattr(made, name) == getattr(after, name) for name in _OWN)
    return own and all(
        list(getattr(now, name)[: len(getattr(before, name))]) == list(getattr(before, name))
        for name in _LISTS
    )


def with_extensions(listeners: Iterable[Listener], extensions: Mapping[str, Message]) -> Iterator[Listener]:
    """The listeners with the extension configurations written in that their HTTP filters ask for by name."""
    for listener in listeners:
        out = Listener()
        out.CopyFrom(listener)
        for chain in chains_of(out):
            for index, manager in managers_of(chain):
                asking = [one for one in manager.http_filters if one.HasField("config_discovery")]
                for one in asking:
                    found: Any = extensions.get(one.name)
                    if found is not None:
                        one.typed_config.CopyFrom(found.typed_config)
                if asking:
                    chain.filters[index].typed_config.CopyFrom(packed(manager))
        yield out
