"""A filter that is added with a class stands among those of its class."""

from __future__ import annotations

import pytest
from envoy.config.core.v3.address_pb2 import SocketAddress
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.http.grpc_stats.v3.config_pb2 import FilterConfig
from envoy.extensions.filters.http.jwt_authn.v3.config_pb2 import JwtAuthentication
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf.message import Message
from patched_mesh import LUA, applied, envoy_filter, manager_of, patch

from artemon.model.filter_names import MANAGER
from artemon.model.proxy import ProxyType
from artemon.translate.patches.match import Setting
from artemon.translate.wire import packed
from artemon.xds.types import LISTENER

JWT, AUTHORIZE = "envoy.filters.http.jwt_authn", "envoy.filters.http.rbac"
STATS, END = "envoy.filters.http.grpc_stats", "envoy.filters.http.router"
CONFIGS: dict[str, Message] = {
    JWT: JwtAuthentication(),
    AUTHORIZE: RBAC(),
    STATS: FilterConfig(),
    END: Router(),
}


def listener(*names: str) -> Listener:
    out = Listener(name="0.0.0.0_80")
    out.address.socket_address.CopyFrom(SocketAddress(address="0.0.0.0", port_value=80))
    manager = HttpConnectionManager(stat_prefix="x")
    manager.route_config.SetInParent()
    for name in names:
        manager.http_filters.add(name=name, typed_config=packed(CONFIGS[name]))
    out.filter_chains.add().filters.add(name=MANAGER, typed_config=packed(manager))
    return out


@pytest.mark.covers("EnvoyFilter.configPatches.patch.filterClass")
@pytest.mark.parametrize(
    ("kind", "present", "place"),
    [
        pytest.param("AUTHN", (JWT, AUTHORIZE, STATS, END), 0, id="authentication"),
        pytest.param("AUTHN", (AUTHORIZE, STATS, END), 0, id="authentication-before-authorization"),
        pytest.param("AUTHZ", (JWT, AUTHORIZE, STATS, END), 1, id="authorization"),
        pytest.param("AUTHZ", (JWT, STATS, END), 1, id="authorization-without-any"),
        pytest.param("STATS", (JWT, AUTHORIZE, STATS, END), 2, id="statistics"),
        pytest.param("STATS", (END,), 0, id="statistics-alone"),
    ],
)
def test_classes(kind: str, present: tuple[str, ...], place: int) -> None:
    added = patch("HTTP_FILTER", "ADD", {"name": "mine", "typed_config": {"@type": LUA}})
    added["patch"]["filterClass"] = kind
    setting = Setting(ProxyType.SIDECAR)
    made = applied(listener(*present), LISTENER, envoy_filter(added), setting=setting)
    assert made.rejected == ()
    assert made.resource is not None
    found = [one.name for one in manager_of(Listener.FromString(made.resource.body)).http_filters]
    assert found == [*present[:place], "mine", *present[place:]]
