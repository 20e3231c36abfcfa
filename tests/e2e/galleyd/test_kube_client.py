"""Our thin client against galleyd, and against servers that break off."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from served import ADDRESS, Galleyd, own_certificate

from artemon.errors import ArtemonError, Unavailable, Unknown
from artemon.kube import JSON_PATCH, Access, Client, Gone, Rejected
from artemon.model.kinds import DESTINATION_RULE

MANY = 70


def rule(name: str, host: str = "reviews") -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": "kube"},
        "spec": {"host": host},
    }


@pytest.fixture
async def client(galleyd: Galleyd) -> AsyncIterator[Client]:
    access = Access(galleyd.url, ca=galleyd.ca.read_text(), token=galleyd.token)
    async with Client.open(access) as opened:
        yield opened


async def test_an_object_lives_from_create_to_delete(client: Client) -> None:
    made = (await client.create(DESTINATION_RULE, rule("one"))).value
    made["spec"]["host"] = "ratings"
    assert (await client.replace(DESTINATION_RULE, made)).value["metadata"]["generation"] == 2
    patch = [{"op": "replace", "path": "/spec/host", "value": "details"}]
    await client.patch(DESTINATION_RULE, "kube", "one", patch, media=JSON_PATCH)
    await client.patch(DESTINATION_RULE, "kube", "one", {"metadata": {"labels": {"a": "b"}}})
    found = await client.get(DESTINATION_RULE, "kube", "one")
    assert (found["spec"]["host"], found["metadata"]["labels"]) == ("details", {"a": "b"})
    await client.delete(DESTINATION_RULE, "kube", "one")
    with pytest.raises(Rejected) as missing:
        await client.get(DESTINATION_RULE, "kube", "one")
    assert (missing.value.code, missing.value.reason) == (404, "NotFound")


async def test_a_list_is_whole_whatever_the_page(client: Client) -> None:
    objects = [rule(f"r{number}") for number in range(MANY)]
    for half in (objects[:40], objects[40:]):
        await client.request("POST", "/artemon/v1/transactions", body={"objects": half})
    found = await client.list(DESTINATION_RULE, "kube", query={"limit": 30})
    assert len(found["items"]) == MANY
    for half in (objects[:40], objects[40:]):
        await client.request("POST", "/artemon/v1/transactions", body={"deletes": half})


async def test_a_watch_goes_on_from_a_list(client: Client) -> None:
    since = (await client.list(DESTINATION_RULE, "kube"))["metadata"]["resourceVersion"]
    async with aclosing(client.watch(DESTINATION_RULE, "kube", since=since)) as events:
        await client.create(DESTINATION_RULE, rule("watched"))
        async with asyncio.timeout(5):
            event = await anext(events)
    assert (event.type, event.object["metadata"]["name"]) == ("ADDED", "watched")
    await client.delete(DESTINATION_RULE, "kube", "watched")


async def test_a_refusal_carries_its_reasons(client: Client) -> None:
    with pytest.raises(Rejected) as refusal:
        await client.create(DESTINATION_RULE, {**rule("bad"), "spec": {"host": 7}})
    assert refusal.value.lines("DestinationRule/kube/bad") == [
        "DestinationRule/kube/bad: spec.host: must be text (put it in quotes), not a whole number (7)"
    ]


async def test_a_forgotten_revision_is_gone(client: Client) -> None:
    async with aclosing(client.watch(DESTINATION_RULE, since="999999")) as events:
        with pytest.raises(Gone):
            await anext(events)


@pytest.mark.parametrize(
    ("server", "more", "told"),
    [
        pytest.param("http://127.0.0.1:1", {}, "must be an https:// URL", id="plaintext"),
        pytest.param("https://127.0.0.1:1", {"ca": ""}, "whom to trust is not known", id="no-ca"),
        pytest.param("https://127.0.0.1:1", {"ca": "nonsense"}, "cannot be used", id="bad-ca"),
    ],
)
def test_unsafe_access_is_refused(galleyd: Galleyd, server: str, more: dict[str, Any], told: str) -> None:
    access = Access(server, **{"ca": galleyd.ca.read_text(), "token": "secret", **more})
    with pytest.raises(ArtemonError, match=told):
        access.ssl()
    assert "secret" not in repr(access)


async def test_another_servers_certificate_is_not_trusted(galleyd: Galleyd, tmp_path: Path) -> None:
    other, _ = own_certificate(tmp_path)
    async with Client.open(Access(galleyd.url, ca=other.read_text(), token="t")) as client:
        with pytest.raises(Unavailable, match="not trusted"):
            await client.get(DESTINATION_RULE, "kube", "a")


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served_by(answer: Answer, folder: Path) -> AsyncIterator[Client]:
    """A client of a server of our own."""
    certificate, key = own_certificate(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = await asyncio.start_server(answer, ADDRESS, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    async with server, Client.open(Access(f"https://{ADDRESS}:{port}", ca=certificate.read_text())) as client:
        yield client


async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


@pytest.mark.parametrize(("method", "error"), [("GET", Unavailable), ("POST", Unknown)])
async def test_without_an_answer_a_write_is_of_unknown_outcome(
    tmp_path: Path, method: str, error: type[Exception]
) -> None:
    async with served_by(breaks_off, tmp_path) as client:
        with pytest.raises(error, match="no answer"):
            await client.request(method, "/x", body={} if method == "POST" else None)


def saying(status: str, content: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + content)
        await writer.drain()
        writer.close()

    return answer


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        pytest.param("503 x", b"{}", Unavailable, id="503-surely-not"),
        pytest.param("504 x", b"{}", Unknown, id="504-unknown"),
        pytest.param("500 x", b"<html>", Rejected, id="500-html"),
        pytest.param("302 x", b"{}", ArtemonError, id="redirect"),
    ],
)
async def test_odd_answers(tmp_path: Path, status: str, content: bytes, error: type[Exception]) -> None:
    async with served_by(saying(status, content), tmp_path) as client:
        with pytest.raises(error):
            await client.delete(DESTINATION_RULE, "a", "b")
