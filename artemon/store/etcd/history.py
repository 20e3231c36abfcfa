"""Whether the cluster is still the one it was: what headers of answers tell. No I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """What was known when a request was sent."""

    epoch: str
    revision: int
    term: int


class History:
    """The newest known revision and term of a cluster, and how often it was reset under us.

    An answer from the quorum can never be older than what was known when its request was sent: if it is, or
    if the cluster's id is another, the store was wiped, restored or replaced, and a new epoch begins.
    """

    def __init__(self) -> None:
        self._cluster, self._revision, self._term, self._resets = 0, 0, 0, 0

    @property
    def epoch(self) -> str:
        """Names this history; revisions of two epochs cannot be compared."""
        return f"{self._cluster:x}-{self._resets}"

    def mark(self) -> Mark:
        """To be taken when a request is sent."""
        return Mark(self.epoch, self._revision, self._term)

    def answered(self, cluster: int, revision: int, term: int, *, since: Mark) -> None:
        """A linearizable answer came to a request sent at `since`."""
        if self._cluster and since.epoch != self.epoch:
            return
        back = revision < since.revision or term < since.term
        if self._cluster and (cluster != self._cluster or back):
            self.replaced()
        self._cluster = cluster
        self._revision, self._term = max(self._revision, revision), max(self._term, term)

    def replaced(self) -> None:
        """The store is known to be another one, though its numbers do not tell."""
        self._resets += 1
        self._revision = self._term = 0

    def delivered(self, epoch: str, revision: int) -> None:
        """A watch delivered `revision`, so the quorum has it."""
        if epoch == self.epoch:
            self._revision = max(self._revision, revision)
