"""How a proxy is started: its ProxyConfigs and the patches of its bootstrap, for its agent."""

from __future__ import annotations

from collections.abc import Iterator

from artemon.api.v1.start_pb2 import ProxyStart
from artemon.model.mesh_proxy import MeshProxyConfig
from artemon.model.proxy_config import ProxyConfig, is_variable
from artemon.model.rejected_patch import RejectedPatch
from artemon.model.resource import Resource as Object
from artemon.model.service import Resolution
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import ProxyView
from artemon.translate.localities import preferences
from artemon.translate.names import outbound_cluster
from artemon.translate.patches import plan_of
from artemon.translate.patches.bootstrap import objection, of_proxy
from artemon.translate.patches.plan import Plan
from artemon.xds.resource import Resource, State
from artemon.xds.types import START

SETTINGS = "settings"
"""The resource that is always there, so that an agent knows when it knows."""


class Start:
    """What agents are told that have the settings and the patches in common."""

    def __init__(self, defaults: MeshProxyConfig, *parts: object) -> None:
        *configs, plan, local = parts
        self.rejected: list[RejectedPatch] = []
        self._items = {SETTINGS: _settings(defaults, configs, str(local))}  # type: ignore[arg-type]
        if isinstance(plan, Plan):
            self._items |= {one.name: one for one in self._patches(plan)}
        self._state: State | None = None

    def state(self, before: State) -> State:
        """The state, as a successor of `before` for the first who asks."""
        if self._state is None:
            self._state = before.successor(self._items)
        return self._state

    def _patches(self, plan: Plan) -> Iterator[Resource]:
        for place, patch in enumerate(of_proxy(plan)):
            reason = objection(patch)
            if reason is not None:
                self.rejected.append(patch.rejected("bootstrap", reason))
                continue
            made = ProxyStart()
            made.patch.place = place
            made.patch.bootstrap = patch.given.SerializeToString(deterministic=True)
            made.patch.replaces_lists = patch.replaces_lists
            made.patch.trusted = patch.trusted
            yield Resource.of(f"{patch.ref}/{patch.index}", START, made)


def start_of(view: ProxyView, memo: Memo) -> Start:
    """What the agent of a proxy is told."""
    plan = plan_of(view, memo) if view.envoy_filters else None
    local = _local_cluster(view, memo)
    return memo.get(Start, view.mesh.default_config, *view.proxy_configs, plan, by=(local,))


def _local_cluster(view: ProxyView, memo: Memo) -> str:
    """The proxy's own service, where a rule has zones count; "" where none does, or it serves nothing."""
    told = memo.get(preferences, view.destinations, view.mesh, memo)
    own = (one for one in view.own if one.host in view.services and one.resolution is Resolution.STATIC)
    service = next(own, None) if any(one.zones for one in told) else None
    if service is None or not service.ports:
        return ""
    return outbound_cluster(service.host, service.ports[0].number)


def _settings(defaults: MeshProxyConfig, configs: list[Object[ProxyConfig]], local: str) -> Resource:
    made = ProxyStart()
    settings = made.settings
    settings.SetInParent()
    settings.local_cluster = local
    if defaults.concurrency is not None:
        settings.concurrency = defaults.concurrency
    variables = dict(defaults.proxy_metadata)
    for one in configs:
        variables |= one.spec.environment_variables
        if one.spec.concurrency is not None:
            settings.concurrency = one.spec.concurrency
    for name, value in variables.items():
        if is_variable(name):
            settings.environment[name] = value
    return Resource.of(SETTINGS, START, made)
