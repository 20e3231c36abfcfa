"""The adapter opa, against a real Open Policy Agent."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from adapter_ends import opened, place
from servers import ServerProcess, find_opa, free_ports, wait_listening

from artemon.adapters import Row
from artemon.errors import ArtemonError
from artemon.expr.values import parse_address
from artemon.model.duration import Nanoseconds

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

POLICY = """
package mesh.authz

default allow := false

allow if {
	input.template == "authorization"
	input.subject.user in data.mesh.friends
	startswith(input.action.path, "/public/")
}

decision := {"allow": true, "headers": {"x-who": input.subject.user}} if allow
else := {"allow": false, "reason": "too slow", "status": 429} if input.subject.properties.took == "2s"
else := {"allow": false, "reason": sprintf("%v may not %v", [input.subject.user, input.action.method])}

inside if net.cidr_contains("10.0.0.0/8", input.value)

broken := 1 / input.nought
"""
PEOPLE = '{"mesh": {"friends": ["ann", "Zoë"]}}'
TOKEN = """
package system.authz

default allow := false

allow if input.identity == "open-sesame"
"""


def require_opa() -> str:
    found = find_opa()
    if found is None:
        pytest.skip("no Open Policy Agent: run .ci/servers opa, or set ARTEMON_OPA")
    return found


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where it answers those who bring its token."""
    binary, folder = require_opa(), tmp_path_factory.mktemp("opa")
    (folder / "mesh.rego").write_text(POLICY)
    (folder / "system.rego").write_text(TOKEN)
    (folder / "people.json").write_text(PEOPLE)
    (port,) = free_ports(1)
    server = ServerProcess(folder / "run")
    files = [str(folder / name) for name in ("mesh.rego", "system.rego", "people.json")]
    listening = ("--addr", f"127.0.0.1:{port}", "--disable-telemetry", "--log-level", "error")
    server.launch(
        binary, "run", "--server", *listening, "--authentication=token", "--authorization=basic", *files
    )
    wait_listening(port)
    yield f"http://127.0.0.1:{port}/v1/data/mesh/authz"
    server.kill()


def question(user: str, path: str, **properties: Any) -> Row:
    subject = {"user": user, "properties": properties}
    return Row("shop/a", "authorization", {"subject": subject, "action": {"path": path, "method": "GET"}})


def asking(url: str, folder: Path, **more: Any) -> Any:
    return opened(
        "opa", {"url": url, "headers": {"Authorization": "Bearer open-sesame"}, **more}, place(folder)
    )


@pytest.mark.parametrize(
    ("user", "path", "code"),
    [("ann", "/public/1", 0), ("Zoë", "/public/", 0), ("ann", "/x", 7), ("bob", "/public/1", 7)],
)
async def test_yes_and_no(agent: str, user: str, path: str, code: int, tmp_path: Path) -> None:
    handler = asking(f"{agent}/allow", tmp_path)
    assert (await handler.check(question(user, path))).code == code
    await handler.close()


async def test_a_decision_with_reason_status_and_headers(agent: str, tmp_path: Path) -> None:
    handler = asking(f"{agent}/decision", tmp_path, caching_interval="3s", caching_use_count=5)
    yes = await handler.check(question("ann", "/public/1"))
    assert (yes.code, yes.headers, yes.seconds, yes.uses) == (0, {"x-who": "ann"}, 3.0, 5)
    no = await handler.check(question("bob", "/x"))
    assert (no.code, no.message, no.status) == (7, "bob may not GET", 0)
    slow = await handler.check(question("bob", "/x", took=Nanoseconds(2_000_000_000)))
    assert (slow.code, slow.message, slow.status) == (7, "too slow", 429)
    await handler.close()


async def test_addresses_are_what_rego_reads(agent: str, tmp_path: Path) -> None:
    handler = asking(f"{agent}/inside", tmp_path)
    for address, code in (("::ffff:10.1.2.3", 0), ("11.0.0.1", 7)):
        row = Row("shop/entry", "listentry", {"value": parse_address(address)})
        assert (await handler.check(row)).code == code
    await handler.close()


@pytest.mark.parametrize("rule", ["nothing", "broken", ""])
async def test_what_is_undefined_or_no_decision_is_no(agent: str, rule: str, tmp_path: Path) -> None:
    handler = asking(f"{agent}/{rule}".rstrip("/"), tmp_path)
    assert (await handler.check(question("ann", "/x"))).code == 7
    await handler.close()


async def test_who_brings_no_token_is_told(agent: str, tmp_path: Path) -> None:
    handler = opened("opa", {"url": f"{agent}/allow"}, place(tmp_path))
    with pytest.raises(ArtemonError, match="answers 401"):
        await handler.check(question("ann", "/public/1"))
    await handler.close()


def test_the_policy_is_one_that_opa_takes(tmp_path: Path) -> None:
    (tmp_path / "mesh.rego").write_text(POLICY)
    done = subprocess.run(
        [require_opa(), "check", "--strict", str(tmp_path)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
