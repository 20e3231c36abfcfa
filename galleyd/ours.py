"""`/artemon/v1/`: what Kubernetes has no word for. Transactions, waiting, proxies, history, MeshConfig."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from artemon.model.decode import decode_message, subject_of
from artemon.model.envelope import meta_problems
from artemon.model.kinds import VIRTUAL_SERVICE
from artemon.model.mesh_config import MeshConfig
from artemon.model.tolerant import decode_tolerantly
from artemon.pki.signing import split
from artemon.store.api import ABSENT
from artemon.validate import mesh_problems
from galleyd import history, status
from galleyd import request as ask
from galleyd.body import MAX_ITEMS, parse_json
from galleyd.catalog import kind_of
from galleyd.edits import Edits, Outcome
from galleyd.feed import Feed
from galleyd.keys import Keys
from galleyd.objects import Object, Ref
from galleyd.progress import Progress, Statuses, progress
from galleyd.rights import Ask
from galleyd.targets import daemon_targets, targets
from galleyd.writes import encode

LONGEST_WAIT = 600.0
DEFAULT_WAIT = 30.0
MOST_HISTORY = 500
_NAMING = frozenset({"metadata", "metadata.name", "metadata.namespace"})


@dataclass(frozen=True, slots=True)
class Ours:
    """Handlers of `/artemon/v1/...`. proxies: what pilotd tells of the connected proxies. daemons: where
    daemons serve their metrics, as in the settings."""

    edits: Edits
    keys: Keys
    proxies: Feed
    daemons: Sequence[str] = ()
    statuses: Statuses = field(default_factory=Statuses)

    def routes(self) -> list[web.RouteDef]:
        """The paths."""
        return [
            web.post("/artemon/v1/transactions", self.transaction),
            web.get("/artemon/v1/wait", self.wait),
            web.get("/artemon/v1/proxies", self.list_proxies),
            web.get("/artemon/v1/prometheus", self.prometheus),
            web.get("/artemon/v1/history", self.list_history),
            web.get("/artemon/v1/mesh", self.mesh),
            web.put("/artemon/v1/mesh", self.set_mesh),
        ]

    async def transaction(self, request: web.Request) -> web.Response:
        """POST `{"objects": [...], "deletes": [...]}`: all or none. Deletes name kind, namespace and name."""
        request[ask.JUDGE].namespaces("update", VIRTUAL_SERVICE.plural)  # who may write nothing is not read
        asked = await ask.mapping(request)
        how = replace(ask.how(request), validation=request.query.get("fieldValidation") or "Strict")
        unknown = asked.keys() - {"objects", "deletes"}
        objects, deletes = asked.get("objects") or [], asked.get("deletes") or []
        if unknown or not isinstance(objects, list) or not isinstance(deletes, list):
            raise status.bad_request('a transaction is {"objects": [...], "deletes": [...]}')
        if len(objects) + len(deletes) > MAX_ITEMS:
            raise status.bad_request(f"a transaction names at most {MAX_ITEMS} objects")
        wanted, unwanted = _refs(objects, whole=True), _refs(deletes, whole=False)
        _once([*wanted, *unwanted])
        _insist(request, "update", wanted)
        _insist(request, "delete", unwanted)
        pairs = list(zip(wanted, objects, strict=True))
        revision, outcomes = await self.edits.apply(pairs, unwanted, how)
        shown = [_outcome(outcome) for outcome in outcomes]
        return web.json_response({"revision": revision, "dryRun": how.dry_run, "results": shown})

    async def wait(self, request: web.Request) -> web.Response:
        """GET `?revision=N&timeout=SECONDS[&view=bundle|revoked]`: answers when every connected proxy has, or
        too late."""
        seen = request[ask.JUDGE].namespaces("list", "proxies")
        revision, view = ask.number(request, "revision"), request.query.get("view", "")
        timeout = min(float(ask.number(request, "timeout", int(DEFAULT_WAIT))), LONGEST_WAIT)
        loop = asyncio.get_running_loop()
        begun = self.edits.writer.committed_at(revision) or loop.time()
        await self.proxies.until(
            lambda: self.proxies.closed or self._progress(revision, view).settled, timeout
        )
        reached = self._progress(revision, view)
        return web.json_response(
            {
                "revision": revision,
                "done": reached.settled,
                "proxies": reached.proxies,
                "acked": len(reached.acked),
                "pending": [name for name in reached.pending if _within(name, seen)],
                "nacks": [nack.json() for nack in reached.nacks if _within(nack.proxy, seen)],
                "milliseconds": round((loop.time() - begun) * 1000, 1),
            }
        )

    def _progress(self, revision: int, view: str) -> Progress:
        return progress(self.statuses.read(self.proxies.values()), revision, view=view)

    async def list_proxies(self, request: web.Request) -> web.Response:
        """GET: the status of every connected proxy, by name."""
        seen = request[ask.JUDGE].namespaces("list", "proxies")
        found = self.statuses.read(self.proxies.values())
        items = [{"proxy": name, **value} for name, value in sorted(found.items()) if _within(name, seen)]
        return web.json_response({"revision": self.proxies.position.revision, "items": items})

    async def prometheus(self, request: web.Request) -> web.Response:
        """GET: where the metrics of proxies are, for Prometheus' HTTP service discovery; and of daemons, for
        whoever may see all proxies."""
        seen = request[ask.JUDGE].namespaces("list", "proxies")
        found = self.statuses.read(self.proxies.values())
        mine = targets({name: value for name, value in found.items() if _within(name, seen)})
        return web.json_response([*mine, *(daemon_targets(self.daemons) if seen is None else ())])

    async def list_history(self, request: web.Request) -> web.Response:
        """GET `?limit=N`: the last writes, the newest first."""
        limit = min(ask.number(request, "limit", 50), MOST_HISTORY)
        snapshot = await self.edits.writer.store.list(self.keys.layout.histories)
        items = []
        for entry in reversed(snapshot.entries[-limit:] if limit else ()):
            try:
                items.append({"revision": entry.version, **history.decode(entry.value)})
            except (ValueError, RecursionError):
                items.append({"revision": entry.version, "corrupt": True})
        return web.json_response({"items": items})

    async def mesh(self, request: web.Request) -> web.Response:
        """GET: MeshConfig as it was written; {} when never."""
        entry = await self.edits.writer.store.get(self.keys.layout.mesh)
        value = parse_json(split(entry.value)[0]) if entry else {}
        version = str(entry.version) if entry else "0"
        return web.json_response(value, headers={"ETag": f'"{version}"'})

    async def set_mesh(self, request: web.Request) -> web.Response:
        """PUT: the whole MeshConfig; `If-Match` (the ETag of a GET) refuses to overwrite another's change."""
        value = await ask.mapping(request)
        mesh, problems = decode_message(MeshConfig, value)
        if isinstance(mesh, MeshConfig):
            problems += [problem for problem in mesh_problems(mesh) if problem.level == "error"]
        if problems:
            causes = [status.cause_of(problem) for problem in problems]
            text = "; ".join(str(problem) for problem in problems)
            raise status.ApiError(422, "Invalid", f"MeshConfig is invalid: {text}", causes=causes)
        expected = request.headers.get("If-Match", "").strip('"')
        how = ask.how(request)
        revision = await self.edits.writer.set_mesh(
            encode(value), who=how.who, expected=_version(expected), dry_run=how.dry_run
        )
        return web.json_response(value, headers={"ETag": f'"{revision}"'})


