"""Names that other tools parse: clusters, SNI, routes, virtual hosts, listeners, filter chains, secrets.

Byte for byte as Istio writes them; a name is built here and parsed back for one purpose alone: EnvoyFilters
say by parts of names what they are about.
"""

from __future__ import annotations

from dataclasses import dataclass

BLACK_HOLE = "BlackHoleCluster"
PASSTHROUGH = "PassthroughCluster"
INBOUND_PASSTHROUGH = "InboundPassthroughCluster"
ALLOW_ANY_DYNAMIC_DNS_CLUSTER = "AllowAnyDynamicDNSCluster"
SDS_CLUSTER = "sds-grpc"
XDS_CLUSTER = "xds-grpc"

VIRTUAL_OUTBOUND = "virtualOutbound"
VIRTUAL_INBOUND = "virtualInbound"
VIRTUAL_OUTBOUND_CATCHALL = "virtualOutbound-catchall-tcp"
VIRTUAL_OUTBOUND_BLACKHOLE = "virtualOutbound-blackhole"
VIRTUAL_INBOUND_BLACKHOLE = "virtualInbound-blackhole"
VIRTUAL_INBOUND_CATCHALL_HTTP = "virtualInbound-catchall-http"
PASSTHROUGH_FILTER_CHAIN = "PassthroughFilterChain"

ALLOW_ANY = "allow_any"
BLOCK_ALL = "block_all"
ALLOW_ANY_DYNAMIC_DNS = "allow_any_dynamic_dns"
HTTP_PROXY = "http_proxy"
DEFAULT_ROUTE = "default"

WORKLOAD_SECRET = "default"  # noqa: S105 - the name of a secret, not a secret
ROOT_SECRET = "ROOTCA"  # noqa: S105


def outbound_cluster(host: str, port: int, subset: str = "") -> str:
    """`outbound|<port>|<subset>|<host>`: the instances of a service port, or of one subset of them."""
    return f"outbound|{port}|{subset}|{host}"


def outbound_sni(host: str, port: int, subset: str = "") -> str:
    """`outbound_.<port>_.<subset>_.<host>`: the same as a server name that survives TLS."""
    return f"outbound_.{port}_.{subset}_.{host}"


def inbound_cluster(port: int) -> str:
    """`inbound|<port>||`: the application behind this proxy; `port` is the target port."""
    return f"inbound|{port}||"


def inbound_route(port: int) -> str:
    """The route configuration of an inbound HTTP port, the same text as its cluster."""
    return f"inbound|{port}||"


def inbound_virtual_host(port: int) -> str:
    """`inbound|http|<port>`."""
    return f"inbound|http|{port}"


def outbound_route(port: int) -> str:
    """The route configuration of all HTTP services of a port."""
    return str(port)


def host_route(host: str, port: int) -> str:
    """The route configuration of one host where its protocol is sniffed or it has an address of its own."""
    return f"{host}:{port}"


def gateway_http_route(port: int, bind: str = "") -> str:
    """`http.<port>[.<bind>]`: plain HTTP servers of a gateway port."""
    return f"http.{port}.{bind}" if bind else f"http.{port}"


def gateway_https_route(port: int, port_name: str, gateway: str, namespace: str, *, bind: str = "") -> str:
    """`https.<port>.<port name>.<gateway>.<namespace>[.<bind>]`: one server that terminates TLS."""
    name = f"https.{port}.{port_name}.{gateway}.{namespace}"
    return f"{name}.{bind}" if bind else name


@dataclass(frozen=True, slots=True)
class RouteParts:
    """What the name of a route configuration tells. port_name and gateway (`<namespace>/<name>`): only of a
    server that terminates TLS."""

    port: int = 0
    port_name: str = ""
    gateway: str = ""


def route_parts(name: str) -> RouteParts:
    """What `name` tells, 0 and "" for the rest."""
    kind, *rest = name.split(".")
    if kind == "http" and rest:
        return RouteParts(_number(rest[0]))
    if kind == "https" and len(rest) >= 4:
        return RouteParts(_number(rest[0]), rest[1], f"{rest[3]}/{rest[2]}")
    return RouteParts(cluster_parts(name)[0] if name.startswith("inbound|") else _number(name))


def cluster_parts(name: str) -> tuple[int, str, str]:
    """Port, subset and host of `<direction>|<port>|<subset>|<host>`; nothing of other names."""
    parts = name.split("|")
    return (_number(parts[1]), parts[2], parts[3]) if len(parts) == 4 else (0, "", "")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def virtual_host(host: str, port: int) -> str:
    """`<host>:<port>`."""
    return f"{host}:{port}"


def gateway_blackhole(port: int) -> str:
    """The virtual host of a gateway port that nothing is bound to; it answers 404."""
    return f"blackhole:{port}"


def listener(address: str, port: int) -> str:
    """`<address>_<port>`, IPv6 addresses in brackets."""
    return f"[{address}]_{port}" if ":" in address else f"{address}_{port}"


def route_name(route: str, match: str = "") -> str:
    """The name of an Envoy route: `<route>[.<match>]`, `default` when neither is named."""
    return ".".join(part for part in (route, match) if part) or DEFAULT_ROUTE


def service_domains(host: str, dns_domain: str, addresses: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The authorities that mean `host` to a proxy whose DNS domain is `<namespace>.svc.<domain>`.

    Each host is written relative to the proxy's domain as resolvers would expand it: in another namespace
    of the same mesh domain `reviews.ns`, in the same one `reviews` as well. Virtual addresses follow.
    """
    namespace, _, services = dns_domain.partition(".")
    domains = [host]
    if services.startswith("svc.") and host.endswith("." + services):
        named = host.removesuffix("." + services)
        if named.endswith("." + namespace):
            domains.append(named.removesuffix("." + namespace))
        domains += [named, f"{named}.svc"]
    domains += [f"[{address}]" if ":" in address else address for address in addresses if "/" not in address]
    return tuple(dict.fromkeys(domains))


def service_stat_name(host: str, port: int) -> str:
    """`<host>:<port>/*`: the operation name of a route without a virtual service."""
    return f"{host}:{port}/*"


def config_path(kind: str, namespace: str, name: str) -> str:
    """The `config` entry of Istio's resource metadata: which object a resource was made from. `kind` in
    words with hyphens, as `virtual-service`."""
    return f"/apis/networking.istio.io/v1/namespaces/{namespace}/{kind}/{name}"


def service_metadata(host: str, namespace: str) -> dict[str, str]:
    """One of the `services` in Istio's cluster metadata; `name` is short for services of the mesh."""
    named = f".{namespace}.svc."
    return {"host": host, "name": host.partition(named)[0], "namespace": namespace}
