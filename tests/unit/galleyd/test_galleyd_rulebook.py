"""Writes that would leave rules of mixerd without what they need are refused."""

from __future__ import annotations

from typing import Any

from galley_api import Api, become, bind, binding

MIXER = "/apis/config.istio.io/v1alpha2/namespaces/shop"
TRANSACTIONS = "/artemon/v1/transactions"


def obj(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop"}
    return {"apiVersion": "config.istio.io/v1alpha2", "kind": kind, "metadata": meta, "spec": spec}


OUT = obj("handler", "out", {"compiledAdapter": "stdio"})
LINE = obj(
    "instance", "line", {"compiledTemplate": "logentry", "params": {"variables": {"a": "request.path"}}}
)
RULE = obj("rule", "all", {"actions": [{"handler": "out", "instances": ["line"]}]})


def causes(refusal: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["object"], one["field"]) for one in refusal["details"]["causes"]]


async def test_a_rule_needs_its_handler_and_instances(api: Api) -> None:
    refusal = await api.ask("POST", f"{MIXER}/rules", RULE, code=422)
    assert causes(refusal) == [
        ("rule/shop/all", "spec.actions[0].handler"),
        ("rule/shop/all", "spec.actions[0].instances[0]"),
    ]
    assert (await api.ask("GET", f"{MIXER}/rules"))["items"] == []
    for plural, one in (
        ("handlers", OUT),
        ("instances", LINE),
        ("rules", RULE),
    ):  # one after another, at once
        await api.ask("POST", f"{MIXER}/{plural}", one, code=201)


async def test_all_at_once(api: Api) -> None:
    await api.ask("POST", TRANSACTIONS, {"objects": [RULE, LINE, OUT]}, code=200)
    refusal = await api.ask("DELETE", f"{MIXER}/handlers/out", code=422)
    assert causes(refusal) == [("rule/shop/all", "spec.actions[0].handler")]
    await api.ask("POST", TRANSACTIONS, {"deletes": [RULE, LINE, OUT]}, code=200)


async def test_expressions_are_checked(api: Api) -> None:
    wrong = obj(
        "instance",
        "line",
        {"compiledTemplate": "logentry", "params": {"variables": {"a": "request.nothing"}}},
    )
    refusal = await api.ask("POST", f"{MIXER}/instances", wrong, code=422)
    assert causes(refusal) == [("instance/shop/line", "spec.params.variables[a]")]
    assert "unknown attribute request.nothing" in refusal["message"]


async def test_what_was_broken_before_hinders_nobody(api: Api) -> None:
    await api.ask("POST", TRANSACTIONS, {"objects": [RULE, LINE, OUT]}, code=200)
    await api.store.txn([], [_delete("artemon/default/config/handlers/shop/out")])
    other = obj("instance", "other", LINE["spec"])
    await api.ask("POST", f"{MIXER}/instances", other, code=201)


async def test_handlers_are_for_administrators_of_the_mesh(api: Api) -> None:
    await bind(api, binding("editor"))
    ann = become(api)
    await api.ask("POST", f"{MIXER}/handlers", OUT, code=403, headers=ann)
    await api.ask("POST", f"{MIXER}/instances", LINE, code=201, headers=ann)
    await api.ask("GET", f"{MIXER}/handlers", code=200, headers=ann)


def _delete(key: str) -> Any:
    from artemon.store.api import Delete

    return Delete(key)
