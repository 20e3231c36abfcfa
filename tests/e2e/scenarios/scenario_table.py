"""The table of scenarios: YAML that users know, calls, and what they notice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from servers import free_ports

TABLE = Path(__file__).parent / "table"
VERSIONS = ("v1", "v2", "v3")
NAMESPACE = "default"
PROTOCOLS = ("http", "https", "grpc", "tcp", "bridge", "connect")
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expect:
    """What the client and the servers notice.

    to: the instance that answers. status: every status. statuses, share: status or instance -> percent of the
    calls, give or take `within` points. attempts: requests that reached any server. mirrored: copies that an
    instance got, in percent. seen: what the server saw. sticky: one instance answers all. took: seconds, from
    and to. grpc: its status. closed: the connection ends without an answer. instances: how many of them
    answered. route: the name of the route that `meshctl explain` must give. header_like: regular expressions.
    refused: what answers other than 200 say. grpcs: as statuses. connections: how many the server saw.
    through: the proxy that also passed them on. seen_like: regular expressions of what the server saw.
    """

    to: str = ""
    status: int = 200
    statuses: Mapping[int, float] = field(default_factory=dict)
    share: Mapping[str, float] = field(default_factory=dict)
    within: float = 8
    attempts: int | None = None
    mirrored: Mapping[str, float] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    no_headers: tuple[str, ...] = ()
    seen: Mapping[str, Any] = field(default_factory=dict)
    body: str | None = None
    sticky: bool | None = None
    instances: int | None = None
    took: tuple[float, float] | None = None
    grpc: str = ""
    closed: bool = False
    route: str = ""
    header_like: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    grpcs: Mapping[str, float] = field(default_factory=dict)
    connections: int | None = None
    through: str = ""
    seen_like: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One call, or `times` of it, by `speaks`: http, https, grpc, grpc-web, tcp, tls, websocket.

    proxy: whose Envoy takes it. source, address, port: the connection as the client made it. alpn: what TLS
    offers, comma-separated. at_once: calls in flight at a time. keep: one connection for all. do: what the
    servers are asked to do. explain: whether `meshctl explain` can know the answer.
    """

    expect: Expect
    host: str
    proxy: str = "client"
    speaks: str = "http"
    address: str = "127.0.89.99"
    port: int = 80
    source: str = "10.98.0.1"
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    sni: str = ""
    alpn: str = ""
    times: int = 1
    at_once: int = 1
    keep: bool = True
    do: str = ""
    wait: float = 0
    explain: bool = True


@dataclass(frozen=True, slots=True)
class Scenario:
    """A service of its own, `<id>.default.svc.cluster.local`, its configuration, and calls in order."""

    id: str
    proves: tuple[str, ...]
    calls: tuple[Call, ...]
    objects: tuple[Object, ...]
    file: str

    @property
    def host(self) -> str:
        return full_name(self.id)


@cache
def ports() -> Mapping[str, int]:
    """Where every instance serves, by protocol; `bridge`: where v1 does, on 127.0.0.1;
    `connect`: an HTTP proxy there."""
    return dict(zip(PROTOCOLS, free_ports(len(PROTOCOLS)), strict=True))


def full_name(name: str) -> str:
    """The host of a service of namespace `default`."""
    return f"{name}.{NAMESPACE}.svc.cluster.local"


def scenarios() -> list[Scenario]:
    """Every scenario of every file, in order."""
    return [one for path in sorted(TABLE.glob("*.yaml")) for one in _read(path)]


def _read(path: Path) -> Iterator[Scenario]:
    for row in yaml.safe_load(path.read_text()):
        if "id" not in row:
            continue
        row = _filled(row, row["id"])
        proves, calls = row["proves"], [_call(one, full_name(row["id"])) for one in row["calls"]]
        yield Scenario(
            id=row["id"],
            proves=(proves,) if isinstance(proves, str) else tuple(proves),
            calls=tuple(calls),
            objects=tuple(_objects(row)),
            file=path.name,
        )


def _filled(value: Any, name: str) -> Any:
    """`value` with the scenario's own names for `$host` and `$name`, ports for `$http` and the like."""
    if isinstance(value, str):
        if value.removeprefix("$") in PROTOCOLS and value.startswith("$"):
            return ports()[value.removeprefix("$")]
        value = re.sub(
            r"\$(https|http|grpc|tcp|bridge|connect)\b", lambda found: str(ports()[found[1]]), value
        )
        return value.replace("$host", full_name(name)).replace("$name", name)
    if isinstance(value, list):
        return [_filled(one, name) for one in value]
    if isinstance(value, dict):
        return {_filled(key, name): _filled(one, name) for key, one in value.items()}
    return value


def _call(row: dict[str, Any], host: str) -> Call:
    expect = {key: tuple(one) if isinstance(one, list) else one for key, one in row["expect"].items()}
    known = {one.name for one in fields(Expect)}
    unknown = set(expect) - known
    if unknown:
        raise ValueError(f"{unknown} is not a field of expect")
    return Call(**{"host": host, **row, "expect": Expect(**expect)})


def _objects(row: dict[str, Any]) -> Iterator[Object]:
    """The scenario's service and its rules; `http`, `tcp`, `tls` and `policy` are short for whole objects."""
    name, host = row["id"], full_name(row["id"])
    if row.get("service", {}) is not None:
        yield _object("ServiceEntry", name, _service(host, row.get("service", {})))
        subsets = [{"name": version, "labels": {"version": version}} for version in VERSIONS]
        rule = {"host": host, "subsets": subsets, **row.get("rule", {})}
        if "policy" in row:
            rule["trafficPolicy"] = row["policy"]
        yield _object("DestinationRule", name, rule)
    routes = {key: row[key] for key in ("http", "tcp", "tls") if key in row}
    if routes:
        yield _object("VirtualService", name, {"hosts": [host], **row.get("virtualService", {}), **routes})
    for one in row.get("objects", ()):
        meta = {"namespace": NAMESPACE, **one.get("metadata", {})}
        yield {
            **_object(one["kind"], meta.get("name", name), one["spec"]),
            "metadata": {"name": name, **meta},
            **{key: one[key] for key in ("status",) if key in one},
        }


def _service(host: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "hosts": [host],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "endpoints": list(VERSIONS),
        **changes,
    }


def _object(kind: str, name: str, spec: Any) -> Object:
    group = "security" if kind in ("PeerAuthentication", "AuthorizationPolicy") else "networking"
    return {
        "apiVersion": f"{group}.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }
