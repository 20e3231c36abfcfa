"""Who translates for which kind of client (node metadata `GENERATOR`, as Istio names it)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from artemon.model.proxy import GRPC
from artemon.snapshot.view import ProxyView
from artemon.translate.grpc import GrpcTranslator
from artemon.translate.translator import Translator
from artemon.xds.resource import Resources

ENVOY = ""


class Generates(Protocol):
    """Views to resources for one kind of client."""

    def turn(self) -> None:
        """A new snapshot begins."""

    def translate(self, view: ProxyView, previous: Resources | None = None) -> Resources:
        """All resources of the client; what equals `previous` is shared with it."""


class Generators:
    """Chooses by what clients say they are; Envoy is what they are otherwise."""

    def __init__(self) -> None:
        self._envoy = Translator()
        self._table: Mapping[str, Generates] = {ENVOY: self._envoy, GRPC: GrpcTranslator()}

    def turn(self) -> None:
        """A new snapshot will be translated: forget parts that have not been used for long."""
        for one in self._table.values():
            one.turn()

    def translate(self, view: ProxyView, previous: Resources | None = None) -> Resources:
        """All resources of the client; what equals `previous` is shared with it."""
        return self._table.get(view.proxy.generator, self._envoy).translate(view, previous)
