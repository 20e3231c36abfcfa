"""The server's side of mutual TLS: which mode a workload is in (PeerAuthentication)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from artemon.model.peer_authentication import PeerAuthentication, PeerAuthenticationMutualTLS
from artemon.model.resource import Resource
from artemon.model.selector import matches
from artemon.model.service import Endpoint
from artemon.snapshot.view import Mode, MtlsMode

Policy = Resource[PeerAuthentication]


def written(mtls: PeerAuthenticationMutualTLS | None, inherited: Mode) -> Mode:
    """The mode that is written, or the inherited one where none is (UNSET)."""
    return inherited if mtls is None or mtls.mode == "UNSET" else mtls.mode


def selects_all(policy: Policy) -> bool:
    """Whether it is for its whole namespace (in the root namespace: the mesh)."""
    return policy.spec.selector is None or not policy.spec.selector.match_labels


def effective(
    labels: Mapping[str, str], own: Sequence[Policy], root: Sequence[Policy], *, base: Mode = "PERMISSIVE"
) -> MtlsMode:
    """The mode of a workload: port over workload over namespace over mesh; UNSET inherits.

    own: policies of the workload's namespace, root: of the root namespace, both oldest first; of several
    for one scope the oldest counts.
    """
    mesh = next((policy for policy in root if selects_all(policy)), None)
    space = next((policy for policy in own if selects_all(policy)), None)
    workload = next((policy for policy in own if not selects_all(policy) and _selects(policy, labels)), None)
    mode = base
    for policy in (mesh, space, workload):
        if policy is not None:
            mode = written(policy.spec.mtls, mode)
    if workload is None:
        return MtlsMode(mode)
    ports = {int(port): written(mtls, mode) for port, mtls in workload.spec.port_level_mtls.items()}
    return MtlsMode(mode, {port: level for port, level in sorted(ports.items()) if level != mode})


def _selects(policy: Policy, labels: Mapping[str, str]) -> bool:
    return policy.spec.selector is not None and matches(policy.spec.selector.match_labels, labels)


@dataclass(frozen=True, slots=True)
class Modes:
    """All PeerAuthentications, by namespace and oldest first, and what they say of workloads."""

    root: str
    policies: Mapping[str, tuple[Policy, ...]] = field(default_factory=dict)

    def of(self, namespace: str, labels: Mapping[str, str]) -> MtlsMode:
        """The mode of the workload with these labels."""
        root = self.policies.get(self.root, ())
        return effective(labels, self.policies.get(namespace, ()), root)

    def disables(self, namespace: str) -> bool:
        """Whether a workload of `namespace` could be in mode DISABLE."""
        policies = (*self.policies.get(self.root, ()), *self.policies.get(namespace, ()))
        return any(_says_disable(policy.spec) for policy in policies)

    def apply(self, endpoint: Endpoint) -> Endpoint:
        """The instance as clients must treat it: no mutual TLS where its mode is DISABLE."""
        if not endpoint.mtls or not self.disables(endpoint.namespace):
            return endpoint
        mode = self.of(endpoint.namespace, endpoint.labels)
        on = mode.default != "DISABLE"
        exceptions = tuple(port for port, level in mode.ports.items() if (level != "DISABLE") != on)
        if on and not exceptions:
            return endpoint
        return replace(endpoint, mtls=on, mtls_exceptions=exceptions)


def _says_disable(spec: PeerAuthentication) -> bool:
    levels: Iterable[PeerAuthenticationMutualTLS | None] = (spec.mtls, *spec.port_level_mtls.values())
    return any(level is not None and level.mode == "DISABLE" for level in levels)
