"""The contract of adapters, which all keep, and what each of them sends."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from adapter_ends import (
    EVERYTHING,
    End,
    all_bytes,
    fluentd,
    logentry,
    metric,
    opened,
    otlp,
    place,
    tcp,
    udp,
)
from prometheus_client import CollectorRegistry, generate_latest
from servers import CACHE, ServerProcess, free_ports, wait_listening

from artemon.adapters import TEMPLATES, Adapter, Params, Row, Variety
from artemon.adapters.api import GROUP
from artemon.adapters.catalog import named, read_params
from artemon.errors import ArtemonError

HITS = {"name": "hits", "instance_name": "hits", "kind": "COUNTER", "label_names": ["code"]}
Ends = Callable[[], AbstractAsyncContextManager[End]]


@asynccontextmanager
async def none() -> AsyncIterator[End]:
    yield End()


REPORTING: dict[str, tuple[Callable[[str], dict[str, Any]], Ends]] = {
    "prometheus": (lambda _: {"metrics": [HITS]}, none),
    "stdio": (lambda _: {"log_stream": "FILE", "output_path": "x.log"}, none),
    "statsd": (lambda at: {"address": at, "metrics": {"hits": {"type": "COUNTER"}}}, udp),
    "fluentd": (lambda at: {"address": at}, lambda: tcp(fluentd)),
    "syslog": (lambda at: {"address": at, "protocol": "TCP"}, lambda: tcp(all_bytes)),
    "otlp": (lambda at: {"address": at, "metrics": {"hits": "COUNTER"}}, otlp),
}
"""Adapter of reports -> parameters for an address, and who listens there."""


def rows(adapter: str) -> list[Row]:
    made = {"metric": metric(code=200), "logentry": logentry(**EVERYTHING)}
    return [made[name] for name in sorted(named(adapter).templates)]


INSTALLED = sorted(point.name for point in entry_points(group=GROUP))


@pytest.mark.parametrize("name", INSTALLED)
def test_every_adapter_says_what_it_takes(name: str) -> None:
    adapter = named(name)
    assert isinstance(adapter, Adapter)
    assert issubclass(adapter.params, Params)
    assert adapter.templates <= TEMPLATES.keys()
    for garbage in ({"nonsense": 1}, {"address": 7, "metrics": 7, "nonsense": []}):
        assert read_params(adapter, garbage)[1], "what is no parameter is refused"


def test_all_adapters_of_reports_are_tried() -> None:
    reports = {name for name in INSTALLED if _reports(named(name))}
    assert reports == REPORTING.keys()


def _reports(adapter: Adapter) -> bool:
    return any(TEMPLATES[name].variety is Variety.REPORT for name in adapter.templates)


@pytest.mark.parametrize("name", REPORTING)
async def test_rows_are_taken(name: str, tmp_path: Path) -> None:
    params, ends = REPORTING[name]
    async with ends() as end:
        handler = opened(name, params(end.address), place(tmp_path))
        await handler.report(rows(name))
        await handler.report(rows(name) * 3)
        if end.port:
            assert await end.until(bool)
        await handler.close()
        await handler.close()


@pytest.mark.parametrize("name", [name for name, (_, ends) in REPORTING.items() if ends not in (none, udp)])
async def test_nobody_there_is_told_and_mended(name: str, tmp_path: Path) -> None:
    """What cannot be sent raises ArtemonError or OSError; the same handler goes on when the other is back."""
    params, _ = REPORTING[name]
    (port,) = free_ports(1)
    handler = opened(name, params(f"127.0.0.1:{port}"), place(tmp_path))
    for _ in range(2):
        with pytest.raises((ArtemonError, OSError)):
            await handler.report(rows(name))
    await handler.close()


def shown(registry: CollectorRegistry) -> list[str]:
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if not line.startswith("#") and "_created" not in line]


async def test_prometheus(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    took = {**HITS, "name": "took", "kind": "DISTRIBUTION", "instance_name": "took.shop", "label_names": []}
    level = {**HITS, "name": "level", "kind": "GAUGE", "namespace": "", "instance_name": "shop/level"}
    bounds = {"buckets": {"explicit_buckets": {"bounds": [0.1, 1.0]}}}
    params = {"metrics": [HITS, {**took, **bounds}, level]}
    handler = opened("prometheus", params, place(tmp_path, registry))
    spans = [metric(EVERYTHING["took"], "took"), metric(3.0, "took")]
    levels = [metric(5, "level", code="a"), metric(4, "level", code="a")]
    await handler.report([metric(code=200), metric(2, code=200), metric(code="a"), *spans, *levels])
    assert shown(registry) == [
        'istio_hits_total{code="200"} 3.0',
        'istio_hits_total{code="a"} 1.0',
        'istio_took_bucket{le="0.1"} 0.0',
        'istio_took_bucket{le="1.0"} 1.0',
        'istio_took_bucket{le="+Inf"} 2.0',
        "istio_took_count 2.0",
        "istio_took_sum 3.25",
        'level{code="a"} 4.0',
    ]
    with pytest.raises(ArtemonError, match="another handler"):
        opened("prometheus", {"metrics": [HITS]}, place(tmp_path, registry))
    await handler.close()
    assert shown(registry) == []


async def test_series_are_bounded(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    handler = opened("prometheus", {"metrics": [HITS], "max_series": 10}, place(tmp_path, registry))
    await handler.report([metric(code=number) for number in range(100)])
    assert [line.split('"')[1] for line in shown(registry)] == [str(number) for number in range(90, 100)]


async def test_statsd(tmp_path: Path) -> None:
    metrics = {
        "hits": {"type": "COUNTER", "name_template": "hits.{{.code}}.{{ .who }}"},
        "took": {"type": "DISTRIBUTION"},
        "level": {"type": "GAUGE"},
    }
    async with udp() as end:
        params = {"address": end.address, "prefix": "shop.", "metrics": metrics, "flush_bytes": 64}
        handler = opened("statsd", params, place(tmp_path))
        some = [metric(2, code=200, who="a:b c"), metric(EVERYTHING["took"], "took"), metric(1.5, "level")]
        await handler.report(some * 2)
        got = await end.until(lambda got: b"".join(got).count(b"|") == 6)
        assert all(len(datagram) <= 64 for datagram in got)
        lines = [line for datagram in got for line in datagram.split(b"\n")]
        assert lines == [b"shop.hits.200.a_b_c:2|c", b"shop.took:250|ms", b"shop.level:1.5|g"] * 2
        await handler.close()


async def test_fluentd(tmp_path: Path) -> None:
    async with tcp(fluentd) as end:
        handler = opened("fluentd", {"address": end.address, "tag_prefix": "mesh."}, place(tmp_path))
        await handler.report([logentry(**EVERYTHING), logentry("other", a=1)])
        (tag, when, record), (other, _, _) = end.got
        assert (tag, other) == ("mesh.line", "mesh.other")
        assert (when.code, int.from_bytes(when.data[:4], "big")) == (0, 1_700_000_000)
        assert record == {
            "severity": "warning",
            "text": "ü\n",
            "whole": 7,
            "true": True,
            "address": "10.0.0.1",
            "took": "0.25s",
            "labels": {"a": "b"},
        }
        await handler.close()


async def test_fluentd_that_acknowledges_nothing(tmp_path: Path) -> None:
    async def rude(end: End, reader: Any, writer: Any) -> None:
        await reader.read(65536)

    async with tcp(rude) as end:
        handler = opened("fluentd", {"address": end.address}, place(tmp_path))
        with pytest.raises(ArtemonError, match="ended the connection"):
            await handler.report([logentry()])


async def test_files(tmp_path: Path) -> None:
    params = {"log_stream": "ROTATED_FILE", "output_path": "a/x.log", "max_megabytes_before_rotation": 1}
    handler = opened("stdio", {**params, "output_level": "WARNING", "max_rotated_files": 2}, place(tmp_path))
    quiet = Row("shop/line", "logentry", {"severity": "info", "variables": {}})
    await handler.report([quiet, logentry(**EVERYTHING)])
    (line,) = (tmp_path / "a" / "x.log").read_text().splitlines()
    assert json.loads(line) == {
        "level": "warning",
        "time": "2023-11-14T22:13:20.000000Z",
        "instance": "shop/line",
        "text": "ü\n",
        "whole": 7,
        "true": True,
        "address": "10.0.0.1",
        "took": "0.25s",
        "labels": {"a": "b"},
    }
    for _ in range(4):
        await handler.report([logentry(big="x" * 10_000)] * 100)
    await handler.close()
    files = sorted(tmp_path.glob("a/*"))
    assert [one.name for one in files] == ["x.log", "x.log.1", "x.log.2"]
    assert all(one.stat().st_size <= 1_000_000 for one in files)


async def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    handler = opened("stdio", {"log_stream": "FILE", "output_path": "a/x.log"}, place(tmp_path))
    with pytest.raises(OSError, match="a"):
        await handler.report([logentry()])


async def test_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = opened("stdio", {"output_as_json": False}, place(tmp_path))
    await handler.report([logentry(path="/a b")])
    assert capsys.readouterr().out == '2023-11-14T22:13:20.000000Z warning shop/line path="/a b"\n'


SYSLOG = re.compile(
    r'<132>1 2023-11-14T22:13:20.000000Z \S+ artemon - line - hello \{"path":"/","two":"a\\nb"\}'
)


@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
async def test_syslog(tmp_path: Path, protocol: str) -> None:
    async with udp() if protocol == "UDP" else tcp(all_bytes) as end:
        handler = opened("syslog", {"address": end.address, "protocol": protocol}, place(tmp_path))
        await handler.report([logentry(message="hello", path="/", two="a\nb")])
        text = b"".join(await end.until(bool)).decode()
        length, _, rest = text.partition(" ") if protocol == "TCP" else (str(len(text)), "", text)
        assert int(length) == len(rest.encode())
        assert SYSLOG.fullmatch(rest), rest
        await handler.close()


async def test_syslog_that_went_away_loses_nothing(tmp_path: Path) -> None:
    async def one(end: End, reader: Any, writer: Any) -> None:
        end.got.append(await reader.read(65536))

    async with tcp(one) as end:
        handler = opened("syslog", {"address": end.address, "protocol": "TCP"}, place(tmp_path))
        await handler.report([logentry(message="first")])
        await end.until(bool)
        failed = 0
        while len(end.got) < 2:  # the one that is written while the other goes away is tried again
            try:
                await handler.report([logentry(message="second")])
                await end.until(lambda got: len(got) >= 2)
            except (ArtemonError, OSError):
                failed += 1
        assert failed <= 2
        assert b"second" in end.got[1]


async def test_otlp(tmp_path: Path) -> None:
    async with otlp() as end:
        metrics = {"hits": "COUNTER", "level": "GAUGE"}
        handler = opened("otlp", {"address": end.address, "metrics": metrics}, place(tmp_path))
        some = [metric(code=200), metric(2, code=200), metric(7, "level"), metric(8, "level")]
        await handler.report([logentry(message="hello", **EVERYTHING), *some])
        logs, numbers = end.got
        scope = logs.resource_logs[0].ListFields()[1][1][0]
        record = scope.ListFields()[0][1][0]
        assert record.body.string_value == "hello"
        assert (record.severity_text, record.severity_number) == ("warning", 13)
        said = {one.key: one.value for one in record.attributes}
        assert (said["whole"].int_value, said["address"].string_value) == (7, "10.0.0.1")
        hits, level = numbers.resource_metrics[0].ListFields()[1][1][0].metrics
        (point,) = hits.sum.data_points
        assert (hits.name, point.as_double, point.attributes[0].value.string_value) == ("hits", 3.0, "200")
        assert level.gauge.data_points[0].as_double == 8.0
        await handler.close()


RSYSLOG = """
module(load="imtcp")
module(load="imudp")
input(type="imtcp" port="{tcp}" address="127.0.0.1")
input(type="imudp" port="{udp}" address="127.0.0.1")
template(name="t" type="string" string="%syslogseverity-text% %app-name% %msgid% %msg%\\n")
action(type="omfile" file="{folder}/out" template="t")
"""


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
async def test_a_real_rsyslog(protocol: str, tmp_path: Path) -> None:
    binary = shutil.which("rsyslogd")
    if binary is None:
        pytest.skip("rsyslogd is not installed")
    ports = dict(zip(("tcp", "udp"), free_ports(2), strict=True))
    server = ServerProcess(tmp_path / "rsyslog")
    (tmp_path / "conf").write_text(RSYSLOG.format(folder=tmp_path, **ports))
    server.launch(binary, "-n", "-f", str(tmp_path / "conf"), "-i", str(tmp_path / "pid"))
    try:
        wait_listening(ports["tcp"])
        params = {"address": f"127.0.0.1:{ports[protocol.lower()]}", "protocol": protocol}
        handler = opened("syslog", params, place(tmp_path))
        await handler.report([logentry(message="hello", path="/a b"), logentry(message="two")])
        async with asyncio.timeout(30):
            while not (tmp_path / "out").exists() or len((tmp_path / "out").read_text().splitlines()) < 2:
                await asyncio.sleep(0.05)
        await handler.close()
    finally:
        server.kill()
    first, second = (tmp_path / "out").read_text().splitlines()
    assert (first, second) == (
        'warning artemon line hello {"path":"/a b"}',
        "warning artemon line two",
    )


@pytest.mark.slow
async def test_a_real_statsd(tmp_path: Path) -> None:
    found, node = sorted(CACHE.glob("statsd-*/node_modules/statsd/stats.js")), shutil.which("node")
    if not found or node is None:
        pytest.skip("statsd (npm) is not installed")
    port, management = free_ports(2)
    options = {"address": "127.0.0.1", "port": port, "mgmt_port": management, "mgmt_address": "127.0.0.1"}
    settings = {**options, "backends": [], "flushInterval": 60_000}
    (tmp_path / "config.js").write_text(json.dumps(settings))
    server = ServerProcess(tmp_path / "statsd")
    server.launch(node, str(found[-1]), str(tmp_path / "config.js"))
    try:
        wait_listening(management)
        params = {"address": f"127.0.0.1:{port}", "prefix": "shop."}
        kinds = {"hits": {"type": "COUNTER", "name_template": "hits.{{.code}}"}, "level": {"type": "GAUGE"}}
        handler = opened("statsd", {**params, "metrics": kinds}, place(tmp_path))
        await handler.report([metric(code=200), metric(2, code=200), metric(1.5, "level")])
        async with asyncio.timeout(30):
            while "shop.level" not in (gauges := await told(management, "gauges")):
                await asyncio.sleep(0.05)
        assert gauges["shop.level"] == 1.5
        assert (await told(management, "counters"))["shop.hits.200"] == 3
        await handler.close()
    finally:
        server.kill()


async def told(port: int, what: str) -> dict[str, float]:
    """An answer of statsd's management interface."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{what}\n".encode())
    said = (await reader.readuntil(b"END")).decode().removesuffix("END")
    writer.close()
    return {name: float(value) for name, value in re.findall(r"'?([\w.]+)'?: (-?[\d.]+)", said)}
