"""The page that productpage shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.by { margin-top: 0; opacity: .7; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .35rem .6rem .35rem 0;
  border-bottom: 1px solid var(--line); vertical-align: top; } th { font-weight: 600; white-space: nowrap; }
blockquote { margin: 1rem 0; padding-left: 1rem; border-left: 3px solid var(--line); }
.black { color: inherit; } .red { color: #d33; } .stars { letter-spacing: .15em; font-size: 1.2rem; }
.failed { color: #d33; } code { font-size: .9em; overflow-wrap: anywhere; }
.tag { border: 1px solid var(--line); border-radius: 1rem; padding: 0 .6rem; font-size: .85rem; }
"""


def render(answer: Mapping[str, Any]) -> str:
    """The page for one answer of `product`: the book, its reviews, and every hop with the caller it saw."""
    details, reviews = answer["upstream"]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Bookinfo</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>
<h1>{escape(str(details.get("title", "A book")))}</h1>
<p class="by">{escape(str(details.get("author", "")))}</p>
<h2>Details</h2>{_details(details)}
<h2>Reviews <span class="tag">{escape(str(reviews.get("version", "none")))}</span></h2>{_reviews(reviews)}
<h2>How this page came to you</h2>
<table><tr><th>service</th><th>version</th><th>was called by</th></tr>{"".join(_hops(answer, 0))}</table>
</body></html>
"""


def _details(details: Mapping[str, Any]) -> str:
    if "error" in details:
        return _failed(details)
    shown = ("year", "pages", "language", "isbn-10")
    rows = (f"<tr><th>{name}</th><td>{escape(str(details.get(name)))}</td></tr>" for name in shown)
    return f"<table>{''.join(rows)}</table>"


def _reviews(reviews: Mapping[str, Any]) -> str:
    if "error" in reviews:
        return _failed(reviews)
    return "".join(
        f"<blockquote>{escape(review['text'])}<br><small>{escape(review['reviewer'])}</small>"
        f"{_stars(review.get('rating'))}</blockquote>"
        for review in reviews["reviews"]
    )


def _stars(rating: Mapping[str, Any] | None) -> str:
    if rating is None:
        return ""
    stars = rating["stars"]
    if not isinstance(stars, int):
        return '<br><span class="failed">Ratings are not available</span>'
    return f'<br><span class="stars {rating["color"]}">{"★" * stars}{"☆" * (5 - stars)}</span>'


def _failed(answer: Mapping[str, Any]) -> str:
    return f'<p class="failed">{escape(answer["service"])} did not answer: {escape(answer["error"])}</p>'


def _hops(answer: Mapping[str, Any], depth: int) -> Iterator[str]:
    """One row a service that took part, callers before the called."""
    indent = "&nbsp;" * 4 * depth
    saw = answer.get("caller")
    who = f"<code>{escape(saw)}</code>" if saw else escape(answer.get("error", "nobody it could verify"))
    name, version = escape(answer["service"]), escape(str(answer.get("version", "")))
    yield f"<tr><td>{indent}{name}</td><td>{version}</td><td>{who}</td></tr>"
    for below in answer.get("upstream", ()):
        yield from _hops(below, depth + 1)
