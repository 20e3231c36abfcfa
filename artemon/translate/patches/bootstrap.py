"""Patches of bootstraps, of the printed ones and of those that agents start Envoy with; and extension
configurations in bootstraps that are printed, where nobody would deliver them.

pilotd judges a patch by what it says (`objection`); the agent merges it into the bootstrap that it has.
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
from artemon.translate.patches.plan import Plan
from artemon.translate.patches.read import Patch
from artemon.translate.wire import packed

_OWN = (
    *("node", "node_context_params", "admin", "dynamic_resources", "hds_config", "config_sources"),
    *("default_config_source", "xds_delegate_extension", "xds_config_tracker_extension", "flags_path"),
)
_LISTS = ("listeners", "clusters", "secrets")
PROTECTED = "the node, the admin, the control plane and what was generated must stay as they are"
OWN_CLUSTERS = ("xds-grpc", "sds-grpc", "prometheus_stats")
"""Through which an agent's Envoy reaches the agent, and what shows its metrics."""


def patched_bootstrap(made: Bootstrap, view: ProxyView) -> tuple[Bootstrap, tuple[RejectedPatch, ...]]:
    """A copy of `made` with the patches of the view's EnvoyFilters, and those that were left out."""
    out, rejected = made, list[RejectedPatch]()
    for patch in of_proxy(plan_of(view, Memo())) if view.envoy_filters else ():
        value = patch.given
        assert isinstance(value, Bootstrap)
        try:
            out = merged(
                out, value, replaces_lists=patch.replaces_lists, keeps=None if patch.trusted else made
            )
        except Unmergeable as problem:
            rejected.append(patch.rejected("bootstrap", str(problem)))
    return out, tuple(rejected)


def of_proxy(plan: Plan) -> list[Patch]:
    """The patches of the bootstrap among those of a plan, in order."""
    contexts = ("ANY", *(one for one in _CONTEXTS if plan.setting.has(one)))
    return [one for one in plan.patches if one.apply_to == "BOOTSTRAP" and one.match.context in contexts]


_CONTEXTS = ("GATEWAY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND")


def merged(
    before: Bootstrap, change: Bootstrap, *, replaces_lists: bool, keeps: Bootstrap | None
) -> Bootstrap:
    """`before` with a patch. keeps: the bootstrap whose own parts must stay. Raises Unmergeable."""
    after = Bootstrap()
    after.CopyFrom(before)
    merge(after, change, replace_lists=replaces_lists)
    if keeps is not None and not _keeps(keeps, after):
        raise Unmergeable(PROTECTED)
    flaw = violation(after)
    if flaw is not None:
        raise Unmergeable(flaw)
    return after


def objection(patch: Patch) -> str | None:
    """Why a patch can be in no agent's bootstrap, whatever else is in it."""
    value = patch.given
    assert isinstance(value, Bootstrap)
    model = _model()
    try:
        merged(model, value, replaces_lists=patch.replaces_lists, keeps=None if patch.trusted else model)
    except Unmergeable as problem:
        return str(problem)
    return None


def _model() -> Bootstrap:
    """What every agent's bootstrap has."""
    model = Bootstrap()
    model.node.id = model.node.cluster = "model"
    model.admin.address.pipe.path = "admin"
    model.dynamic_resources.lds_config.ads.SetInParent()
    for name in OWN_CLUSTERS:
        model.static_resources.clusters.add(name=name)
    model.static_resources.listeners.add(name="model").address.pipe.path = "ready"
    model.stats_config.use_all_default_tags.value = False
    return model


def _keeps(made: Bootstrap, after: Bootstrap) -> bool:
    own = all(getattr(made, name) == getattr(after, name) for name in _OWN)
    return own and all(
        _begins(getattr(made.static_resources, name), getattr(after.static_resources, name))
        for name in _LISTS
    )


def _begins(before: Any, now: Any) -> bool:
    """Whether a list begins as before, and nothing that was added passes for one of those."""
    names = {one.name for one in before}
    return list(now[: len(before)]) == list(before) and all(
        one.name not in names for one in now[len(before) :]
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
