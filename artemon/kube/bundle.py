"""Keeping a webhook configuration's CA bundle what the webhook's certificate leads to."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

from artemon.errors import ArtemonError
from artemon.kube.client import JSON_PATCH, Client
from artemon.kube.follow import Changed, Listed, Lost, follow
from artemon.log import Log
from artemon.model.resource import Kind

Object = dict[str, Any]


def corrections(configuration: Object, roots: bytes) -> list[dict[str, Any]]:
    """The JSON patch that makes every webhook trust `roots`; empty when they all do.

    Each replacement is bound to the webhook's name, so that a configuration that changed meanwhile is not
    touched by mistake.
    """
    bundle = base64.b64encode(roots).decode()
    patch: list[dict[str, Any]] = []
    for index, hook in enumerate(configuration.get("webhooks") or ()):
        if (hook.get("clientConfig") or {}).get("caBundle") != bundle:
            where = f"/webhooks/{index}"
            patch.append({"op": "test", "path": f"{where}/name", "value": hook.get("name")})
            patch.append({"op": "add", "path": f"{where}/clientConfig/caBundle", "value": bundle})
    return patch


class BundleKeeper:
    """Corrects one webhook configuration whenever it, or the roots, changed. kind: MUTATING_WEBHOOKS or
    VALIDATING_WEBHOOKS."""

    def __init__(
        self, client: Client, kind: Kind, name: str, *, roots: Callable[[], bytes], log: Log
    ) -> None:
        self._client, self._kind, self._name, self._roots, self._log = client, kind, name, roots, log
        self._seen: Object | None = None

    async def run(self) -> None:
        """Follow the configuration, until cancelled."""
        async for configuration in self._versions():
            self._seen = configuration
            await self.correct()

    async def correct(self) -> None:
        """Bring the configuration that was last seen in line with the roots of the moment."""
        patch = corrections(self._seen, self._roots()) if self._seen else []
        if not patch:
            return
        try:
            await self._client.patch(self._kind, "", self._name, patch, media=JSON_PATCH)
            self._log.info("bundle_corrected", configuration=self._name, webhooks=len(patch) // 2)
        except ArtemonError as error:
            self._log.warning("bundle_not_corrected", configuration=self._name, reason=error)

    async def _versions(self) -> AsyncIterator[Object | None]:
        query = {"fieldSelector": f"metadata.name={self._name}"}
        async for item in follow(self._client, self._kind, query=query):
            if isinstance(item, Listed):
                if not item.objects:
                    self._log.warning("no_webhook_configuration", name=self._name)
                yield next(iter(item.objects), None)
            elif isinstance(item, Changed):
                yield None if item.deleted else item.object
            elif isinstance(item, Lost):
                self._log.warning("cluster_lost", reason=item.reason)
