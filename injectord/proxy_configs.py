"""ProxyConfig objects of the cluster, for pods that are made from now on."""

from __future__ import annotations

from typing import Any

from artemon.daemon.health import Health
from artemon.errors import Refused
from artemon.inject.proxy import Located
from artemon.kube import Client
from artemon.kube.follow import Changed, Listed, Lost, follow
from artemon.log import Log
from artemon.model.decode import decode
from artemon.model.kinds import PROXY_CONFIG
from artemon.model.proxy_config import ProxyConfig

CONDITION = "proxyconfigs"


class ProxyConfigs:
    """What the cluster said last. An object that is wrong leaves its last good form in force."""

    def __init__(self, log: Log, health: Health) -> None:
        self._log, self._health = log, health
        self._known: dict[tuple[str, str], Located] = {}

    @property
    def now(self) -> tuple[Located, ...]:
        """All of them."""
        return tuple(self._known.values())

    async def run(self, client: Client) -> None:
        """Follow them, until cancelled. Not ready before it is known what there is, or that nobody tells."""
        self._health.expect(CONDITION, "ProxyConfig objects of the cluster are not read yet")
        async for item in follow(client, PROXY_CONFIG):
            match item:
                case Listed(objects):
                    old, self._known = self._known, {}
                    for obj in objects:
                        self._put(obj, old)
                    self._health.degrade(CONDITION, "")
                case Changed(obj, deleted):
                    if deleted:
                        self._known.pop(_key(obj), None)
                    else:
                        self._put(obj, dict(self._known))
                case Lost(reason, absent):
                    if not absent:  # a cluster without the kind has no such objects
                        self._log.warning("proxyconfigs_unknown", reason=reason)
                        self._health.degrade(CONDITION, reason)
            self._health.meet(CONDITION)

    def _put(self, obj: dict[str, Any], old: dict[tuple[str, str], Located]) -> None:
        key = _key(obj)
        try:
            spec = decode(obj).spec
        except Refused as refusal:
            self._log.warning("proxyconfig_wrong", object="/".join(key), reason=str(refusal))
            if key in old:
                self._known[key] = old[key]
            return
        assert isinstance(spec, ProxyConfig)
        self._known[key] = Located(*key, spec)


def _key(obj: dict[str, Any]) -> tuple[str, str]:
    metadata = obj.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
