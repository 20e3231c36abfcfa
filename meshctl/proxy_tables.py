"""What a proxy was sent, as tables in the manner of istioctl. Input: Envoy's messages as proto3 JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]
Rows = list[list[str]]


def clusters(dump: Message) -> Rows:
    """One row a cluster, by its name `<direction>|<port>|<subset>|<host>`."""
    rows = []
    for cluster in dump.get("clusters", ()):
        name = str(cluster.get("name", ""))
        direction, port, subset, host = name.split("|") if name.count("|") == 3 else ("-", "-", "-", name)
        kind = str(cluster.get("type") or (cluster.get("clusterType") or {}).get("name") or "STATIC")
        rows.append([host, port or "-", subset or "-", direction, kind, _config_of(cluster)])
    return sorted(rows)


def listeners(dump: Message) -> Rows:
    """One row a filter chain."""
    rows = []
    for listener in dump.get("listeners", ()):
        socket = (listener.get("address") or {}).get("socketAddress") or {}
        where = [str(socket.get("address", "")), str(socket.get("portValue", ""))]
        chains = list(listener.get("filterChains") or ())
        if "defaultFilterChain" in listener:
            chains.append(listener["defaultFilterChain"])
        rows += [
            [*where, _match(chain.get("filterChainMatch") or {}), _destination(chain)] for chain in chains
        ]
    return rows


def routes(dump: Message) -> Rows:
    """One row a route."""
    rows = []
    for config in dump.get("routes", ()):
        for host in config.get("virtualHosts", ()):
            domains = list(host.get("domains") or ())
            shown = ", ".join(domains[:3]) + (f" + {len(domains) - 3} more" if len(domains) > 3 else "")
            for route in list[Message](host.get("routes") or [{}]):
                match, source = _route_match(route.get("match") or {}), _config_of(route)
                names = [str(config.get("name", "")), str(host.get("name", ""))]
                rows.append([*names, shown, match, _action(route), source])
    return rows


def endpoints(dump: Message) -> Rows:
    """One row an endpoint."""
    rows = []
    for assignment in dump.get("endpoints", ()):
        for locality in assignment.get("endpoints") or ():
            for endpoint in locality.get("lbEndpoints") or ():
                address = ((endpoint.get("endpoint") or {}).get("address") or {}).get("socketAddress") or {}
                shown = f"{address.get('address', '')}:{address.get('portValue', '')}"
                weight = str(endpoint.get("loadBalancingWeight", 1))
                health = str(endpoint.get("healthStatus", "HEALTHY"))
                rows.append([shown, health, weight, str(assignment.get("clusterName", ""))])
    return rows


def secrets(dump: Message) -> Rows:
    """One row a secret that clusters and listeners refer to: who serves it to Envoy, or that nobody does."""
    used: Counter[tuple[str, str]] = Counter()
    for section in ("clusters", "listeners"):
        for resource in dump.get(section, ()):
            used.update((name, section) for name in set(_secret_names(resource)))
    names = sorted({name for name, _ in used})
    sent = {str(one["name"]) for one in dump.get("secrets", ()) if one.get("delivered")}
    return [
        [name, _source(name, sent), str(used[name, "clusters"]), str(used[name, "listeners"])]
        for name in names
    ]


def _source(name: str, sent: Collection[str]) -> str:
    if "://" not in name:
        return "proxyd"
    return "pilotd" if name in sent else "ABSENT"


def start(dump: Message) -> Rows:
    """One row for each setting that Envoy is started with, and each patch of its bootstrap."""
    rows: Rows = []
    for part in dump.get("start", ()):
        named = {"concurrency": part.get("concurrency"), "local cluster": part.get("localCluster")}
        settings = named | (part.get("environment") or {})
        told = [[name, str(value)] for name, value in settings.items() if value is not None]
        rows += told if "environment" in part else [[str(part.get("name", "")), "patch"]]
    return rows


TABLES: Mapping[str, tuple[Sequence[str], Callable[[Message], Rows]]] = {
    "clusters": (("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "CONFIGURED BY"), clusters),
    "listeners": (("ADDRESS", "PORT", "MATCH", "DESTINATION"), listeners),
    "routes": (("NAME", "VHOST", "DOMAINS", "MATCH", "DESTINATION", "CONFIGURED BY"), routes),
    "endpoints": (("ENDPOINT", "HEALTH", "WEIGHT", "CLUSTER"), endpoints),
    "start": (("SETTING", "VALUE"), start),
    "secrets": (("SECRET", "FROM", "CLUSTERS", "LISTENERS"), secrets),
}
"""Section -> titles and rows."""


def _config_of(resource: Message) -> str:
    """`<name>.<namespace>` of the object that a cluster or route comes from (Istio's metadata)."""
    istio = ((resource.get("metadata") or {}).get("filterMetadata") or {}).get("istio") or {}
    parts = str(istio.get("config", "")).strip("/").split("/")
    return f"{parts[-1]}.{parts[-3]}" if len(parts) >= 4 else ""


_MATCHES: Mapping[str, Callable[[Any], str]] = {
    "serverNames": lambda value: "SNI: " + ",".join(value),
    "transportProtocol": lambda value: f"Trans: {value}",
    "applicationProtocols": lambda value: "App: " + ",".join(value),
    "prefixRanges": lambda value: (
        "Addr: " + ",".join(f"{one.get('addressPrefix')}/{one.get('prefixLen', 0)}" for one in value)
    ),
    "destinationPort": lambda value: f"Port: {value}",
}


def _match(match: Message) -> str:
    told = [say(match[field]) for field, say in _MATCHES.items() if match.get(field)]
    return "; ".join(told) or "ALL"


def _destination(chain: Message) -> str:
    for one in reversed(chain.get("filters") or ()):
        config = one.get("typedConfig") or {}
        if "rds" in config:
            return f"Route: {config['rds'].get('routeConfigName', '')}"
        if "routeConfig" in config:
            return f"Inline Route: {config['routeConfig'].get('name', '')}"
        if "cluster" in config:
            return f"Cluster: {config['cluster']}"
        if "weightedClusters" in config:
            return _weighted(config["weightedClusters"])
    return "-"


def _weighted(weighted: Message) -> str:
    return ", ".join(f"{one.get('name')} ({one.get('weight', 0)})" for one in weighted.get("clusters", ()))


_PATHS = {"prefix": "{}*", "path": "{}", "pathSeparatedPrefix": "{}/*"}


def _route_match(match: Message) -> str:
    paths = [form.format(match[field]) for field, form in _PATHS.items() if field in match]
    if "safeRegex" in match:
        paths.append(f"~{match['safeRegex'].get('regex', '')}")
    extra = [str(header.get("name")) for header in match.get("headers") or ()]
    return "".join(paths or ["/*"]) + (f" [{', '.join(extra)}]" if extra else "")


def _action(route: Message) -> str:
    target = route.get("route") or {}
    if "weightedClusters" in target:
        return _weighted(target["weightedClusters"])
    if "cluster" in target:
        return str(target["cluster"])
    if "redirect" in route:
        return "redirect"
    if "directResponse" in route:
        return str(route["directResponse"].get("status", ""))
    return "404" if not route else "-"


def _secret_names(value: Any) -> Iterator[str]:
    """The names in every SdsSecretConfig below `value`."""
    if isinstance(value, Mapping):
        if "sdsConfig" in value and "name" in value:
            yield str(value["name"])
        for inner in value.values():
            yield from _secret_names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _secret_names(inner)
