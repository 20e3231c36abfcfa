"""Further clusters, as Secrets of one cluster tell of them: Istio's form (label `istio/multiCluster: "true"`,
each key of the data is the name of a cluster and its value a kubeconfig)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any

from artemon.backoff import Backoff
from artemon.errors import ArtemonError
from artemon.kube import Access, Client
from artemon.kube.follow import Listed, Lost, follow
from artemon.kube.kinds import KUBE_SECRET
from artemon.kube.kubeconfig import access_in
from artemon.registry.cluster.registry import ClusterRegistry
from artemon.registry.cluster.settings import ClusterSettings
from artemon.registry.open import Opened

SELECTOR = "istio/multiCluster=true"
_NAME = re.compile("[a-z0-9-]{1,40}")
Said = Callable[[str], None]


async def remotes(
    access: Callable[[], Access], settings: ClusterSettings, said: Said
) -> AsyncIterator[tuple[Opened, ...]]:
    """The clusters that Secrets tell of, whenever they change, until cancelled. said: told what is wrong; a
    Secret that cannot be used takes away nothing but what it told of."""
    backoff = Backoff(0.5, 30.0)
    while True:
        try:
            async with Client.open(access()) as client:
                async for found in _followed(client, settings, said):
                    backoff.reset()
                    yield found
        except ArtemonError as error:
            said(str(error))
        await asyncio.sleep(backoff.next(random.random()))  # noqa: S311 - jitter


async def _followed(
    client: Client, settings: ClusterSettings, said: Said
) -> AsyncIterator[tuple[Opened, ...]]:
    secrets: dict[str, Mapping[str, Any]] = {}
    query = {"labelSelector": SELECTOR}
    async for item in follow(client, KUBE_SECRET, settings.remotes, query=query):
        if isinstance(item, Lost):
            said(item.reason)
            continue
        if isinstance(item, Listed):
            secrets = {str(one["metadata"]["name"]): one for one in item.objects}
        elif item.deleted:
            secrets.pop(str(item.object["metadata"]["name"]), None)
        else:
            secrets[str(item.object["metadata"]["name"])] = item.object
        yield clusters_of([secrets[name] for name in sorted(secrets)], settings, said)


def clusters_of(
    secrets: Iterable[Mapping[str, Any]], settings: ClusterSettings, said: Said
) -> tuple[Opened, ...]:
    """The clusters that Secrets tell of; of two with one name the first. What is told of the cluster itself
    is passed over, as by Istio."""
    found: dict[str, Opened] = {}
    for secret in secrets:
        where = f"Secret {settings.remotes}/{secret['metadata']['name']}"
        for name, value in sorted((secret.get("data") or {}).items()):
            try:
                opened = _cluster(name, value, where, settings)
            except ArtemonError as error:
                said(f"{where}: {name}: {error}")
                continue
            if name in found:
                said(f"{where}: {name}: {found[name].address.partition('#')[0]} tells of it already")
            elif name != settings.name:
                found[name] = opened
    return tuple(found.values())


def _cluster(name: str, value: Any, where: str, settings: ClusterSettings) -> Opened:
    if not _NAME.fullmatch(name):
        raise ArtemonError("the name of a cluster must be 1 to 40 of a-z, 0-9 and -")
    try:
        text = base64.b64decode(str(value), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ArtemonError(f"is not text in base64: {error}") from error
    access = access_in(text)
    own = settings.model_copy(update={"name": name, "remotes": "", "context": "", "required": False})
    # what it says is part of the address, so that another kubeconfig is another one
    address = f"{where}#{sha256(text.encode()).hexdigest()[:16]}"
    return Opened(name, address, own, ClusterRegistry(lambda: access, own))
