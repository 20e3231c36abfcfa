"""What the sample's services answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError, ClientSession, web

from meshctl.bookinfo.page import render

Answer = dict[str, Any]
PASSED_ON = (
    "x-request-id",
    "traceparent",
    "tracestate",
    "b3",
    "end-user",
    "user-agent",
    "cookie",
    "authorization",
)
"""Headers that go along with the requests that a request causes: traces and cohorts hold together."""

BOOK = {
    "title": "The Comedy of Errors",
    "author": "William Shakespeare",
    "year": 1595,
    "pages": 200,
    "language": "English",
    "isbn-10": "1234567890",
}
REVIEWS = (
    (
        "Reviewer1",
        "Two pairs of twins, one day, one town: nobody is who the others think.",
    ),
    ("Reviewer2", "Fun from start to end, though the other plays go deeper into the people they show."),
)
STARS = (5, 4)


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance: who it is, and how it reaches the others."""

    service: str
    version: str
    session: ClientSession
    port: int

    async def get(self, request: web.Request, service: str, path: str) -> Answer:
        """What `service` answers; an error becomes an answer that says so (the page still shows the rest)."""
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        url = f"http://{service}:{self.port}{path}"
        try:
            async with self.session.get(url, headers=headers) as response:
                if response.status == 200:
                    answer: Answer = await response.json()
                    return answer
                return {"service": service, "error": f"HTTP {response.status}", "status": response.status}
        except (TimeoutError, ClientError, ValueError) as error:
            return {"service": service, "error": str(error) or type(error).__name__, "status": 502}

    def signed(self, request: web.Request, content: Mapping[str, Any]) -> Answer:
        """`content` with who answered and whom it saw."""
        return {"service": self.service, "version": self.version, "caller": caller(request), **content}


Handler = Callable[[Instance, web.Request], Awaitable[Answer]]


def caller(request: web.Request) -> str | None:
    """The SPIFFE ID of the client as the sidecar saw it (Envoy's x-forwarded-client-cert), None: no mTLS."""
    last = request.headers.get("x-forwarded-client-cert", "").rsplit(",", 1)[-1]
    found = re.search(r"(?:^|;)URI=([^;,]+)", last)
    return found.group(1) if found else None


async def details(me: Instance, request: web.Request) -> Answer:
    """The facts about a book."""
    return me.signed(request, {"id": int(request.match_info["id"]), **BOOK})


async def ratings(me: Instance, request: web.Request) -> Answer:
    """The stars that reviewers gave."""
    return me.signed(
        request,
        {
            "id": int(request.match_info["id"]),
            "ratings": dict(zip(("Reviewer1", "Reviewer2"), STARS, strict=True)),
        },
    )


async def reviews(me: Instance, request: web.Request) -> Answer:
    """Reviews; v2 and v3 ask for the stars, black and red."""
    texts: list[Answer] = [{"reviewer": who, "text": text} for who, text in REVIEWS]
    content: Answer = {"id": int(request.match_info["id"]), "reviews": texts}
    if me.version != "v1":
        rated = await me.get(request, "ratings", f"/ratings/{content['id']}")
        stars = rated.get("ratings", {})
        for text in texts:
            text["rating"] = {
                "stars": stars.get(text["reviewer"]),
                "color": "red" if me.version == "v3" else "black",
            }
        content["upstream"] = [rated]
    return me.signed(request, content)


async def product_reviews(me: Instance, request: web.Request) -> Answer:
    """What `reviews` answered, as it is."""
    return await me.get(request, "reviews", f"/reviews/{request.match_info['id']}")


async def product(me: Instance, request: web.Request) -> Answer:
    """Everything the page shows, with every hop below `upstream`."""
    number = request.match_info.get("id", "0")
    upstream = [
        await me.get(request, "details", f"/details/{number}"),
        await me.get(request, "reviews", f"/reviews/{number}"),
    ]
    return me.signed(request, {"id": int(number), "upstream": upstream})


async def whoami(me: Instance, request: web.Request) -> Answer:
    """Who this is, and who asked."""
    return me.signed(request, {})


SERVICES: Mapping[str, Mapping[str, Handler]] = {
    "details": {"/details/{id:[0-9]+}": details},
    "ratings": {"/ratings/{id:[0-9]+}": ratings},
    "reviews": {"/reviews/{id:[0-9]+}": reviews},
    "productpage": {
        "/api/v1/products/{id:[0-9]+}": product,
        "/api/v1/products/{id:[0-9]+}/reviews": product_reviews,
    },
}


def application(service: str, version: str, *, session: ClientSession, port: int) -> web.Application:
    """The HTTP application of one instance. port: the service port of the others."""
    me = Instance(service=service, version=version, session=session, port=port)

    def as_json(handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def respond(request: web.Request) -> web.Response:
            answer = await handler(me, request)
            return web.json_response(answer, status=answer.get("status", 200))

        return respond

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=render(await product(me, request)), content_type="text/html")

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application()
    app.add_routes(web.get(path, as_json(handler)) for path, handler in SERVICES[service].items())
    app.add_routes([web.get("/whoami", as_json(whoami)), web.get("/health", healthy)])
    if service == "productpage":
        app.add_routes([web.get("/productpage", page), web.get("/", page)])
    return app
