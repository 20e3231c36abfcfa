"""Consul's API: py-consul's, over a transport of our own that awaits.

py-consul's methods return what the transport returns, so that they can be awaited; its own transports block,
know one agent, drop the headers that a watch needs, and send a transaction without token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consul import base as consul
from consul.callback import CB

from artemon.errors import StoreError
from artemon.store.consul.agents import Agents, Reply, Request
from artemon.store.consul.tree import items_of, names_of

FILTERED = "X-Consul-Results-Filtered-By-ACLs"
KNOWN_LEADER = "X-Consul-KnownLeader"
Pairs = Sequence[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call of py-consul's returned, and what it forgot: the headers."""

    value: Any
    headers: Mapping[str, str]

    @property
    def filtered(self) -> bool:
        """Whether something is missing because the token may not read it."""
        return self.headers.get(FILTERED, "").lower() == "true"

    @property
    def leaderless(self) -> bool:
        """Whether the agent knew no leader."""
        return self.headers.get(KNOWN_LEADER, "true").lower() == "false"


class Transport(consul.HTTPClient):  # type: ignore[misc] # untyped
    """Implements py-consul's HTTPClient; every method returns an awaitable `Answer`."""

    def __init__(self, agents: Agents) -> None:
        super().__init__()
        self.base_uri, self._agents = "", agents

    async def get(
        self, callback: Any, path: str, params: Pairs | None = None, headers: Any = None, raw: bool = False
    ) -> Answer:
        """GET; one with an index waits for a change."""
        query = dict(params or ())
        waits = seconds(str(query.get("wait", "300s"))) if "index" in query else 0.0
        return await self._call(callback, Request("GET", self._uri(path, params), waits=waits))

    async def put(
        self,
        callback: Any,
        path: str,
        params: Pairs | None = None,
        data: str | bytes = "",
        headers: Any = None,
        *,
        safe: bool = False,
    ) -> Answer:
        """PUT; safe: it may be sent twice."""
        body = data.encode() if isinstance(data, str) else data
        return await self._call(callback, Request("PUT", self._uri(path, params), body, safe=safe))

    async def delete(
        self,
        callback: Any,
        path: str,
        params: Pairs | None = None,
        data: str | bytes = "",
        headers: Any = None,
    ) -> Answer:
        """DELETE."""
        return await self._call(callback, Request("DELETE", self._uri(path, params), safe=False))

    async def post(
        self, callback: Any, path: str, params: Pairs | None = None, data: str = "", headers: Any = None
    ) -> Answer:
        """POST."""
        return await self._call(callback, Request("POST", self._uri(path, params), data.encode(), safe=False))

    async def close(self) -> None:
        """Release the connections."""
        await self._agents.close()

    async def raw(self, path: str, params: Pairs) -> Reply:
        """GET, without reading the answer's body."""
        query = dict(params)
        waits = seconds(str(query["wait"])) if "index" in query else 0.0
        return await self._agents.call(Request("GET", self._uri(path, params), waits=waits))

    def _uri(self, path: str, params: Pairs | None) -> str:
        return str(self.uri(path, list(params) if params else None))

    async def _call(self, callback: Callable[[Any], Any], request: Request) -> Answer:
        reply = await self._agents.call(request)
        return Answer(_decoded(callback, reply), reply.headers)


def _decoded(callback: Callable[[Any], Any], reply: Reply) -> Any:
    try:
        return callback(consul.Response(reply.status, reply.headers, reply.body))
    except consul.ConsulException as error:
        raise StoreError(f"consul: an answer cannot be read: {error}") from error


class Client(consul.Consul):  # type: ignore[misc] # untyped
    """py-consul's API over `agents`: `await client.kv.get(...)`."""

    def __init__(self, agents: Agents, *, datacenter: str = "") -> None:
        self._agents = agents
        super().__init__(host="consul", port=1, scheme="http", dc=datacenter or None)
        self.token = None  # the transport has it; py-consul would take one from the environment

    def http_connect(
        self, host: str, port: int, scheme: str, verify: bool | str = True, cert: Any = None
    ) -> Transport:
        """See py-consul."""
        return Transport(self._agents)

    async def tree(
        self, prefix: str, *, index: int = 0, wait: float = 0.0, consistency: str = "default"
    ) -> Answer:
        """All that lies under `prefix`; the value is Consul's index and the items (py-consul's own decodes
        every value)."""
        params: list[tuple[str, Any]] = [("recurse", "1"), *self._pairs()]
        if index:
            params += [("index", index), ("wait", f"{round(wait * 1000)}ms")]
        if consistency != "default":
            params.append((consistency, "1"))
        reply = await self.http.raw(f"/v1/kv/{prefix}", params)
        number = int(reply.headers.get("X-Consul-Index") or 0)
        return Answer((number, items_of(reply.content if reply.status == 200 else b"")), reply.headers)

    async def names(self, prefix: str, *, index: int = 0, wait: float = 0.0) -> Answer:
        """The names of what lies under `prefix`, one level deep; the value is Consul's index and the names.
        With `index`: as soon as something there, at any depth, is newer."""
        params: list[tuple[str, Any]] = [("keys", "1"), ("separator", "/"), *self._pairs()]
        if index:
            params += [("index", index), ("wait", f"{round(wait * 1000)}ms")]
        reply = await self.http.raw(f"/v1/kv/{prefix}", params)
        number = int(reply.headers.get("X-Consul-Index") or 0)
        return Answer((number, names_of(reply.content if reply.status == 200 else b"")), reply.headers)

    async def item(self, key: str) -> Answer:
        """One key; the value is the items, one or none."""
        reply = await self.http.raw(f"/v1/kv/{key}", self._pairs())
        return Answer(items_of(reply.content if reply.status == 200 else b""), reply.headers)

    async def transact(self, operations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The entries that a transaction wrote (py-consul's own has no datacenter and is never safe).

        Raises Conflict, and what `Agents.call` raises."""
        payload = json.dumps([{"KV": operation} for operation in operations], separators=(",", ":"))
        answer = await self.http.put(CB.json(), "/v1/txn", params=self._pairs(), data=payload)
        return [result["KV"] for result in answer.value["Results"] or ()]

    async def create_session(self, ttl: float, name: str) -> str:
        """A session that no check ends, whose keys go with it, without delay for who comes next (py-consul's
        own refuses what an agent may allow, a ttl under 10 s)."""
        wish = {
            "Name": name,
            "TTL": f"{round(ttl * 1000)}ms",
            "Behavior": "delete",
            "LockDelay": "0s",
            "NodeChecks": [],
        }
        answer = await self.http.put(
            CB.json(is_id=True), "/v1/session/create", params=self._pairs(), data=json.dumps(wish), safe=True
        )
        return str(answer.value)

    async def renew_session(self, session: str) -> bool:
        """Whether it still lives."""
        path = f"/v1/session/renew/{session}"
        answer = await self.http.put(CB.json(one=True), path, params=self._pairs(), safe=True)
        return answer.value is not None

    async def destroy_session(self, session: str) -> None:
        """End it; its keys are deleted."""
        await self.http.put(CB.boolean(), f"/v1/session/destroy/{session}", params=self._pairs(), safe=True)

    def _pairs(self) -> Pairs:
        return [("dc", self.dc)] if self.dc else []


def seconds(duration: str) -> float:
    """Go's duration in seconds: "10s", "1m30s", "200ms"."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    return sum(float(n) * units[unit] for n, unit in re.findall(r"([\d.]+)(ms|s|m|h)", duration))