def _within(proxy: str, namespaces: frozenset[str] | None) -> bool:
    """Whether a proxy, `<name>.<namespace>`, is of one of the namespaces (None: of any)."""
    return namespaces is None or proxy.rpartition(".")[2] in namespaces


def _version(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise status.bad_request("If-Match must be the ETag of a GET")
    return int(text) or ABSENT


def _refs(objects: Sequence[Any], *, whole: bool) -> list[Ref]:
    """Which objects are meant. Raises ApiError 422 for all that cannot be told; then also with what cannot be
    read of the others, where they are `whole`."""
    refs, causes, named = [], [], []
    for obj in objects:
        obj = obj if isinstance(obj, dict) else {}
        kind, problems = kind_of(obj)
        meta = obj.get("metadata")
        meta = meta if isinstance(meta, dict) else {}
        name, namespace = str(meta.get("name")), meta.get("namespace") or "default"
        wrong = [problem for problem in meta_problems(obj.get("metadata")) if problem.path in _NAMING]
        causes += [status.cause_of(problem, subject_of(obj)) for problem in (*problems, *wrong)]
        if kind and not wrong:
            refs.append(Ref(kind, namespace, name))
            named.append(obj)
    if causes:
        for obj in named if whole else ():
            decoded = decode_tolerantly(obj)
            unread = [*decoded.unknown, *decoded.wrong]
            causes += [status.cause_of(problem, subject_of(obj)) for problem in unread]
        text = "; ".join(f"{cause.subject}: {cause.field}: {cause.message}" for cause in causes)
        raise status.ApiError(422, "Invalid", f"nothing was written: {text}", causes=causes)
    return refs


def _insist(request: web.Request, verb: str, refs: Sequence[Ref]) -> None:
    """Raises ApiError 403 unless the caller may do this to all of them."""
    for ref in refs:
        request[ask.JUDGE].insist(Ask(verb, ref.kind.plural, ref.kind.group, ref.namespace, ref.name))


def _once(refs: Sequence[Ref]) -> None:
    """Raises ApiError 422 when one object is named twice."""
    names = [str(ref) for ref in refs]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        causes = [status.Cause("", "is given twice; keep one of them", subject=name) for name in twice]
        raise status.ApiError(
            422, "Invalid", f"nothing was written: {', '.join(twice)} given twice", causes=causes
        )


def _outcome(outcome: Outcome) -> Object:
    return {
        "kind": outcome.ref.kind.name,
        "apiVersion": outcome.ref.kind.api_version,
        "namespace": outcome.ref.namespace,
        "name": outcome.ref.name,
        "result": outcome.result,
        "resourceVersion": str(outcome.stored.version),
        "warnings": [{"path": problem.path, "message": problem.message} for problem in outcome.warnings],
    }
