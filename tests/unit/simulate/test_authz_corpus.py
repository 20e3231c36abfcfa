"""Policies of Istio's own tests through `meshctl authz check`: calls get the answers of Istio's filters."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from corpus import CORPUS
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2  # noqa: F401 - known to ParseDict
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2  # noqa: F401
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2  # noqa: F401
from google.protobuf.json_format import ParseDict

from artemon.model.decode import load_mesh_config
from artemon.registry.files import read_proxy, snapshot_of
from artemon.simulate.admission import admit
from artemon.simulate.rbac import Subject
from artemon.simulate.request import Request
from meshctl.__main__ import meshctl
from meshctl.commands.authz import judged
from meshctl.commands.explain import configuration

PATHS = (
    "/",
    "/exact",
    "/prefix/a",
    "/a/suffix",
    "/path/template/x",
    "/path/template/x/y",
    "/a/path/template",
    "/not-exact",
    "/not-prefix/x",
    "/x/not-suffix",
    "/httpbin1",
    "/httpbin2",
    "/exact?x=1",
)
PRINCIPALS = (
    "",
    "deny",
    "allow",
    "other",
    "td1/ns/rule[0]/sa/from[0]-principal[0]",
    "principal",
    "cluster.local/ns/rule[0]/sa/from[0]-principal[0]",
    "some-td/ns/rule[0]/sa/from[1]-principal[1]",
    "td1/ns/rule[1]/sa/from[0]-principal[0]",
    "cluster.local/ns/rule[0]-from[1]-ns[0]/sa/x",
    "x/ns/foo/sa/rule[0]-from[1]-principal[0]",
    "foobar/ns/foo/sa/rule[0]-from[1]-principal[1]",
    "td1/ns/foo/sa/rule[0]-from[1]-principal[1]",
    "td1/ns/ns-1/sa/x",
    "x/ns/ns-2/sa/x",
)
METHODS = ("GET", "POST", "rule[0]-to[0]-method[0]", "rule[1]-to[0]-method[0]")
PORTS = (80, 8080, 9000, 91)


def cases() -> list[Any]:
    path = CORPUS / "authorization.json"
    if not path.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{path} is not there"))]
    return [pytest.param(case, id=case["name"]) for case in json.loads(path.read_text())]


def calls(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Calls that differ in all that the cases look at."""
    if case["for"] == "tcp":
        for port, principal in itertools.product(PORTS, PRINCIPALS):
            yield {"protocol": "tcp", "port": port, **({"principal": principal} if principal else {})}
        return
    for path, principal, method in itertools.product(PATHS, PRINCIPALS, METHODS):
        who = {"principal": principal} if principal else {}
        yield {"protocol": "http", "port": 80, "host": "x", "path": path, "method": method, **who}


def mesh_of(case: dict[str, Any]) -> str:
    domains = case.get("trustDomains") or []
    fields = {**(case.get("meshConfig") or {})}
    if domains:
        fields |= {"trustDomain": domains[0], "trustDomainAliases": domains[1:]}
    return json.dumps(fields)


def objects_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    services = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": one["hostname"].split(".")[0], "namespace": one["namespace"]},
            "spec": {"ports": [{"name": "http", "port": 9000}]},
        }
        for one in case.get("services") or ()
    ]
    return [*case["input_docs"], *services]


def filters_of(case: dict[str, Any]) -> list[HttpFilter]:
    """Istio's own; network filters have the same two fields."""
    return [
        ParseDict({"name": one["name"], "typedConfig": one["typedConfig"]}, HttpFilter())
        for one in case["expected_docs"]
    ]


def expected(filters: list[HttpFilter], call: dict[str, Any]) -> bool:
    """What Istio's filters say of a call."""
    path, _, query = call.get("path", "/").partition("?")
    request = None
    if call["protocol"] != "tcp":
        names = {":path": call["path"], ":method": call["method"], ":authority": call["host"]}
        request = Request(path=path, query=query, headers=names)
    subject = Subject(
        request=request,
        principal=f"spiffe://{call['principal']}" if call.get("principal") else "",
        direct_address=None,
        address=None,
        destination="1.3.3.7",
        port=call["port"],
        server_name="",
        metadata={},
    )
    return admit(filters, subject).allowed


@pytest.mark.slow
@pytest.mark.parametrize("case", cases())
def test_every_call_gets_the_answer_of_istios_filters(case: dict[str, Any]) -> None:
    view = snapshot_of(objects_of(case), load_mesh_config(mesh_of(case), "mesh")).view(
        read_proxy(case["proxy"])
    )
    known, filters = configuration(view), filters_of(case)
    for call in calls(case):
        found = judged(view, call, known)
        assert found["allowed"] == expected(filters, call), (call, found)


@pytest.mark.parametrize("case", cases())
def test_the_command_names_policy_and_rule(case: dict[str, Any], tmp_path: Path) -> None:
    files = {"proxy": case["proxy"], "call": next(calls(case))}
    (tmp_path / "mesh.yaml").write_text("\n---\n".join(map(json.dumps, objects_of(case))))
    (tmp_path / "mesh-config.yaml").write_text(mesh_of(case))
    for name in ("proxy", "call"):
        (tmp_path / f"{name}.json").write_text(json.dumps(files[name]))
    options = {"-f": "mesh.yaml", "--proxy": "proxy.json", "--call": "call.json"}
    options["--mesh-config"] = "mesh-config.yaml"
    arguments = [part for name, file in options.items() for part in (name, str(tmp_path / file))]
    result = CliRunner().invoke(meshctl, ["authz", "check", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert set(answer) >= {"allowed", "policy", "rule", "reason"}
    names = {f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in case["input_docs"]}
    assert answer["policy"] is None or answer["policy"] in names
