"""What `meshctl validate` finds: every problem of every object in files, with its place."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from artemon.adapters.rulebook import rulebook
from artemon.errors import Problem
from artemon.model import yaml_text
from artemon.model.decode import subject_of, unwrap
from artemon.model.destination_rule import DestinationRule
from artemon.model.hosts import resolve
from artemon.model.kinds import MIXER_KINDS, SERVICE_ENTRY, WORKLOAD_ENTRY
from artemon.model.mesh_config import MeshConfig
from artemon.model.message import Message
from artemon.model.resource import Resource
from artemon.model.tolerant import decode_tolerantly
from artemon.validate import Context, problems, untranslated
from artemon.validate.exposure import TcpPort, tcp_ports
from artemon.validate.references import dangling

STDIN = "-"
SUFFIXES = frozenset({".yaml", ".yml", ".json"})

KUBERNETES: Mapping[str, frozenset[str]] = {
    group: frozenset(names.split())
    for group, names in {
        "": "Service Endpoints Pod Namespace Node ConfigMap Secret ServiceAccount Event PersistentVolume "
        "PersistentVolumeClaim ReplicationController LimitRange ResourceQuota PodTemplate",
        "apps": "Deployment StatefulSet DaemonSet ReplicaSet ControllerRevision",
        "batch": "Job CronJob",
        "autoscaling": "HorizontalPodAutoscaler",
        "policy": "PodDisruptionBudget",
        "extensions": "Deployment Ingress",
        "networking.k8s.io": "IngressClass NetworkPolicy",
        "discovery.k8s.io": "EndpointSlice",
        "rbac.authorization.k8s.io": "Role RoleBinding ClusterRole ClusterRoleBinding",
        "apiextensions.k8s.io": "CustomResourceDefinition",
        "admissionregistration.k8s.io": "MutatingWebhookConfiguration ValidatingWebhookConfiguration",
        "coordination.k8s.io": "Lease",
        "scheduling.k8s.io": "PriorityClass",
        "storage.k8s.io": "StorageClass",
    }.items()
}
"""API group -> kinds that belong to the platform; the mesh has nothing to say about them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of one object. document: from 1, 0 for the whole file; path: empty for the whole object."""

    file: str
    document: int
    kind: str
    namespace: str
    name: str
    path: str
    level: Literal["error", "warning"]
    message: str

    def __str__(self) -> str:
        subject = "/".join(word or "?" for word in (self.kind, self.namespace, self.name))
        document = f": document {self.document}" if self.document else ""
        place = subject if self.kind else f"{self.file}{document}"
        words = [place, self.path, "warning" if self.level == "warning" else "", self.message]
        return ": ".join(word for word in words if word)


@dataclass(slots=True)
class Report:
    """What was found in one file. objects: how many of the mesh's kinds; foreign: what was passed over."""

    file: str
    objects: int = 0
    findings: list[Finding] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    read: list[tuple[int, Resource[Message]]] = field(default_factory=list, repr=False)
    """The objects that are valid, with the document that they are in."""
    raw: list[Mapping[str, Any]] = field(default_factory=list, repr=False)
    """The same as they are written, but with their namespaces."""

    def add(self, document: int, subject: str, found: Iterable[Problem]) -> None:
        """Problems of the object `<kind>/<namespace>/<name>`."""
        kind, owner, name = subject.split("/", 2)
        self.findings += (
            Finding(self.file, document, kind, owner, name, problem.path, problem.level, problem.message)
            for problem in found
        )

    @property
    def valid(self) -> bool:
        """Whether nothing in it is refused."""
        return all(finding.level != "error" for finding in self.findings)


def validate_paths(
    paths: Iterable[str], *, namespace: str, context: Context, mesh: MeshConfig | None = None
) -> Iterator[Report]:
    """A report for each file that `paths` name; `-` is standard input, folders are read with all below.
    mesh: MeshConfig where it is known."""
    for path in paths:
        for file in [path] if path == STDIN else _files(Path(path)):
            try:
                text = sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "is not text in UTF-8"
                finding = Finding(file, 0, "", "", "", "", "error", f"cannot be read: {reason}")
                yield Report(file, findings=[finding])
            else:
                yield validate_text(text, file, namespace=namespace, context=context, mesh=mesh)


def _files(path: Path) -> list[str]:
    if not path.is_dir():
        return [str(path)]
    return sorted(str(file) for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())


