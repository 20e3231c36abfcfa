"""Roles: who may do what, by whichever name one is bound; through the API as a client meets it."""

from __future__ import annotations

from typing import Any

import pytest
from galley_api import ACCESS, ANN, SERVICES, Api, become, bind, binding, virtual_service

from artemon.model.access import AUDITOR, EDITOR, MESH_ADMIN, NAMESPACE_ADMIN, ROLES, VIEWER
from artemon.pki.spiffe import SpiffeId
from galleyd.callers import EVERYONE, Caller, certificate_caller
from galleyd.rights import EVERYWHERE, Ask, Binding, Rights

FILTER = "/apis/networking.istio.io/v1alpha3/namespaces/shop/envoyfilters"


def allowed(role: str, namespace: str, ask: Ask) -> bool:
    one = Binding("b", role, namespace, frozenset({("User", "ann", "")}))
    return bool(Rights(lambda: (one,)).why(ANN, ask))


TABLE: list[tuple[str, str, set[str]]] = [  # verb, resource, who may where the role is bound
    ("get", "virtualservices", {VIEWER, AUDITOR, EDITOR, NAMESPACE_ADMIN}),
    ("watch", "authorizationpolicies", {VIEWER, AUDITOR, EDITOR, NAMESPACE_ADMIN}),
    ("create", "virtualservices", {EDITOR, NAMESPACE_ADMIN}),
    ("deletecollection", "serviceentries", {EDITOR, NAMESPACE_ADMIN}),
    ("get", "ingresses", {VIEWER, AUDITOR, EDITOR, NAMESPACE_ADMIN}),
    ("create", "ingresses", set()),
    ("create", "httproutes", {EDITOR, NAMESPACE_ADMIN}),
    ("list", "envoyfilters", {VIEWER, AUDITOR, EDITOR, NAMESPACE_ADMIN}),
    ("create", "envoyfilters", set()),
    ("update", "wasmplugins", set()),
    ("patch", "trafficextensions", set()),
    ("get", "secrets", {NAMESPACE_ADMIN}),
    ("create", "secrets", {NAMESPACE_ADMIN}),
    ("create", "rolebindings", {NAMESPACE_ADMIN}),
    ("list", "rolebindings", {AUDITOR, NAMESPACE_ADMIN}),
    ("create", "hostgrants", {NAMESPACE_ADMIN}),
    ("create", "jointokens", {NAMESPACE_ADMIN}),
    ("create", "namespaces", set()),
    ("get", "audit", {AUDITOR}),
    ("get", "mesh", {VIEWER, AUDITOR, EDITOR, NAMESPACE_ADMIN}),
    ("update", "mesh", set()),
    ("get", "certificates", set()),
    ("*", "*", set()),
    ("get", "no-such-thing", set()),
]


@pytest.mark.parametrize(("verb", "resource", "roles"), TABLE, ids=[" ".join(row[:2]) for row in TABLE])
def test_what_each_role_may(verb: str, resource: str, roles: set[str]) -> None:
    for role in ROLES:
        wanted = role in roles or role == MESH_ADMIN
        assert allowed(role, EVERYWHERE, Ask(verb, resource, namespace="shop")) is wanted, role


@pytest.mark.parametrize("role", [role for role in ROLES if role != MESH_ADMIN])
def test_a_role_ends_at_its_namespace(role: str) -> None:
    for resource in ("virtualservices", "secrets", "rolebindings", "proxies"):
        for verb in ("get", "list", "create", "delete"):
            assert not allowed(role, "shop", Ask(verb, resource, namespace="bank"))
            assert not allowed(role, "shop", Ask(verb, resource, namespace=EVERYWHERE))


@pytest.mark.parametrize("role", [role for role in ROLES if role != MESH_ADMIN])
def test_no_role_but_one_binds_roles_in_the_systems_namespace(role: str) -> None:
    assert not allowed(role, EVERYWHERE, Ask("create", "rolebindings", namespace="artemon-system"))


@pytest.mark.parametrize(
    ("subject", "caller"),
    [
        pytest.param({"kind": "User", "name": "ann"}, ANN, id="token"),
        pytest.param({"kind": "Group", "name": "ops"}, Caller("bob", ("ops",)), id="group"),
        pytest.param(
            {"kind": "ServiceAccount", "name": "ci"},
            certificate_caller(SpiffeId("cluster.local", "shop", "ci"), "cluster.local"),
            id="client-certificate",
        ),
        pytest.param(
            {"kind": "ServiceAccount", "name": "ci", "namespace": "build"},
            certificate_caller(SpiffeId("cluster.local", "build", "ci"), "cluster.local"),
            id="account-of-elsewhere",
        ),
        pytest.param(
            {"kind": "Group", "name": "system:serviceaccounts:build"},
            certificate_caller(SpiffeId("cluster.local", "build", "any"), "cluster.local"),
            id="all-of-a-namespace",
        ),
    ],
)
async def test_whoever_is_bound_may_write_there_and_nowhere_else(
    api: Api, subject: dict[str, str], caller: Caller
) -> None:
    await bind(api, binding(EDITOR, subject=subject))
    headers = become(api, caller)
    await api.ask("POST", SERVICES, virtual_service(), code=201, headers=headers)
    elsewhere = SERVICES.replace("/shop/", "/bank/")
    foreign = {**virtual_service(), "metadata": {"name": "reviews", "namespace": "bank"}}
    refused = await api.ask("POST", elsewhere, foreign, code=403, headers=headers)
    assert refused["reason"] == "Forbidden"
    assert refused["details"] == {"group": "networking.istio.io", "kind": "virtualservices"}
    assert "cannot create resource" in refused["message"]
    assert "RoleBinding in namespace bank with role editor" in refused["message"]
    await api.ask("GET", "/apis/networking.istio.io/v1/virtualservices", code=403, headers=headers)


async def test_a_binding_is_over_when_it_is_deleted(api: Api) -> None:
    await bind(api, binding(VIEWER))
    headers = become(api)
    await api.ask("GET", SERVICES, code=200, headers=headers)
    await api.ask("DELETE", f"{ACCESS}/shop/rolebindings/{VIEWER}", code=200)
    assert await api.parts.config.until(lambda: not api.parts.granted.bindings(), 5)
    await api.ask("GET", SERVICES, code=403, headers=headers)


async def test_one_transaction_is_refused_whole(api: Api) -> None:
    await bind(api, binding(EDITOR))
    headers = become(api)
    foreign = {**virtual_service("x"), "metadata": {"name": "x", "namespace": "bank"}}
    both = {"objects": [virtual_service(), foreign]}
    await api.ask("POST", "/artemon/v1/transactions", both, code=403, headers=headers)
    assert (await api.ask("GET", SERVICES))["items"] == []
    gone = {"deletes": [foreign]}
    await api.ask("POST", "/artemon/v1/transactions", gone, code=403, headers=headers)
    mine = {"objects": [virtual_service()]}
    await api.ask("POST", "/artemon/v1/transactions", mine, code=200, headers=headers)


@pytest.mark.parametrize(
    "escalation",
    [
        pytest.param(binding(MESH_ADMIN), id="mesh-admin-of-a-namespace"),
        pytest.param(binding(MESH_ADMIN, "artemon-system"), id="mesh-admin"),
        pytest.param(binding(EDITOR, "bank"), id="of-another-namespace"),
        pytest.param(binding("cluster-admin"), id="unknown-role"),
    ],
)
async def test_namespace_admins_cannot_raise_themselves(api: Api, escalation: dict[str, Any]) -> None:
    await bind(api, binding(NAMESPACE_ADMIN))
    headers = become(api)
    path = f"{ACCESS}/{escalation['metadata']['namespace']}/rolebindings"
    refused = await api.send("POST", path, escalation, headers=headers)
    assert refused.status in {403, 422}
    in_one = {"objects": [escalation]}
    refused = await api.send("POST", "/artemon/v1/transactions", in_one, headers=headers)
    assert refused.status in {403, 422}
    await api.ask("GET", f"{SERVICES.replace('/shop/', '/bank/')}", code=403, headers=headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("POST", FILTER, id="create"),
        pytest.param("PUT", f"{FILTER}/x", id="replace"),
        pytest.param("PATCH", f"{FILTER}/x", id="patch"),
        pytest.param("DELETE", f"{FILTER}/x", id="delete"),
        pytest.param("DELETE", FILTER, id="delete-all"),
    ],
)
async def test_t21_patches_are_for_mesh_admins(api: Api, method: str, path: str) -> None:
    await bind(api, binding(NAMESPACE_ADMIN))
    await api.ask(method, path, {}, code=403, headers=become(api))


async def test_reviews_say_what_is_so(api: Api) -> None:
    await bind(api, binding(EDITOR))
    headers = become(api)
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    for namespace, verb, expected in (
        ("shop", "create", True),
        ("bank", "create", False),
        ("", "get", False),
    ):
        wanted = {"verb": verb, "resource": "virtualservices", "namespace": namespace}
        found = await api.ask("POST", path, {"spec": {"resourceAttributes": wanted}}, headers=headers)
        assert found["status"]["allowed"] is expected
    assert (
        "RoleBinding shop/editor"
        in (
            await api.ask(
                "POST",
                path,
                {
                    "spec": {
                        "resourceAttributes": {"verb": "create", "resource": "gateways", "namespace": "shop"}
                    }
                },
                headers=headers,
            )
        )["status"]["reason"]
    )


@pytest.mark.parametrize(
    "path", ["/artemon/v1/%74ransactions", "/artemon/v1//mesh", "/artemon/v1/mesh/", "/./apis/x"]
)
async def test_t05_unusual_paths_open_nothing(api: Api, path: str) -> None:
    """Rights follow from the route that was matched; what no route matches is for administrators."""
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        response = await api.send(method, path, headers=become(api, Caller("eve", (EVERYONE,))))
        assert response.status in {400, 403, 404, 405}, (method, path)
