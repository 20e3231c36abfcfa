"""Virtual addresses of ServiceEntries: in their status once they are written, and the same ever after."""

from __future__ import annotations

from typing import Any

from galley_api import Api

ENTRIES = "/apis/networking.istio.io/v1/namespaces/shop/serviceentries"


def entry(name: str, **spec: Any) -> dict[str, Any]:
    ports = [{"number": 9000, "name": "tcp", "protocol": "TCP"}]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"hosts": [f"{name}.com"], "resolution": "DNS", "ports": ports, **spec},
    }


async def test_addresses_are_given_and_kept(api: Api) -> None:
    made = await api.ask("POST", ENTRIES, entry("a"), code=201)
    given = made["status"]["addresses"]
    assert [one["host"] for one in given] == ["a.com", "a.com"]
    assert given[0]["value"].startswith("240.240.")
    grown = await api.ask(
        "PUT", f"{ENTRIES}/a", {**made, **_spec(entry("a", hosts=["a.com", "b.com"]))}, code=200
    )
    assert grown["status"]["addresses"][:2] == given
    assert {one["host"] for one in grown["status"]["addresses"]} == {"a.com", "b.com"}


def _spec(obj: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {**obj["spec"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]}}


async def test_an_entry_with_addresses_gets_none(api: Api) -> None:
    made = await api.ask("POST", ENTRIES, entry("a", addresses=["10.0.0.1"]), code=201)
    assert "status" not in made


async def test_entries_of_one_transaction_do_not_share(api: Api) -> None:
    many = [entry(f"a{number}") for number in range(20)]
    await api.ask("POST", "/artemon/v1/transactions", {"objects": many}, code=200)
    found = await api.ask("GET", ENTRIES, code=200)
    given = [one["value"] for item in found["items"] for one in item["status"]["addresses"]]
    assert len(set(given)) == len(given) == 40


async def test_applying_again_changes_nothing(api: Api) -> None:
    await api.ask("POST", "/artemon/v1/transactions", {"objects": [entry("a")]}, code=200)
    again = await api.ask("POST", "/artemon/v1/transactions", {"objects": [entry("a")]}, code=200)
    assert [one["result"] for one in again["results"]] == ["unchanged"]