def validate_text(
    text: str, file: str, *, namespace: str, context: Context, mesh: MeshConfig | None = None
) -> Report:
    """The report on one stream of YAML documents (JSON is YAML)."""
    report = Report(file)
    for document in yaml_text.parse(text):
        found = [Problem(f"line {line}", why) for line, why in document.problems]
        objects, refused = unwrap(document.value) if not found else ([], [])
        for problem in found + refused:
            report.findings.append(
                Finding(file, document.index, "", "", "", problem.path, "error", problem.message)
            )
        for obj in objects:
            _validate(obj, document.index, report, namespace=namespace, context=context)
    _twice(report)
    known = Together.of([resource for _, resource in report.read], report.raw, mesh)
    for index, resource in report.read:
        report.add(index, resource.ref, dangling(resource, known))
    _rules(report, mesh or MeshConfig())
    return report


def _twice(report: Report) -> None:
    """kubectl would take the later one; `meshctl apply`, where all is one transaction, takes neither."""
    first: dict[tuple[str, str], int] = {}
    for index, resource in report.read:
        key = (resource.kind.group, resource.ref)
        if key in first:
            reason = f"is in document {first[key]} already; meshctl apply refuses to write one object twice"
            report.add(index, resource.ref, [Problem("", reason, "warning")])
        first.setdefault(key, index)


def _rules(report: Report, mesh: MeshConfig) -> None:
    """What is wrong with rules of mixerd and what they use, as far as the file has it."""
    rules = [resource for _, resource in report.read if resource.kind in MIXER_KINDS]
    found = rulebook(rules, root=mesh.root_namespace).problems if rules else {}
    for index, resource in report.read:
        report.add(index, resource.ref, map(_perhaps_elsewhere, found.get(resource.ref, ())))


def _perhaps_elsewhere(problem: Problem) -> Problem:
    """What the file does not have may be in the mesh."""
    if problem.message.startswith(("there is no ", "unknown attribute ")):
        return Problem(problem.path, f"{problem.message}, unless the mesh has it", "warning")
    return problem


@dataclass(frozen=True, slots=True)
class Together:
    """Objects of one file as they are known to one another: there may be more elsewhere."""

    rules: Mapping[str, frozenset[str]]
    ports: Sequence[TcpPort] = ()
    config: MeshConfig | None = None
    whole: bool = False

    @classmethod
    def of(
        cls,
        resources: Iterable[Resource[Message]],
        raw: Sequence[Mapping[str, Any]],
        mesh: MeshConfig | None,
    ) -> Together:
        """The subsets of the DestinationRules among `resources`, by host; what `raw`, the same as written,
        tells of ports."""
        found: dict[str, frozenset[str]] = {}
        for one in resources:
            if isinstance(one.spec, DestinationRule):
                host = resolve(one.spec.host, one.meta.namespace)
                found[host] = found.get(host, frozenset()) | {subset.name for subset in one.spec.subsets}
        entries, machines = (
            [one for one in raw if one.get("kind") == kind.name] for kind in (SERVICE_ENTRY, WORKLOAD_ENTRY)
        )
        return cls(found, tuple(tcp_ports(entries, machines, ())), mesh)

    def gateways(self) -> None:
        """Not known."""

    def secrets(self) -> None:
        """Not known."""

    def way_out(self, _: str) -> str:
        """Not known."""
        return ""

    def hosts(self) -> None:
        """Not known."""

    def subsets(self) -> Mapping[str, frozenset[str]]:
        """Host -> names of subsets."""
        return self.rules

    def tcp_ports(self) -> Sequence[TcpPort]:
        """Of workloads that ServiceEntries in the file name or select."""
        return self.ports

    def mesh(self) -> MeshConfig | None:
        """MeshConfig, where it was given."""
        return self.config


def _validate(
    obj: dict[str, Any], document: int, report: Report, *, namespace: str, context: Context
) -> None:
    if is_kubernetes(obj):
        report.foreign.append(subject_of(obj, namespace=namespace))
        return
    report.objects += 1
    decoded = decode_tolerantly(obj, namespace=namespace)
    found = [*decoded.unknown, *decoded.wrong]
    if decoded.resource is not None:
        found += problems(decoded.resource, context)
        if all(problem.level != "error" for problem in found):
            found += untranslated(decoded.resource)
            report.read.append((document, decoded.resource))
            report.raw.append(
                {**obj, "metadata": {**obj["metadata"], "namespace": decoded.resource.meta.namespace}}
            )
    elif decoded.despite is not None:
        found += problems(decoded.despite, context)
    report.add(document, subject_of(obj, namespace=namespace), found)


def is_kubernetes(obj: Mapping[str, Any]) -> bool:
    """Whether an object belongs to the platform and not to the mesh."""
    group, _, _ = str(obj.get("apiVersion") or "/").rpartition("/")
    return str(obj.get("kind")) in KUBERNETES.get(group, ())
