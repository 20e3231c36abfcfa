"""A thin client for APIs in Kubernetes conventions: galleyd's, or a cluster's."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

from artemon.errors import Unavailable, Unknown
from artemon.kube.access import Access
from artemon.kube.failures import refusal
from artemon.kube.pages import Event, Object, Read, as_object, fields_of, read_event, read_page
from artemon.model.resource import Kind

T = TypeVar("T")
Query = Mapping[str, str | int]

SECONDS = 30.0
"""Of one request, watches excepted."""
IDLE = 120.0
"""Seconds that a watch may be silent."""
PAGE = 500
MAX_LINE = 4 * 1024 * 1024
JSON = "application/json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Of watches, and of lists: nothing of objects but their metadata."""
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON value and the warnings that came with it."""

    value: Any
    warnings: tuple[str, ...] = ()


def path_of(kind: Kind, namespace: str = "", name: str = "", *, version: str = "") -> str:
    """The path of a collection or an object; the preferred version unless another is asked for."""
    version = version or kind.versions[0]
    base = f"/apis/{kind.group}/{version}" if kind.group else f"/api/{version}"
    within = f"{base}/namespaces/{namespace}" if namespace else base
    return f"{within}/{kind.plural}/{name}" if name else f"{within}/{kind.plural}"


class Client:
    """Requests to one server.

    Every call raises Rejected for what the server refuses, Unavailable when it cannot be reached (surely
    nothing was changed), Unknown when a write was sent and no answer came.
    """

    def __init__(self, access: Access, session: aiohttp.ClientSession) -> None:
        self._access, self._session = access, session

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Client]:
        """A client while the block runs. Raises ArtemonError when TLS cannot be set up."""
        headers = {"Authorization": f"Bearer {access.token}"} if access.token else {}
        connector = aiohttp.TCPConnector(ssl=access.ssl())
        async with aiohttp.ClientSession(
            connector=connector, headers=headers, read_bufsize=MAX_LINE
        ) as session:
            yield cls(access, session)

    async def get(self, kind: Kind, namespace: str, name: str, *, accept: str = "application/json") -> Object:
        """One object."""
        answer = await self.request("GET", path_of(kind, namespace, name), accept=accept)
        return as_object(answer.value)

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        query: Query | None = None,
        accept: str = "application/json",
    ) -> Object:
        """All objects of a kind, of one namespace or ("") all: every page, as one list (or table)."""
        asked: dict[str, str | int] = {"limit": PAGE, **(query or {})}
        whole: Object = {}
        while True:
            answer = await self.request("GET", path_of(kind, namespace), query=asked, accept=accept)
            page = as_object(answer.value)
            for part in ("items", "rows"):
                if whole and part in page:
                    whole[part].extend(page[part])
                    page[part] = whole[part]
            whole = page
            token = as_object(page.get("metadata") or {}).get("continue")
            if not token:
                return whole
            asked["continue"] = token

    async def list_as(
        self,
        read: Read[T],
        kind: Kind,
        namespace: str = "",
        *,
        query: Query | None = None,
        accept: str = JSON,
    ) -> tuple[tuple[T, ...], str]:
        """All objects of a kind as what `read` makes of them, and the version of the list. A large list is
        never there as a whole."""
        asked: dict[str, str | int] = {"limit": PAGE, **(query or {})}
        whole: list[T] = []
        while True:
            code, text, _ = await self._exchange("GET", path_of(kind, namespace), query=asked, accept=accept)
            if code >= 300:
                raise refusal(code, _content(code, text))
            found, meta = read_page(text, read)
            whole += found
            if not meta.more:
                return tuple(whole), meta.resource_version
            asked["continue"] = meta.more

    async def create(self, kind: Kind, obj: Object, *, query: Query | None = None) -> Answer:
        """POST."""
        return await self.request("POST", path_of(kind, _namespace(obj)), body=obj, query=query)

    async def replace(self, kind: Kind, obj: Object, *, query: Query | None = None) -> Answer:
        """PUT; the object carries the resourceVersion that it replaces."""
        path = path_of(kind, _namespace(obj), str(obj["metadata"]["name"]))
        return await self.request("PUT", path, body=obj, query=query)

    async def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Any,
        *,
        media: str = MERGE,
        query: Query | None = None,
    ) -> Answer:
        """PATCH: a merge patch, or with `media` JSON_PATCH a JSON patch."""
        path = path_of(kind, namespace, name)
        return await self.request("PATCH", path, body=patch, media=media, query=query)

    async def delete(self, kind: Kind, namespace: str, name: str, *, query: Query | None = None) -> Answer:
        """DELETE."""
        return await self.request("DELETE", path_of(kind, namespace, name), query=query)

    def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        since: str = "",
        query: Query | None = None,
        accept: str = "application/json",
    ) -> AsyncIterator[Event[Object]]:
        """Events after revision `since` ("": what is there first), until the server ends the stream.
        Raises Gone when the revision is too old."""
        return self.watch_as(fields_of, kind, namespace, since=since, query=query, accept=accept)

    async def watch_as(
        self,
        read: Read[T],
        kind: Kind,
        namespace: str = "",
        *,
        since: str = "",
        query: Query | None = None,
        accept: str = "application/json",
    ) -> AsyncIterator[Event[T]]:
        """The same, with objects as what `read` makes of them."""
        asked = {**(query or {}), "watch": "1", "allowWatchBookmarks": "1"}
        if since:
            asked["resourceVersion"] = since
        timeout = aiohttp.ClientTimeout(total=None, connect=SECONDS, sock_read=IDLE)
        try:
            async with self._send(
                "GET", path_of(kind, namespace), asked, accept, timeout=timeout
            ) as response:
                if response.status >= 300:
                    raise refusal(response.status, _content(response.status, await response.read()))
                async for line in response.content:
                    yield read_event(line, read)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unavailable(f"{self._access.server}: the watch broke off: {reason_of(error)}") from error

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        media: str = "application/json",
        accept: str = "application/json",
        seconds: float = SECONDS,
    ) -> Answer:
        """Any request with a JSON answer."""
        code, text, warnings = await self._exchange(
            method, path, query=query, body=body, media=media, accept=accept, seconds=seconds
        )
        value = _content(code, text)
        if code >= 300:
            raise refusal(code, value, writing=method != "GET")
        return Answer(value, warnings)

    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        media: str = "application/json",
        accept: str = "application/json",
        seconds: float = SECONDS,
    ) -> tuple[int, bytes, tuple[str, ...]]:
        """Status, content and warnings of the answer to a request."""
        data = None if body is None else json.dumps(body).encode()
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._send(
                method, path, query, accept, timeout=timeout, data=data, media=media
            ) as response:
                text = await response.read()
        except aiohttp.ClientConnectorError as error:
            raise Unavailable(f"{self._access.server} cannot be reached: {reason_of(error)}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            said = f"{self._access.server}: {method} {path}: no answer: {reason_of(error)}"
            raise (Unavailable(said) if method == "GET" else Unknown(said)) from error
        return response.status, text, tuple(_warnings(response.headers.getall("Warning", [])))

    def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        accept: str,
        *,
        timeout: aiohttp.ClientTimeout,
        data: bytes | None = None,
        media: str = "application/json",
    ) -> Any:
        headers = {"Accept": accept, **({"Content-Type": media} if data is not None else {})}
        url = self._access.server.rstrip("/") + path
        return self._session.request(
            method,
            url,
            params=dict(query or {}),
            data=data,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
            server_hostname=self._access.server_name or None,
        )


def reason_of(error: BaseException) -> str:
    """The part of a connection's failure that a person can use."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {error.certificate_error}"
    inner = getattr(error, "os_error", None)
    return str(getattr(inner, "strerror", None) or inner or error or type(error).__name__)


def _namespace(obj: Object) -> str:
    return str(obj["metadata"].get("namespace", ""))


def _content(code: int, text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"message": f"the server answered {code} and no JSON"}


def _warnings(headers: list[str]) -> list[str]:
    texts = [text for header in headers for text in _WARNING.findall(header)]
    return [re.sub(r"\\(.)", r"\1", text) for text in texts]
