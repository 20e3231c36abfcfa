"""The adapters fluentd and otlp against a real OpenTelemetry Collector, which takes what both say."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from adapter_ends import EVERYTHING, logentry, metric, opened, place
from servers import ServerProcess, find_collector, free_ports, wait_listening

from artemon.errors import ArtemonError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CONFIG = """
receivers:
  fluentforward: {{endpoint: 127.0.0.1:{forward}}}
  otlp: {{protocols: {{grpc: {{endpoint: 127.0.0.1:{otlp}}}}}}}
exporters:
  debug: {{verbosity: detailed, use_internal_logger: false}}
service:
  pipelines:
    logs: {{receivers: [fluentforward, otlp], exporters: [debug]}}
    metrics: {{receivers: [otlp], exporters: [debug]}}
"""


class Collector(ServerProcess):
    """It, and what it says that it took."""

    forward = otlp = 0

    async def until(self, enough: Callable[[str], bool]) -> str:
        """What it said once that is enough."""
        async with asyncio.timeout(60):
            while not enough(text := (self.folder / "log").read_text()):
                await asyncio.sleep(0.05)
        return text


@pytest_asyncio.fixture
async def collector(tmp_path: Path) -> AsyncIterator[Collector]:
    binary = find_collector()
    if binary is None:
        pytest.skip("no OpenTelemetry Collector: run .ci/servers otelcol, or set ARTEMON_OTELCOL")
    server = Collector(tmp_path / "collector")
    server.forward, server.otlp = free_ports(2)
    (tmp_path / "conf.yaml").write_text(CONFIG.format(forward=server.forward, otlp=server.otlp))
    server.launch(binary, "--config", f"file:{tmp_path / 'conf.yaml'}")
    wait_listening(server.forward)
    wait_listening(server.otlp)
    yield server
    server.kill()


@pytest.mark.parametrize("acknowledged", [True, False])
async def test_what_fluentd_takes(collector: Collector, acknowledged: bool, tmp_path: Path) -> None:
    params = {"address": f"127.0.0.1:{collector.forward}", "tag_prefix": "mesh.", "require_ack": acknowledged}
    handler = opened("fluentd", params, place(tmp_path))
    await handler.report([logentry(**EVERYTHING), logentry("other", a=1)])
    await handler.report([logentry("many", number=number) for number in range(500)])
    said = await collector.until(lambda text: text.count("fluent.tag: Str(mesh.many)") == 500)
    await handler.close()
    first, other = said.split("LogRecord #")[1:3]
    assert "Timestamp: 2023-11-14 22:13:20 +0000 UTC" in first
    for told in ("severity: Str(warning)", "text: Str(ü\n)", "whole: Int(7)", "true: Bool(true)"):
        assert f"-> {told}" in first
    for told in ("address: Str(10.0.0.1)", "took: Str(0.25s)", 'labels: Map({"a":"b"})'):
        assert f"-> {told}" in first
    assert "-> fluent.tag: Str(mesh.line)" in first
    assert "-> fluent.tag: Str(mesh.other)" in other
    assert {int(one) for one in re.findall(r"number: Int\((\d+)\)", said)} == set(range(500))


async def test_the_same_handler_goes_on_after_the_other_was_away(
    collector: Collector, tmp_path: Path
) -> None:
    handler = opened("fluentd", {"address": f"127.0.0.1:{collector.forward}"}, place(tmp_path))
    await handler.report([logentry("before")])
    collector.kill()
    with pytest.raises((OSError, ArtemonError)):
        await handler.report([logentry("lost")])
    binary = find_collector()
    assert binary is not None
    collector.launch(binary, "--config", f"file:{tmp_path / 'conf.yaml'}")
    wait_listening(collector.forward)
    await handler.report([logentry("after")])
    said = await collector.until(lambda text: "Str(after)" in text)
    await handler.close()
    assert "Str(before)" in said
    assert "Str(lost)" not in said


async def test_what_a_collector_takes_over_otlp(collector: Collector, tmp_path: Path) -> None:
    params = {"address": f"127.0.0.1:{collector.otlp}", "metrics": {"hits": "COUNTER"}}
    handler = opened("otlp", params, place(tmp_path))
    await handler.report([logentry(message="hello", path="/a b"), metric(2, code=200), metric(code=200)])
    said = await collector.until(
        lambda text: "Name: hits" in text and "Value:" in text and "LogRecord" in text
    )
    await handler.close()
    assert re.search(
        r"Name: hits.*DataType: Sum.*IsMonotonic: true.*code: Str\(200\).*Value: 3\.0", said, re.DOTALL
    )
    assert "hello" in said
    assert "/a b" in said
