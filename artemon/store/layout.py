"""Where everything lies in the registry: docs/architecture.md, "Keys and owners"."""

from __future__ import annotations

from dataclasses import dataclass

from artemon.model.workload import NO_SERVICE
from artemon.store import schema


@dataclass(frozen=True, slots=True)
class Layout:
    """The keys of one mesh. Methods build keys; `split` takes one apart."""

    mesh_name: str = "default"

    @property
    def root(self) -> str:
        """The prefix of everything."""
        return f"artemon/{self.mesh_name}/"

    @property
    def configs(self) -> str:
        """The prefix of all user-written objects."""
        return f"{self.root}config/"

    def config(self, plural: str, namespace: str, name: str) -> str:
        """A user-written object."""
        return f"{self.configs}{plural}/{namespace}/{name}"

    @property
    def staged(self) -> str:
        """The prefix of what large writes stage: `artemon.store.staging`. No object lies there."""
        return f"{self.configs}~staged/"

    @property
    def switch(self) -> str:
        """Which staged write is in force."""
        return f"{self.staged}-/switch"

    def parts(self, write: str) -> str:
        """The prefix of what a large write stages."""
        return f"{self.staged}{write}/"

    def part(self, write: str, number: int) -> str:
        """A part of what a large write stages."""
        return f"{self.parts(write)}{number:04d}"

    @property
    def secrets(self) -> str:
        """The prefix of all Secrets, which are encrypted."""
        return f"{self.root}secrets/"

    def secret(self, namespace: str, name: str) -> str:
        """A Secret."""
        return f"{self.secrets}{namespace}/{name}"

    @property
    def mesh(self) -> str:
        """MeshConfig."""
        return f"{self.root}mesh"

    @property
    def schema(self) -> str:
        """Which layout this is: `artemon.store.schema`."""
        return schema.key_of(self.root)

    @property
    def histories(self) -> str:
        """The prefix of the records of writes."""
        return f"{self.root}history/"

    def history(self, revision: int) -> str:
        """The record of one write; in order of revision."""
        return f"{self.histories}{revision:020d}"

    @property
    def workloads(self) -> str:
        """The prefix of all joined workloads."""
        return f"{self.root}workloads/"

    def workload(self, namespace: str, service: str, node: str) -> str:
        """A joined workload; service "" when it serves none."""
        return f"{self.workloads}{namespace}/{service or NO_SERVICE}/{node}"

    @property
    def bundle(self) -> str:
        """What everyone trusts."""
        return f"{self.root}trust/bundle"

    @property
    def tokens(self) -> str:
        """The prefix of all join tokens."""
        return f"{self.root}trust/tokens/"

    def token(self, digest: str) -> str:
        """A join token, by its SHA-256 in hex."""
        return f"{self.tokens}{digest}"

    @property
    def issues(self) -> str:
        """The prefix of all certificates that were issued."""
        return f"{self.root}trust/issued/"

    def issued(self, serial: int) -> str:
        """An issued certificate."""
        return f"{self.issues}{serial:x}"

    @property
    def signers(self) -> str:
        """The prefix of the papers of galleyd's signing keys."""
        return f"{self.root}trust/signers/"

    def signer(self, key: str) -> str:
        """The papers of one signing key."""
        return f"{self.signers}{key}"

    @property
    def writers(self) -> str:
        """The prefix of the papers of citadeld's signing keys."""
        return f"{self.root}trust/writers/"

    def writer(self, key: str, root: str) -> str:
        """The papers of one signing key that lead to `root` (SHA-256)."""
        return f"{self.writers}{key}/{root[:16]}"

    @property
    def statuses(self) -> str:
        """The prefix of the status of all proxies."""
        return f"{self.root}status/proxies/"

    def status(self, node: str, namespace: str) -> str:
        """The status of one proxy."""
        return f"{self.statuses}{node}.{namespace}"

    @property
    def pilots(self) -> str:
        """The prefix of the records by which pilotds show one another that they live."""
        return f"{self.root}status/pilots/"

    def pilot(self, name: str) -> str:
        """The record of one pilotd."""
        return f"{self.pilots}{name}"

    def election(self, role: str) -> str:
        """Who leads a role."""
        return f"{self.root}election/{role}"

    def relative(self, key: str) -> str:
        """`key` below `root`. Raises ValueError for a key of another mesh."""
        if not key.startswith(self.root):
            raise ValueError(f"{key} does not lie under {self.root}")
        return key[len(self.root) :]

    def split(self, key: str) -> tuple[str, ...]:
        """The parts of a key below `root`, as ("workloads", namespace, service, node); a workload's service
        is "" when it serves none. Raises ValueError for a key of another mesh."""
        parts = tuple(self.relative(key).split("/"))
        if parts[0] == "workloads" and len(parts) == 4 and parts[2] == NO_SERVICE:
            return (*parts[:2], "", parts[3])
        return parts
