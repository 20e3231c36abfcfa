"""`trafficPolicy`: balancing, pools, ejection, TLS, of a rule, a subset or a port."""

from __future__ import annotations

from artemon.model.destination_rule import (
    LoadBalancerSettings,
    LoadBalancerSettingsConsistentHashLB,
    OutlierDetection,
    TrafficPolicy,
    TrafficPolicyPortTrafficPolicy,
    TrafficPolicyRetryBudget,
    TrafficPolicyTunnelSettings,
    WarmupConfiguration,
)
from artemon.validate.addresses import is_ip
from artemon.validate.amounts import duration, percent, port, port_selector
from artemon.validate.client_tls import client_tls
from artemon.validate.findings import Problems, error, repeats, warning, wrong
from artemon.validate.hosts import fqdn
from artemon.validate.localities import locality_setting, zone_aware_setting
from artemon.validate.pools import connection_pool, outlier_detection

MAGLEV_LIMIT = 5_000_011
_PORT_FIELDS = ("load_balancer", "connection_pool", "outlier_detection", "tls")
_FIELDS = (*_PORT_FIELDS, "tunnel", "proxy_protocol", "retry_budget")


def traffic_policy(policy: TrafficPolicy | None, path: str, *, namespace: str) -> Problems:
    """What is wrong with one policy and those of its ports."""
    if policy is None:
        return
    if not policy.port_level_settings and all(getattr(policy, name) is None for name in _FIELDS):
        yield error(path, "must have at least one field")
    if policy.tunnel is not None and policy.proxy_protocol is not None:
        yield error(path, "only one of tunnel and proxyProtocol may be set")
    yield from _blocks(policy, path, namespace=namespace)
    for index, settings in enumerate(policy.port_level_settings):
        where = f"{path}.portLevelSettings[{index}]"
        if settings.port is None:
            yield error(f"{where}.port", "is required")
        yield from port_selector(settings.port, f"{where}.port")
        if all(getattr(settings, name) is None for name in _PORT_FIELDS):
            yield error(where, "must have at least one field besides port")
        yield from _blocks(settings, where, namespace=namespace)
    yield from _tunnel(policy.tunnel, f"{path}.tunnel")
    yield from _retry_budget(policy.retry_budget, f"{path}.retryBudget")


def _blocks(policy: TrafficPolicy | TrafficPolicyPortTrafficPolicy, path: str, *, namespace: str) -> Problems:
    yield from outlier_detection(policy.outlier_detection, f"{path}.outlierDetection")
    yield from connection_pool(policy.connection_pool, f"{path}.connectionPool")
    yield from load_balancer(policy.load_balancer, f"{path}.loadBalancer", outlier=policy.outlier_detection)
    yield from client_tls(policy.tls, f"{path}.tls", namespace=namespace)


def load_balancer(
    balancer: LoadBalancerSettings | None, path: str, *, outlier: OutlierDetection | None
) -> Problems:
    """What is wrong with how instances are chosen."""
    if balancer is None:
        return
    if balancer.consistent_hash is not None:
        yield from _consistent_hash(balancer.consistent_hash, f"{path}.consistentHash")
    if balancer.locality_lb_setting is not None and balancer.zone_aware_lb_setting is not None:
        yield error(path, "only one of localityLbSetting and zoneAwareLbSetting may be set")
    yield from locality_setting(balancer.locality_lb_setting, f"{path}.localityLbSetting", outlier=outlier)
    yield from zone_aware_setting(balancer.zone_aware_lb_setting, f"{path}.zoneAwareLbSetting")
    yield from duration(balancer.warmup_duration_secs, f"{path}.warmupDurationSecs")
    if balancer.warmup is not None:
        yield from _warmup(balancer.warmup, f"{path}.warmup")


def _consistent_hash(hashing: LoadBalancerSettingsConsistentHashLB, path: str) -> Problems:
    cookie = hashing.http_cookie
    if cookie is not None:
        if not cookie.name:
            yield error(f"{path}.httpCookie.name", "must not be empty")
        where = f"{path}.httpCookie.attributes"
        for index, attribute in enumerate(cookie.attributes):
            if not attribute.name:
                yield error(f"{where}[{index}].name", "must not be empty")
        for index in repeats(attribute.name for attribute in cookie.attributes):
            yield error(f"{where}[{index}].name", f'"{cookie.attributes[index].name}" is given twice')
    if hashing.minimum_ring_size:
        yield warning(f"{path}.minimumRingSize", "is deprecated; use ringHash.minimumRingSize")
        if hashing.maglev is not None or hashing.ring_hash is not None:
            yield error(f"{path}.minimumRingSize", "must not be set together with maglev or ringHash")
    if hashing.maglev is not None:
        yield from _table_size(hashing.maglev.table_size, f"{path}.maglev.tableSize")


def _table_size(size: int, path: str) -> Problems:
    if size == 0:
        yield error(path, "is required")
    elif size >= MAGLEV_LIMIT:
        yield error(path, f"must be less than {MAGLEV_LIMIT}")
    elif not _is_prime(size):
        yield error(path, f"must be a prime number, not {size}")


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % factor for factor in range(2, int(number**0.5) + 1))


def _warmup(warmup: WarmupConfiguration, path: str) -> Problems:
    if warmup.duration is None:
        yield error(f"{path}.duration", "is required")
    yield from duration(warmup.duration, f"{path}.duration")
    yield from wrong(f"{path}.minimumPercent", percent(warmup.minimum_percent or 0))
    if warmup.aggression is not None and warmup.aggression <= 0:
        yield error(f"{path}.aggression", "must be more than 0")


def _tunnel(tunnel: TrafficPolicyTunnelSettings | None, path: str) -> Problems:
    if tunnel is None:
        return
    if tunnel.protocol not in {"", "CONNECT", "POST"}:
        yield error(f"{path}.protocol", f'must be CONNECT or POST, not "{tunnel.protocol}"')
    if not is_ip(tunnel.target_host):
        yield from wrong(f"{path}.targetHost", fqdn(tunnel.target_host))
    yield from wrong(f"{path}.targetPort", port(tunnel.target_port))


def _retry_budget(budget: TrafficPolicyRetryBudget | None, path: str) -> Problems:
    if budget is None:
        return
    yield from wrong(f"{path}.percent", percent(budget.percent or 0))
    yield from duration(budget.budget_interval, f"{path}.budgetInterval")
