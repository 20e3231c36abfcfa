"""The dashboard in a real Chromium, by keyboard alone; what it shows does not overlap and can be read."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from chromium import chromium
from dashboard_mesh import dashboard, services
from playwright.async_api import Browser, Page, expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]
OUTSIDE = "/api.payments.example.com"
FOCUSED = "document.activeElement.id || document.activeElement.dataset.name || document.activeElement.tagName"
RING = "getComputedStyle(document.activeElement).outline"


Open = Callable[..., AbstractAsyncContextManager[Page]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Open:
    """The page of a mesh, once it shows it."""

    @asynccontextmanager
    async def opening(count: int, **more: Any) -> AsyncIterator[Page]:
        async with dashboard(tmp_path, count) as url:
            page = await browser.new_page(viewport={"width": 1440, "height": 860}, **more)
            failures: list[str] = []
            page.on("pageerror", lambda error: failures.append(str(error)))
            await page.goto(url)
            await expect(page.locator("nav button")).to_have_count(count + 1)
            yield page
            assert failures == []
            await page.close()

    return opening


async def press(page: Page, *keys: str) -> None:
    for key in keys:
        await page.keyboard.press(key)


async def test_tab_reaches_every_control_and_shows_where_it_is(opened: Open) -> None:
    async with opened(30) as page:
        reached = []
        for _ in range(9):
            await press(page, "Tab")
            reached.append(await page.evaluate(FOCUSED))
            assert re.search(r"solid [23]px$", await page.evaluate(RING)), reached[-1]
        assert reached == ["search", "window", "theme", OUTSIDE, "graph", "closer", "farther", "fit", "side"]
        await press(page, *["Shift+Tab"] * 5)
        await press(page, "ArrowDown", "ArrowDown", "Enter")
        second = await page.evaluate(FOCUSED)
        await expect(page.locator("nav [aria-current=true]")).to_have_attribute("data-name", second)
        await expect(page.locator("#side h2")).to_have_text(second.split("/")[1])


async def test_arrows_reach_every_service_of_the_graph(opened: Open) -> None:
    async with opened(30) as page:
        await page.locator("#graph").focus()
        await press(page, "Home")
        seen = [await page.evaluate("state.cursor")]
        for _ in range(31):
            await press(page, "ArrowDown")
            seen.append(await page.evaluate("state.cursor"))
        assert set(seen) == {"/".join(one) for one in services(30)} | {OUTSIDE}
        assert seen[-1] == seen[-2], "the last one is the end"
        columns = await page.evaluate("state.laid.columns.length")
        across = {await page.evaluate("state.laid.places.get(state.cursor).column")}
        for _ in range(columns):
            await press(page, "ArrowLeft")
            across.add(await page.evaluate("state.laid.places.get(state.cursor).column"))
        assert across == set(range(columns))
        assert await page.evaluate("state.cursor") == "istio-system/istio-ingressgateway"


async def test_enter_chooses_and_escape_lets_go(opened: Open) -> None:
    async with opened(30) as page:
        await page.locator("#graph").focus()
        await press(page, "ArrowRight", "Enter")
        chosen = await page.evaluate("state.cursor")
        await expect(page.locator("#side h2")).to_have_text(chosen.split("/")[1])
        await expect(page.locator("#tip")).to_contain_text(f"{chosen.split('/')[1]}, namespace ")
        await press(page, "Escape")
        await expect(page.locator("#side h2")).to_have_text("The mesh")
        assert await page.evaluate(FOCUSED) == "graph"
        before = await page.evaluate("state.zoom")
        await press(page, "+", "+")
        assert await page.evaluate("state.zoom") > before
        await press(page, "0")
        assert await page.evaluate("state.zoom") == before


async def test_search_by_slash(opened: Open) -> None:
    async with opened(30) as page:
        await press(page, "/")
        assert await page.evaluate(FOCUSED) == "search"
        await page.keyboard.type("Catalog")
        await expect(page.locator("nav button")).to_have_count(2)
        await press(page, "Enter")
        await expect(page.locator("#side h2")).to_have_text("catalog-1")
        await press(page, "ArrowDown", "ArrowDown", "Enter")
        await expect(page.locator("#side h2")).to_have_text("catalog")
        await press(page, "Escape")
        await expect(page.locator("nav button")).to_have_count(31)
        await expect(page.locator("#side h2")).to_have_text("catalog")
        await press(page, "Escape")
        await expect(page.locator("#side h2")).to_have_text("The mesh")
        await press(page, "/")
        await page.keyboard.type("nobody")
        await expect(page.locator("nav")).to_have_text("No service is called so.")


async def test_the_time_window(opened: Open) -> None:
    async with opened(3) as page:
        await press(page, "Tab", "Tab")
        async with page.expect_request(re.compile("graph.seconds=300$")):
            await press(page, "ArrowDown")
        await expect(page.locator("nav")).to_contain_text("/min")


async def test_asking_anew_leaves_focus_and_what_is_open_alone(opened: Open) -> None:
    async with opened(30) as page:
        await press(page, "/")
        await page.keyboard.type("ingress")
        await press(page, "Enter")
        trace = page.locator("#part-traces button")
        await trace.focus()
        await press(page, "Enter")
        await expect(trace).to_have_attribute("aria-expanded", "true")
        await expect(page.locator("#part-waterfall .bar")).to_have_count(5)
        async with page.expect_response(re.compile("telemetry/logs")):
            await page.evaluate("refresh()")
        await expect(page.locator("#part-logs pre")).to_contain_text("istio-ingressgateway → ")
        await expect(page.locator("#part-waterfall .bar")).to_have_count(5)
        assert await page.evaluate("document.activeElement.dataset.key") == "ab" * 16
        await page.locator("nav button").first.focus()
        await page.evaluate("refresh()")
        assert await page.evaluate(FOCUSED) == "istio-system/istio-ingressgateway"


SPACED = """() => {
  const all = [...state.laid.places.values()], { width, height } = BOX;
  const meet = (a, b) => Math.abs(a.x - b.x) < width && Math.abs(a.y - b.y) < height;
  const clash = all.filter((a, i) => all.some((b, j) => j > i && meet(a, b)));
  const within = (at, size, most, pan) =>
    (at - size / 2) * state.zoom + pan >= 0 && (at + size / 2) * state.zoom + pan <= most;
  const { clientWidth, clientHeight } = $("stage"), [x, y] = state.pan;
  const lost = all.filter(p => !within(p.x, width, clientWidth, x) || !within(p.y, height, clientHeight, y));
  return [all.length, clash.length, lost.length];
}"""


@pytest.mark.parametrize("count", [3, 30, 200])
async def test_every_service_has_a_place_of_its_own_in_sight(opened: Open, count: int) -> None:
    async with opened(count) as page:
        assert await page.evaluate(SPACED) == [count + 1, 0, 0]
        await page.set_viewport_size({"width": 1024, "height": 700})
        await page.wait_for_function("$('graph').width === $('stage').clientWidth")
        assert await page.evaluate(SPACED) == [count + 1, 0, 0]


async def test_a_mesh_looks_the_same_each_time(opened: Open) -> None:
    async with opened(30) as page:
        first = await page.evaluate("[...state.laid.places]")
        await page.evaluate("state.graph.nodes.reverse(), state.graph.edges.reverse(), place()")
        again = await page.evaluate("[...state.laid.places]")
        assert sorted(again, key=str) == sorted(first, key=str)


def luminance(colour: str) -> float:
    whole = colour.lstrip("#")
    whole = "".join(one * 2 for one in whole) if len(whole) == 3 else whole
    parts = [int(whole[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG's ratio."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("toggled", [False, True], ids=["as the system", "by the button"])
async def test_everything_can_be_read(opened: Open, scheme: Any, toggled: bool) -> None:
    async with opened(3, color_scheme=scheme) as page:
        if toggled:
            await press(page, "d")
        tints = await page.evaluate("tints")
        assert (luminance(tints["paper"]) < 0.5) == ((scheme == "dark") != toggled)
        for ground in ("paper", "card"):
            for text in ("ink", "faint", "good", "bad", "warm", "pick"):
                assert contrast(tints[text], tints[ground]) >= 4.5, (text, ground)
            assert contrast(tints["edge"], tints[ground]) >= 3, ground


async def test_many_changes_are_drawn_once(opened: Open) -> None:
    async with opened(200) as page:
        drawn = await page.evaluate(
            """async () => { let times = 0; const before = draw; draw = () => { times++; before(); };
            for (let i = 0; i < 50; i++) { state.pan[0] += 1; redraw(); }
            for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
            return times; }"""
        )
        assert drawn == 1
