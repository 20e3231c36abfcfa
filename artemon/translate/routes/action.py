"""What happens to a request that matched: forwarded, redirected, or answered at once."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass

from envoy.config.core.v3.base_pb2 import RuntimeFractionalPercent
from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    RedirectAction,
    RouteAction,
    WeightedCluster,
)
from envoy.type.matcher.v3.regex_pb2 import RegexMatchAndSubstitute, RegexMatcher
from google.protobuf.duration_pb2 import Duration

from artemon.model.destination_rule import LoadBalancerSettingsConsistentHashLB
from artemon.model.virtual_service import (
    Headers,
    HTTPDirectResponse,
    HTTPMirrorPolicy,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
    Percent,
)
from artemon.translate.routes.hashing import hash_policy
from artemon.translate.routes.headers import authority, write_headers
from artemon.translate.routes.retry import retry_policy
from artemon.translate.routes.scope import Client, Targets
from artemon.translate.wire import ZERO, duration, percent

_REDIRECT_CODES = {
    0: RedirectAction.MOVED_PERMANENTLY,
    301: RedirectAction.MOVED_PERMANENTLY,
    302: RedirectAction.FOUND,
    303: RedirectAction.SEE_OTHER,
    307: RedirectAction.TEMPORARY_REDIRECT,
    308: RedirectAction.PERMANENT_REDIRECT,
}
_DEFAULT_PORTS = {("http", 80), ("https", 443)}


@dataclass(frozen=True, slots=True)
class Share:
    """A cluster and its part of the requests. hashing: how they stick to an instance of it.

    sniffed: whether the other side finds out by itself that these are requests."""

    cluster: str
    weight: int = 1
    headers: Headers | None = None
    hashing: LoadBalancerSettingsConsistentHashLB | None = None
    sniffed: bool = False


@dataclass(frozen=True, slots=True)
class Forward:
    """Where requests go and how long they may take. shares: those with a weight above zero; `weighted` when
    more were written. authority: what the route puts in place of the client's."""

    shares: tuple[Share, ...]
    weighted: bool = False
    timeout: int | None = None
    retries: HTTPRetry | None = None
    rewrite: HTTPRewrite | None = None
    mirrors: tuple[RouteAction.RequestMirrorPolicy, ...] = ()
    authority: str = ""

    @property
    def is_sniffed(self) -> bool:
        """Whether all of it goes where it has to be found out that these are requests."""
        return all(share.sniffed for share in self.shares)


def forward_of(route: HTTPRoute, client: Client, targets: Targets) -> Forward:
    """The part of a VirtualService route that forwards."""
    weighted = len(route.route) > 1
    shares = (
        Share(
            cluster=targets.cluster(one.destination, client.port),
            weight=one.weight,
            headers=one.headers,
            hashing=targets.hashing(one.destination, client.port),
            sniffed=targets.is_sniffed(
                one.destination.host, targets.port(one.destination, client.port), one.destination.subset
            ),
        )
        for one in route.route
        if one.destination is not None and (one.weight > 0 or not weighted)
    )
    mirrors = route.mirrors
    if route.mirror is not None:
        mirrors = (HTTPMirrorPolicy(destination=route.mirror, percentage=_mirror_share(route)), *mirrors)
    found = (_mirror(one, client, targets) for one in mirrors)
    return Forward(
        shares=tuple(shares),
        weighted=weighted,
        timeout=route.timeout,
        retries=targets.retries if route.retries is None else route.retries,
        rewrite=route.rewrite,
        mirrors=tuple(one for one in found if one is not None),
        authority=authority(route.headers),
    )


def _mirror_share(route: HTTPRoute) -> Percent | None:
    if route.mirror_percentage is None and route.mirror_percent is not None:
        return Percent(value=float(route.mirror_percent))
    return route.mirror_percentage


def action_within(limit: Duration) -> RouteAction:
    """An action that may take `limit` (0: for ever); gRPC clients may ask for less, or for any with 0.

    Envoy ignores `timeout`, and what clients ask for in `x-envoy-upstream-rq-timeout-ms`, in an action that
    has `max_stream_duration`, the newer word for a limit on gRPC deadlines."""
    return RouteAction(timeout=limit, max_grpc_timeout=limit)


def forward_action(forward: Forward) -> RouteAction:
    """Envoy's action; without a timeout requests may take for ever."""
    out = action_within(ZERO if forward.timeout is None else duration(forward.timeout))
    if forward.weighted:
        out.weighted_clusters.CopyFrom(_weighted(forward.shares))
    else:
        out.cluster = forward.shares[0].cluster
    policies = (hash_policy(share.hashing) for share in forward.shares if share.hashing is not None)
    out.hash_policy.extend(policy for policy in policies if policy is not None)
    retries = retry_policy(forward.retries, sticky=bool(out.hash_policy))
    if retries is not None:
        out.retry_policy.CopyFrom(retries)
    _rewrite(out, forward)
    out.request_mirror_policies.extend(forward.mirrors)
    return out


def _weighted(shares: Iterable[Share]) -> WeightedCluster:
    out = WeightedCluster()
    for share in shares:
        cluster = out.clusters.add(name=share.cluster)
        cluster.weight.value = share.weight
        write_headers(cluster, share.headers)
        host = authority(share.headers)
        if host:
            cluster.host_rewrite_literal = host
    return out


def _rewrite(out: RouteAction, forward: Forward) -> None:
    """Path and authority; the route's word on the authority stands over that of its only destination."""
    rewrite = forward.rewrite
    host = (rewrite.authority if rewrite else "") or forward.authority
    if not host and not forward.weighted:
        host = authority(forward.shares[0].headers)
    if host:
        out.host_rewrite_literal = host
    if rewrite is None:
        return
    if rewrite.uri:
        out.prefix_rewrite = rewrite.uri
    elif rewrite.uri_regex_rewrite is not None:
        pattern = RegexMatcher(regex=rewrite.uri_regex_rewrite.match)
        substitution = rewrite.uri_regex_rewrite.rewrite
        out.regex_rewrite.CopyFrom(RegexMatchAndSubstitute(pattern=pattern, substitution=substitution))


def _mirror(
    mirror: HTTPMirrorPolicy, client: Client, targets: Targets
) -> RouteAction.RequestMirrorPolicy | None:
    """A copy of requests, all of them unless a share is written; a share of zero is no copy."""
    if mirror.destination is None or (mirror.percentage is not None and mirror.percentage.value == 0):
        return None
    return RouteAction.RequestMirrorPolicy(
        cluster=targets.cluster(mirror.destination, client.port),
        runtime_fraction=RuntimeFractionalPercent(default_value=percent(mirror.percentage, default=100.0)),
        disable_shadow_host_suffix_append=True,
    )


def redirect_action(redirect: HTTPRedirect, client: Client) -> RedirectAction | None:
    """Sends the client elsewhere; None for a status that redirects nothing."""
    code = _REDIRECT_CODES.get(redirect.redirect_code)
    if code is None:
        return None
    out = RedirectAction(host_redirect=redirect.authority, response_code=code)
    if redirect.prefix_rewrite:
        out.prefix_rewrite = redirect.prefix_rewrite
    elif redirect.uri:
        out.path_redirect = redirect.uri
    if redirect.scheme:
        out.scheme_redirect = redirect.scheme
    port = client.port if redirect.derive_port == "FROM_REQUEST_PORT" else redirect.port or 0
    scheme = redirect.scheme or ("https" if client.tls else "http")
    if port and (scheme, port) not in _DEFAULT_PORTS:
        out.port_redirect = port
    return out


def direct_response(response: HTTPDirectResponse) -> DirectResponseAction:
    """An answer that no service gives."""
    out = DirectResponseAction(status=response.status)
    body = response.body
    if body is not None and body.string is not None:
        out.body.inline_string = body.string
    elif body is not None and body.bytes_ is not None:
        out.body.inline_bytes = b64decode(body.bytes_)
    return out
