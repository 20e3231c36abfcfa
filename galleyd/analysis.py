"""`/artemon/v1/analysis`: findings across the configuration as it is, or as it would be with more objects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from artemon.analysis import Finding, Material, Offer, Port, Running, analyze
from artemon.model.hosts import service_host
from artemon.model.kinds import ALL_KINDS
from artemon.model.mesh_config import MeshConfig
from artemon.model.workload import Workload
from artemon.validate import Context
from galleyd import request as ask
from galleyd import status
from galleyd.around import Around
from galleyd.body import MAX_ITEMS
from galleyd.feed import Feed
from galleyd.judge import Judge
from galleyd.objects import Object
from galleyd.rights import Ask
from galleyd.writes import decode

_KINDS = {(kind.group, kind.name): kind for kind in ALL_KINDS}


@dataclass(frozen=True, slots=True)
class Analysis:
    """Handlers. parse: what is wrong with the value of an EnvoyFilter's patch."""

    config: Feed
    around: Around
    parse: Callable[..., Any]

    def routes(self) -> list[web.RouteDef]:
        """The paths."""
        return [
            web.get("/artemon/v1/analysis", self.of_mesh),
            web.post("/artemon/v1/analysis", self.with_more),
        ]

    async def of_mesh(self, request: web.Request) -> web.Response:
        """GET: about the mesh as it is, as far as the caller may read it."""
        return await self._answer(request, ())

    async def with_more(self, request: web.Request) -> web.Response:
        """POST `{"objects": [...]}`: as it would be with these, which stand for those of the same name."""
        asked = await ask.mapping(request)
        objects = asked.get("objects")
        if asked.keys() - {"objects"} or not isinstance(objects, list):
            raise status.bad_request('an analysis is asked with {"objects": [...]}')
        if len(objects) > MAX_ITEMS or not all(isinstance(one, dict) for one in objects):
            raise status.bad_request(f"an analysis is asked with at most {MAX_ITEMS} objects")
        return await self._answer(request, objects)

    async def _answer(self, request: web.Request, more: Sequence[Object]) -> web.Response:
        judge, space = request[ask.JUDGE], request.query.get("namespace", "")
        material = self._material(more)
        found = await asyncio.to_thread(analyze, material, self._context(material))
        ours = {_key(one) for one in more}
        shown = [
            one.shown()
            for one in found
            if space in ("", one.thing.namespace) and (_key(one.thing.obj) in ours or _may(judge, one))
        ]
        return web.json_response({"items": shown})

    def _context(self, material: Material) -> Context:
        return Context(parse_envoy=self.parse, root_namespace=material.mesh.root_namespace)

    def _material(self, more: Sequence[Object]) -> Material:
        known = {_key(one): one for one in self._objects()}
        known |= {_key(one): one for one in more}
        workloads = list(self.around.workloads())
        return Material.of(
            known.values(),
            mesh=self.around.mesh() or MeshConfig(),
            joined=[Running(one.namespace, one.labels) for one in workloads],
            served=list(_offers(workloads)),
            secrets=self.around.secrets(),
        )

    def _objects(self) -> Iterator[Object]:
        for entry in self.config.values():
            stored = decode(entry)
            if stored is not None:
                yield stored.object


def _key(obj: Mapping[str, Any]) -> tuple[str, ...]:
    meta = obj.get("metadata")
    names = meta if isinstance(meta, Mapping) else {}
    group = str(obj.get("apiVersion")).rpartition("/")[0]
    return group, str(obj.get("kind")), str(names.get("namespace") or "default"), str(names.get("name"))


def _may(judge: Judge, finding: Finding) -> bool:
    """Whether the caller may read the object that a finding is about."""
    kind = _KINDS.get((finding.thing.group, finding.thing.kind))
    if kind is None:
        return judge.is_admin
    return judge.may(Ask("get", kind.plural, kind.group, finding.thing.namespace))


def _offers(workloads: Iterable[Workload]) -> Iterator[Offer]:
    """The services that machines serve."""
    ports: dict[tuple[str, str], dict[int, Port]] = {}
    for one in workloads:
        if one.service:
            known = ports.setdefault((one.namespace, one.service), {})
            known |= {port.number: Port(port.number, port.name, str(port.protocol), "") for port in one.ports}
    for (namespace, service), many in ports.items():
        yield Offer(service_host(service, namespace), namespace, tuple(many.values()), (), None)
