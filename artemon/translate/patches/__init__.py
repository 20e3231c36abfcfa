"""EnvoyFilters: changes to what everything else was translated to (docs/reference/envoyfilter.md).

Reading is done once for all proxies, a plan is made once for all proxies of one sort, and each resource is
patched once for all who have it and the plan in common. A patch works on a copy; it is kept when what must
stay is still there (`guard`) and Envoy would take the result as far as that can be seen (`sound`,
`constraints`).
"""

from __future__ import annotations

from collections import defaultdict

from artemon.model.mesh_config import MeshConfig
from artemon.model.rejected_patch import RejectedPatch
from artemon.snapshot.memo import Memo
from artemon.snapshot.view import ProxyView
from artemon.translate.patches.match import Setting
from artemon.translate.patches.plan import Plan
from artemon.translate.patches.read import Reading, for_proxy, reading
from artemon.translate.patches.sets import PatchedSet
from artemon.xds.resource import Resources
from artemon.xds.types import CLUSTER, EXTENSION, LISTENER, ROUTES

TYPES = (CLUSTER, LISTENER, ROUTES, EXTENSION)
_SHOWN = 8
"""Resources of one patch that are named when it is left out of many."""


def with_patches(made: Resources, view: ProxyView, memo: Memo, *, before: Resources) -> Resources:
    """`made` with the EnvoyFilters of the view applied, and what of them was left out (`rejected`).

    before: what the proxy had, patched. Nothing in `made` is changed; what it was made without already is
    added to.
    """
    plan = plan_of(view, memo)
    states, rejected = {url: made[url] for url in made}, [*plan.rejected, *made.rejected]
    for url in TYPES:
        after = memo.get(PatchedSet, made[url].items, plan, memo, by=(url,))
        if after.items is not made[url].items:
            states[url] = after.state(before[url])
        rejected += after.rejected
    return Resources(states, rejected=_gathered(rejected))


def plan_of(view: ProxyView, memo: Memo) -> Plan:
    """The plan for the proxy of a view that has EnvoyFilters."""
    read: Reading = memo.get(_reading, *view.envoy_filters, by=(view.mesh.root_namespace,))
    chosen = tuple(index for index, one in enumerate(read.patches) if for_proxy(one, view.proxy))
    return memo.get(_plan, read, view.mesh, by=(setting_of(view), chosen))


def setting_of(view: ProxyView) -> Setting:
    """What of the proxy decides matches."""
    ports: defaultdict[int, list[int]] = defaultdict(list)
    for one in view.proxy.ports:
        ports[one.listen_port].append(one.number)
    mapped = tuple((listening, tuple(numbers)) for listening, numbers in sorted(ports.items()))
    is_router = view.proxy.type == "router"
    return Setting(view.proxy.type, view.proxy.intercepts, mapped if is_router else ())


def _reading(*parts: object) -> Reading:
    *filters, root = parts
    return reading(filters, str(root))  # type: ignore[arg-type]


def _plan(read: Reading, mesh: MeshConfig, setting: Setting, chosen: tuple[int, ...]) -> Plan:
    return Plan(read, mesh, setting, chosen)


def _gathered(found: list[RejectedPatch]) -> tuple[RejectedPatch, ...]:
    """One entry for each patch and reason; the resources that stayed without it are listed in it."""
    resources: defaultdict[tuple[str, int, str], list[str]] = defaultdict(list)
    for one in found:
        resources[one.object, one.patch, one.reason].append(one.resource)
    return tuple(
        RejectedPatch(who, index, _listed(sorted(names)), reason)
        for (who, index, reason), names in sorted(resources.items())
    )


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
