"""galleyd's audit log: every change and refusal has its line, none has a secret."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from galley_api import SERVICES, Api, virtual_service

from artemon.daemon.audit import check_file
from galleyd.callers import EVERYONE, Caller, digest
from galleyd.trail import STRANGERS_A_SECOND
from meshctl.__main__ import meshctl

SECRETS = "/api/v1/namespaces/shop/secrets"
TOKEN = "t" * 32


def lines(api: Api) -> list[dict[str, Any]]:
    return [json.loads(line) for line in api.parts.trail.path.read_bytes().splitlines()]


async def test_a_change_is_written_down_before_and_after(api: Api) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    await api.ask("POST", f"{SERVICES}?dryRun=All", virtual_service("b"), code=201)
    await api.ask("DELETE", f"{SERVICES}/reviews", code=200)
    told = [(line["decision"], line.get("objects", line.get("revision"))) for line in lines(api)]
    assert [one[0] for one in told] == ["writing", "written", "writing", "written"]
    assert told[0][1] == ["create virtualservices/shop/reviews"]
    assert told[2][1] == ["delete virtualservices/shop/reviews"]
    assert check_file(api.parts.trail.path) == 4


@pytest.mark.parametrize(
    ("method", "path", "headers", "code"),
    [
        pytest.param("GET", SERVICES, {"Authorization": "Bearer nonsense"}, 401, id="stranger"),
        pytest.param("GET", SERVICES, {"Authorization": f"Bearer {TOKEN}"}, 403, id="reading"),
        pytest.param("POST", SERVICES, {"Authorization": f"Bearer {TOKEN}"}, 403, id="writing"),
        pytest.param("GET", SERVICES, {"Origin": "https://evil.example"}, 403, id="web-page"),
        pytest.param("GET", SERVICES, {"Host": "evil.example"}, 421, id="rebound-name"),
        pytest.param("POST", SERVICES, {}, 415, id="nonsense"),
        pytest.param("PUT", "/artemon/v1/mesh", {}, 415, id="mesh"),
    ],
)
async def test_a_refusal_has_a_line(
    api: Api, method: str, path: str, headers: dict[str, str], code: int
) -> None:
    known = dict(api.parts.tokens._callers)
    api.parts.tokens.replace({**known, digest(TOKEN): Caller("eve", (EVERYONE,))})
    response = await api.send(method, path, headers=headers)
    assert response.status == code
    (line,) = lines(api)
    assert (line["decision"], line["code"], line["path"]) == ("refused", code, path)
    assert line["reason"]
    assert "nonsense" not in json.dumps(line)
    assert TOKEN not in json.dumps(line)


async def test_t10_no_secret_is_in_the_log(api: Api) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "shop"},
        "type": "Opaque",
        "data": {"note": base64.b64encode(b"CANARY-1").decode()},
        "stringData": {"other": "CANARY-2"},
    }
    await api.ask("POST", SECRETS, secret)
    await api.send("POST", f"{SECRETS}?x=CANARY-3", secret, headers={"Authorization": "Bearer CANARY-4"})
    text = api.parts.trail.path.read_text()
    assert "CANARY" not in text
    assert base64.b64encode(b"CANARY-1").decode() not in text


async def test_t08_strangers_cannot_fill_the_disk(api: Api) -> None:
    api.parts.trail.now = lambda: 7.0
    for _ in range(3 * STRANGERS_A_SECOND):
        assert (await api.send("GET", SERVICES, headers={"Authorization": ""})).status == 401
    assert len(lines(api)) == STRANGERS_A_SECOND
    api.parts.trail.now = lambda: 8.0
    await api.send("GET", SERVICES, headers={"Authorization": ""})
    assert lines(api)[STRANGERS_A_SECOND]["count"] == 2 * STRANGERS_A_SECOND


async def test_what_cannot_be_written_down_is_not_done(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.parts.trail.log._pending.extend([({}, None)] * 5000)  # type: ignore[list-item]
    await api.ask("POST", SERVICES, virtual_service(), code=503)
    api.parts.trail.log._pending.clear()
    assert (await api.ask("GET", SERVICES))["items"] == []


async def test_auditors_read_and_check_it(api: Api) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    newest = (await api.ask("GET", "/artemon/v1/audit?limit=1"))["items"]
    assert [line["decision"] for line in newest] == ["written"]
    assert await api.ask("GET", "/artemon/v1/audit/check") == {"ok": True, "lines": 2}
    path = api.parts.trail.path
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    path.with_name(path.name + ".head").unlink()
    found = await api.ask("GET", "/artemon/v1/audit/check")
    assert not found["ok"]
    assert "cut or replaced" in found["problem"]


async def test_meshctl_checks_a_file_without_a_mesh(api: Api, tmp_path: Path) -> None:
    await api.ask("POST", SERVICES, virtual_service(), code=201)
    path = api.parts.trail.path
    done = CliRunner().invoke(meshctl, ["audit", "verify", str(path)], standalone_mode=False)
    assert (done.return_value, done.output) == (0, "2 lines, none missing, none changed\n")
    path.write_bytes(path.read_bytes().replace(b"shop", b"bank", 1))
    done = CliRunner().invoke(meshctl, ["audit", "verify", str(path)], standalone_mode=False)
    assert "line 2 of the audit log does not follow" in str(done.exception)
