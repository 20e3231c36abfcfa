"""Callers without mutual TLS: read out of Envoy's metrics, told when there is something new."""

from __future__ import annotations

import pytest

from artemon.errors import Refused
from artemon.model.plaintext import MAX_SEEN, PlaintextReport, Seen
from proxyd.callers import Callers, counted

TEXT = """# TYPE envoy_artemon_plaintext counter
envoy_artemon_plaintext{from="192.0.2.7",port="8443",kind="plaintext"} 3
envoy_artemon_plaintext{kind="tls",from="2001:db8::1",port="0"} 1
envoy_artemon_plaintext{from="192.0.2.9",port="x",kind="plaintext"} 3
envoy_artemon_istio_requests_total{p="d|200"} 9
"""


def test_counts_are_read_whatever_the_order_of_labels() -> None:
    assert counted(TEXT) == {("192.0.2.7", 8443, "plaintext"): 3, ("2001:db8::1", 0, "tls"): 1}


async def test_only_news_are_told() -> None:
    told: list[PlaintextReport] = []
    texts = [TEXT, None, TEXT, TEXT.replace(" 3\n", " 5\n")]
    clock = iter(f"2026-01-01T00:00:0{n}+00:00" for n in range(9))

    async def statistics(_: str) -> str | None:
        return texts.pop(0)

    callers = Callers(statistics, told.append, now=lambda: next(clock))
    while texts:
        await callers.look()
    assert [len(report.seen) for report in told] == [2, 2]
    first, second = told[1].seen
    assert (first.count, first.last) == (5, "2026-01-01T00:00:03+00:00")
    assert (second.count, second.last) == (1, "2026-01-01T00:00:02+00:00"), "it has not grown since"
    assert PlaintextReport.decode(told[1].encode()) == told[1]


def test_the_busiest_are_told_when_there_are_too_many() -> None:
    many = tuple(Seen(f"192.0.2.{n % 250}", n, "plaintext", n, "t") for n in range(MAX_SEEN + 10))
    kept = PlaintextReport.decode(PlaintextReport("t", many).encode()).seen
    assert len(kept) == MAX_SEEN
    assert min(one.count for one in kept) == 10


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{}", '{"since":"t","seen":[1]}', '{"since":1,"seen":[]}', "[" * 100000,
        '{"since":"t","seen":[{"caller":"a\\u001b[2J","port":1,"kind":"k","count":1,"last":"t"}]}',
        '{"since":"t","seen":[{"caller":"a","port":"x","kind":"k","count":1,"last":"t"}]}',
        '{"since":"%s","seen":[]}' % ("x" * 65),
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        PlaintextReport.decode(text)
