"""Small objects, and a client of galleyd's API as an administrator."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from artemon.store.whole import Whole
from galleyd.app import Parts
from galleyd.callers import EVERYONE, Caller, digest

NETWORKING = "/apis/networking.istio.io/v1"
SERVICES = f"{NETWORKING}/namespaces/shop/virtualservices"
ACCESS = "/apis/access.artemon.io/v1/namespaces"
ANN = Caller("ann", (EVERYONE,))
TOKEN = "t" * 32


def virtual_service(name: str = "reviews", *, timeout: str = "5s", **meta: Any) -> dict[str, Any]:
    """A small VirtualService in namespace shop."""
    route = {"timeout": timeout, "route": [{"destination": {"host": "reviews"}}]}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "shop", **meta},
        "spec": {"hosts": ["reviews"], "http": [route]},
    }


class Api:
    """The API as one administrator; `parts` and `store` are what lies behind it."""

    def __init__(self, client: TestClient[Any, Any], parts: Parts, store: Whole, token: str) -> None:
        self.client, self.parts, self.store = client, parts, store
        self.headers = {"Authorization": f"Bearer {token}"}

    async def ask(
        self, method: str, path: str, body: Any = None, *, code: int | None = None, **more: Any
    ) -> Any:
        """The JSON answer; with `code`, that status is insisted on."""
        response = await self.send(method, path, body, **more)
        answer = await response.json()
        assert code is None or response.status == code, answer
        return answer

    async def send(self, method: str, path: str, body: Any = None, **more: Any) -> ClientResponse:
        """The response."""
        headers = {**self.headers, **more.pop("headers", {})}
        data = {"json": body} if body is not None else {}
        return await self.client.request(method, path, headers=headers, **data, **more)

    async def seen(self, revision: int) -> None:
        """Wait until the watch has seen a revision."""
        feed = self.parts.config
        assert await feed.until(lambda: feed.position.revision >= revision, 5)


def binding(role: str, namespace: str = "shop", subject: dict[str, str] | None = None) -> dict[str, Any]:
    """A RoleBinding, of user ann unless told otherwise."""
    return {
        "apiVersion": "access.artemon.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": namespace},
        "spec": {"role": role, "subjects": [subject or {"kind": "User", "name": "ann"}]},
    }


async def bind(api: Api, obj: dict[str, Any]) -> None:
    made = await api.ask("POST", f"{ACCESS}/{obj['metadata']['namespace']}/rolebindings", obj, code=201)
    await api.seen(int(made["metadata"]["resourceVersion"]))


def become(api: Api, caller: Caller = ANN) -> dict[str, str]:
    """The headers of one more caller."""
    tokens = dict(api.parts.tokens._callers)
    api.parts.tokens.replace({**tokens, digest(TOKEN): caller})
    return {"Authorization": f"Bearer {TOKEN}"}
