"""Names of the mesh, from the view to the DNS server."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from artemon.api.v1.nds_pb2 import NameTable
from artemon.log import Log
from artemon.xds.resource import NOTHING, Resource, State
from artemon.xds.types import NAMES
from proxyd.bells import Bells
from proxyd.dns.server import DnsServer
from proxyd.dns.table import Table, check
from proxyd.view import View


class Names:
    """Takes every name table that pilotd sends. `moved` is rung when one was taken or refused."""

    def __init__(self, view: View, server: DnsServer, *, namespace: str, moved: Bells, log: Log) -> None:
        self._view = view
        self._server = server
        self._namespace = namespace
        self._moved = moved
        self._log = log
        self._state: State = NOTHING
        self._read: dict[str, tuple[str, NameTable]] = {}

    async def follow(self, changed: Bells) -> None:
        """Until cancelled; `changed` rings when the view has changed."""
        with changed.listen() as wake:
            while True:
                self.take()
                await wake.wait()
                wake.clear()

    def take(self) -> None:
        """Answer from what the view has now."""
        state = self._view.desired()[NAMES]
        if state is self._state:
            return
        for name, item in state.items.items():
            try:
                self._read_one(name, item)
            except (DecodeError, ValueError) as error:
                self._log.error("names of the mesh refused", host=name, reason=str(error))
                self._view.refused(NAMES, {name: item.version}, str(error))
        self._state = state = self._view.desired()[NAMES]
        self._read = {name: self._read_one(name, item) for name, item in state.items.items()}
        self._server.use(Table((table for _, table in self._read.values()), namespace=self._namespace))
        self._view.in_step(NAMES, None)
        self._moved.ring()

    def _read_one(self, name: str, item: Resource) -> tuple[str, NameTable]:
        known = self._read.get(name)
        if known is None or known[0] != item.version:
            known = (item.version, check(NameTable.FromString(item.body)))
            self._read[name] = known
        return known
