"""Which clusters galleyd reads: `kubernetes:///path/of/a/kubeconfig?name=east`, `kubernetes://in-cluster`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pydantic import BaseModel, ConfigDict, Field

from artemon import plugins
from artemon.errors import Problem, Refused
from artemon.kube import Access
from artemon.kube.kubeconfig import cluster_access

SCHEME = "kubernetes"


class ClusterSettings(BaseModel):
    """The query of the URL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(SCHEME, pattern="^[a-z0-9-]{1,40}$", description="Name of the cluster.")
    context: str = Field("", description="Context of the kubeconfig; its current one when empty.")
    namespaces: str = Field("*", description="Namespaces (a, a*, with commas) whose objects are read.")
    webhook: str = Field(
        "", description="ValidatingWebhookConfiguration there whose CA bundle is kept right; empty: none."
    )


@dataclass(frozen=True, slots=True)
class Cluster:
    """One of them. file: its kubeconfig. precedence: the smaller goes before."""

    file: str
    settings: ClusterSettings
    precedence: int = 0

    @property
    def name(self) -> str:
        """As objects are marked with."""
        return self.settings.name

    def access(self) -> Access:
        """Read anew each time, as tokens expire. Raises ArtemonError."""
        return cluster_access(self.file, context=self.settings.context)

    def reads(self, namespace: str) -> bool:
        """Whether objects of a namespace are read."""
        patterns = (one.strip() for one in self.settings.namespaces.split(","))
        return any(fnmatchcase(namespace, pattern) for pattern in patterns)


def read_clusters(urls: Iterable[str]) -> tuple[Cluster, ...]:
    """The clusters at `urls`; the first goes before the others. Raises Refused, ArtemonError."""
    found = tuple(_cluster(url, at) for at, url in enumerate(urls))
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise Refused([Problem("clusters", f"two are called {name}; give one of them ?name=...")])
    return found


def _cluster(url: str, precedence: int) -> Cluster:
    address, _, query = url.partition("?")
    scheme, mark, file = address.partition("://")
    if scheme != SCHEME or not mark or not file:
        text = f"{url!r}: must be kubernetes:///path/of/a/kubeconfig or kubernetes://in-cluster"
        raise Refused([Problem("clusters", text)])
    settings = plugins.checked(ClusterSettings, plugins.in_query(query), owner="cluster", subject=address)
    made = Cluster(file, settings, precedence)
    made.access()
    return made
