"""What values in the registry say: signed where they must be, decoded, or told what is wrong with them."""

from __future__ import annotations

from artemon import validate
from artemon.daemon.signers import SIGNED, TRUST, Forged, Signers
from artemon.log import Log
from artemon.model.secret import Unseal
from artemon.pki import signing
from artemon.snapshot import records
from artemon.snapshot.changes import Bad, Change
from artemon.store.api import Entry
from artemon.store.layout import Layout
from pilotd.metrics import Metrics


class Reader:
    """Makes changes of entries. unseal: opens Secrets. signers: whose configuration is taken, trust: whose
    roots and revocations; None: everybody's."""

    def __init__(
        self,
        layout: Layout,
        *,
        log: Log,
        metrics: Metrics,
        unseal: Unseal,
        signers: Signers | None,
        trust: Signers | None,
    ) -> None:
        self._layout = layout
        self._log = log
        self._metrics = metrics
        self._unseal = unseal
        self._writers = ((SIGNED, signers), (TRUST, trust))

    def read(self, entry: Entry, value: bytes | None) -> Change | None:
        """The change that a value (None: its absence) is; None for what is nothing of pilotd's. Bad values
        are logged: the last good one stays."""
        key = self._layout.relative(entry.key)
        try:
            body = None if value is None else self._authentic(key, value)
        except Forged as error:
            self._metrics.forged.labels(error.reason).inc()
            self._log.error("registry_value_forged", key=entry.key, reason=error, kept="the last good one")
            return Bad(key, error.problems)
        change = records.read(
            key,
            body,
            check=validate.problems,
            check_mesh=validate.mesh_problems,
            unseal=self._unseal,
        )
        if isinstance(change, Bad):
            problems = "; ".join(str(problem) for problem in change.problems[:3])
            self._log.error(
                "registry_value_unusable", key=entry.key, reason=problems, kept="the last good one"
            )
        return change

    def _authentic(self, key: str, value: bytes) -> bytes:
        """What galleyd or citadeld signed for a key, or anything where nobody need have. Raises Forged."""
        for places, signers in self._writers:
            if signers is not None and key.startswith(places):
                return signers.body(key, value)
        return signing.split(value)[0]
