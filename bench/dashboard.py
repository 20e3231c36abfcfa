"""`python -m bench.dashboard`: how soon a real Chromium shows a mesh of 3, 30 and 200 services, and what a
frame costs while it is moved. Two of five steps zoom as well: then names are laid out anew."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.report import Figure, show

TESTS = Path(__file__).parents[1] / "tests"
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
MOVED = """async () => {
  const between = []; let last = 0;
  for (let i = 0; i < 180; i++) {
    const at = await new Promise(requestAnimationFrame); if (last) between.push(at - last); last = at;
    state.pan[0] += Math.sin(i / 9) * 6; if (i % 5 < 2) zoom(i % 2 ? 1.03 : 1 / 1.03);
    draw();
  }
  between.sort((a, b) => a - b);
  return { frame: between[89], late: between.filter(v => v > 25).length };
}"""
DRAWN = "new Promise(requestAnimationFrame).then(() => performance.now())"
FRAMES = 180
FRAME = 1000 / 60


async def measured(count: int) -> list[Figure]:
    """Of one size of mesh."""
    from chromium import chromium
    from dashboard_mesh import dashboard

    with tempfile.TemporaryDirectory() as folder:
        async with dashboard(Path(folder), count) as url, chromium() as browser:
            page = await browser.new_page(viewport={"width": 1440, "height": 860})
            await page.goto(url)
            await page.wait_for_function(f"document.querySelectorAll('nav button').length === {count + 1}")
            whole = await page.evaluate(DRAWN)
            paint = await page.evaluate(PAINT)
            client = await page.context.new_cdp_session(page)
            await client.send("Performance.enable", {"timeDomain": "threadTicks"})
            before = await _busy(client)
            moved: dict[str, Any] = await page.evaluate(MOVED)
            busy = await _busy(client) - before
    return [
        Figure(f"{count} services: first contentful paint", paint, "ms", 1000),
        Figure(f"{count} services: all of it is drawn", whole, "ms", 1000),
        Figure(f"{count} services: processor time of the page's thread, a frame", busy / FRAMES, "ms", FRAME),
        Figure(f"{count} services: from frame to frame, median", moved["frame"], "ms"),
        Figure(f"{count} services: frames of 179 later than 25 ms", moved["late"], ""),
    ]


async def _busy(client: Any) -> float:
    """Processor time of the thread that runs the page, in milliseconds."""
    found = await client.send("Performance.getMetrics")
    return 1000 * next(one["value"] for one in found["metrics"] if one["name"] == "TaskDuration")


async def run() -> None:
    """Prints the table."""
    for count in (3, 30, 200):
        show(f"The dashboard, {count} services", await measured(count))


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))
    asyncio.run(run())
