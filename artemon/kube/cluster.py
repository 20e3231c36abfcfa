"""Clusters as daemons are told of them: `kubernetes:///path/of/a/kubeconfig?name=east`, or in-cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from artemon import plugins
from artemon.errors import Problem, Refused
from artemon.kube.access import Access
from artemon.kube.kubeconfig import cluster_access

SCHEME = "kubernetes"


class ClusterOptions(BaseModel):
    """What the query of every such URL may say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(SCHEME, pattern="^[a-z0-9-]{1,40}$", description="Name of the cluster.")
    context: str = Field("", description="Context of the kubeconfig; its current one when empty.")


Options_co = TypeVar("Options_co", bound=ClusterOptions, covariant=True)
Read = TypeVar("Read", bound=ClusterOptions)


@dataclass(frozen=True, slots=True)
class Cluster(Generic[Options_co]):
    """One of them. file: its kubeconfig. precedence: the smaller goes before."""

    file: str
    settings: Options_co
    precedence: int = 0

    @property
    def name(self) -> str:
        """What it is called in the mesh."""
        return self.settings.name

    def access(self) -> Access:
        """Read anew each time, as tokens expire. Raises ArtemonError."""
        return cluster_access(self.file, context=self.settings.context)


def among(name: str, patterns: str) -> bool:
    """Whether a name is one of `patterns`: `a`, `a*`, with commas."""
    return any(fnmatchcase(name, one.strip()) for one in patterns.split(","))


def read_clusters(urls: Iterable[str], options: type[Read]) -> tuple[Cluster[Read], ...]:
    """The clusters at `urls`; the first goes before the others. Raises Refused, ArtemonError."""
    found = tuple(_cluster(url, at, options) for at, url in enumerate(urls))
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise Refused([Problem("clusters", f"two are called {name}; give one of them ?name=...")])
    return found


def _cluster(url: str, precedence: int, options: type[Read]) -> Cluster[Read]:
    address, _, query = url.partition("?")
    scheme, mark, file = address.partition("://")
    if scheme != SCHEME or not mark or not file:
        text = f"{url!r}: must be kubernetes:///path/of/a/kubeconfig or kubernetes://in-cluster"
        raise Refused([Problem("clusters", text)])
    settings = plugins.checked(options, plugins.in_query(query), owner="cluster", subject=address)
    made = Cluster(file, settings, precedence)
    made.access()
    return made
