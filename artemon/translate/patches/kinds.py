"""The resources that can be patched: how a patch finds them, changes them, and what must hold afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.message import Message

from artemon.translate.patches import guard, sound
from artemon.translate.patches.listeners import patch_listener
from artemon.translate.patches.match import Setting, cluster_matches, listener_matches, routes_match
from artemon.translate.patches.merge import merge
from artemon.translate.patches.read import Patch
from artemon.translate.patches.routes import ROUTE_LEVELS, patch_routes
from artemon.xds.types import CLUSTER, LISTENER, ROUTES

_MERGE = frozenset({"MERGE", "MERGE_AND_REPLACE_LIST"})
_ADD = frozenset({"ADD"})
_REMOVE_OR_MERGE = _MERGE | {"REMOVE", "REPLACE"}
_INSERT = frozenset({"ADD", "INSERT_FIRST", "INSERT_BEFORE", "INSERT_AFTER"})
_ANY_BUT_MERGE = _INSERT | {"REMOVE", "REPLACE"}

Stages = tuple[tuple[str, frozenset[str]], ...]
_ROUTE_STAGES: Stages = (
    ("ROUTE_CONFIGURATION", _MERGE),
    ("VIRTUAL_HOST", _REMOVE_OR_MERGE),
    ("HTTP_ROUTE", _REMOVE_OR_MERGE),
    ("HTTP_ROUTE", _INSERT),
    ("VIRTUAL_HOST", _ADD),
)


@dataclass(frozen=True, slots=True)
class Patchable:
    """One type of resource.

    stages: what is applied in which order (Istio): from the whole to its parts, what is there before what is
    added. matches: whether a patch is about a resource or something in it. apply: changes a copy and says
    whether it did. guard: what must stay as it is (None: nothing); broken: why it did not. flaw: what Envoy
    would refuse.
    """

    message: type[Message]
    whole: str
    stages: Stages
    matches: Callable[[Patch, Any, Setting], bool]
    apply: Callable[[Any, Patch, Setting], bool]
    guard: Callable[[Any, Setting], Any]
    broken: Callable[[Any, Any, Setting], str | None]
    flaw: Callable[[Any], str | None]

    def stage(self, patch: Patch) -> int | None:
        """When the patch is applied to a resource; None for what it does not do to one."""
        found = (
            index
            for index, (kind, operations) in enumerate(self.stages)
            if kind == patch.apply_to and patch.operation in operations
        )
        return next(found, None)


def _patch_cluster(cluster: Cluster, patch: Patch, _: Setting) -> bool:
    merge(cluster, patch.given, replace_lists=patch.replaces_lists)
    return True


def _listener_concerns(patch: Patch, listener: Listener, setting: Setting) -> bool:
    if patch.apply_to in ROUTE_LEVELS:
        return setting.of_listener(listener) == "SIDECAR_INBOUND"
    return listener_matches(patch, listener, setting)


PATCHABLE: Mapping[str, Patchable] = MappingProxyType(
    {
        CLUSTER: Patchable(
            message=Cluster,
            whole="CLUSTER",
            stages=(("CLUSTER", _REMOVE_OR_MERGE),),
            matches=cluster_matches,
            apply=_patch_cluster,
            guard=lambda one, _: guard.cluster_guard(one),
            broken=lambda before, after, _: guard.cluster_objection(before, after),
            flaw=sound.cluster_flaw,
        ),
        LISTENER: Patchable(
            message=Listener,
            whole="LISTENER",
            stages=(
                *_ROUTE_STAGES,
                ("LISTENER", _REMOVE_OR_MERGE),
                ("LISTENER_FILTER", _ANY_BUT_MERGE),
                ("LISTENER_FILTER", _MERGE),
                ("FILTER_CHAIN", _REMOVE_OR_MERGE),
                ("NETWORK_FILTER", _ANY_BUT_MERGE),
                ("NETWORK_FILTER", _MERGE),
                ("HTTP_FILTER", _ANY_BUT_MERGE),
                ("HTTP_FILTER", _MERGE),
                ("FILTER_CHAIN", _ADD),
            ),
            matches=_listener_concerns,
            apply=patch_listener,
            guard=lambda one, setting: guard.listener_guard(one, context=setting.of_listener(one)),
            broken=lambda before, after, setting: guard.listener_objection(
                before, after, context=setting.of_listener(after)
            ),
            flaw=sound.listener_flaw,
        ),
        ROUTES: Patchable(
            message=RouteConfiguration,
            whole="ROUTE_CONFIGURATION",
            stages=_ROUTE_STAGES,
            matches=routes_match,
            apply=patch_routes,
            guard=lambda one, setting: guard.routes_guard(one, context=setting.of_name(one.name)),
            broken=lambda before, after, setting: guard.routes_objection(
                before, after, context=setting.of_name(after.name)
            ),
            flaw=sound.routes_flaw,
        ),
    }
)
"""By type URL."""
