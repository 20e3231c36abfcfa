"""The sample: who answered, whom it saw, and a page that shows what works when something does not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from meshctl.bookinfo.page import render
from meshctl.bookinfo.services import application, caller

GATEWAY = "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway"
FORGED = "By=spiffe://x;URI=spiffe://cluster.local/ns/a/sa/forged"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param({}, None, id="no-mtls"),
        pytest.param(
            {"x-forwarded-client-cert": f'By=spiffe://me;Hash=ab;Subject="";URI={GATEWAY}'}, GATEWAY, id="one"
        ),
        pytest.param(
            {"x-forwarded-client-cert": f"{FORGED},By=spiffe://me;URI={GATEWAY}"}, GATEWAY, id="last-counts"
        ),
        pytest.param({"x-forwarded-client-cert": "By=spiffe://me;Hash=ab"}, None, id="no-uri"),
    ],
)
def test_the_caller_is_whom_the_own_sidecar_saw(header: dict[str, str], expected: str | None) -> None:
    assert caller(make_mocked_request("GET", "/", headers=header)) == expected


@pytest.fixture
async def productpage() -> AsyncIterator[TestClient]:
    async with ClientSession() as session:
        app = application("productpage", "v1", session=session, port=1)
        async with TestClient(TestServer(app)) as client:
            yield client


async def test_the_page_says_which_service_did_not_answer(productpage: TestClient) -> None:
    response = await productpage.get("/productpage")
    text = await response.text()
    assert response.status == 200
    assert "details did not answer" in text
    assert "reviews did not answer" in text


async def test_an_unreachable_service_is_a_502_that_names_it(productpage: TestClient) -> None:
    response = await productpage.get("/api/v1/products/0/reviews")
    assert response.status == 502
    assert (await response.json())["service"] == "reviews"


@pytest.mark.parametrize(("version", "rated"), [("v1", False), ("v2", True), ("v3", True)])
async def test_versions_of_reviews_differ_by_the_stars(version: str, rated: bool) -> None:
    async with ClientSession() as session:
        app = application("reviews", version, session=session, port=1)
        async with TestClient(TestServer(app)) as client:
            answer = await (await client.get("/reviews/7")).json()
    assert (answer["service"], answer["version"], answer["id"]) == ("reviews", version, 7)
    assert ("rating" in answer["reviews"][0]) == rated


def test_what_others_send_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    answer = {"service": "productpage", "version": evil, "caller": evil, "upstream": [
        {"service": "details", "title": evil, "author": evil},
        {"service": "reviews", "version": evil, "reviews": [{"reviewer": evil, "text": evil}]},
    ]}  # fmt: skip
    assert "<script>" not in render(answer)
