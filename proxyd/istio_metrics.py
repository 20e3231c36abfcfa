"""Envoy's metrics under Istio's names: what is counted with one label is taken apart when asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from artemon.model.metric_fields import (
    DESTINATION,
    EXPOSED,
    HTTP_ONLY,
    LABELS,
    PACKED,
    PEER_SEPARATOR,
    SEPARATOR,
    UNKNOWN,
    WITHOUT,
    WORKLOAD_PARTS,
    WRITTEN,
    Field,
)
from artemon.pki.subject import read_subject, text_in

_LINE = re.compile(rf'{EXPOSED}(\w+)\{{{PACKED}="((?:[^"\\]|\\.)*)"(.*)\}} (\S+)')
_TYPE = f"# TYPE {EXPOSED}"
_NAMESPACE = re.compile(r"spiffe://[^/,]+/ns/([^/,]+)/sa/")
_TCP = "istio_tcp_"
_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Own:
    """Whose proxy it is. subject: as in its certificate."""

    namespace: str
    subject: str


class IstioMetrics:
    """Translates the metrics of one Envoy. What it has read once it remembers."""

    def __init__(self, own: Own) -> None:
        self._own = {**_from_subject(own.subject), "namespace": own.namespace}
        self._texts: dict[tuple[str, bool], str] = {}

    def translated(self, text: str) -> str:
        """Envoy's metrics in Prometheus' text format, with Istio's labels for those that have `PACKED`.
        Counts that differ in labels that were taken away alone are added up."""
        out: dict[str, str] = {}
        lines: list[str] = []
        for line in text.split("\n"):
            if line.startswith(EXPOSED):
                self._add(line, out)
                continue
            if out:
                lines += [f"{name} {value}" for name, value in out.items()]
                out = {}
            lines.append("# TYPE " + line[len(_TYPE) :] if line.startswith(_TYPE) else line)
        lines += [f"{name} {value}" for name, value in out.items()]
        return "\n".join(lines)

    def _add(self, line: str, out: dict[str, str]) -> None:
        found = _LINE.fullmatch(line)
        if found is None:
            return
        name, packed, more, value = found.groups()
        labels = self._labels(packed, name.startswith(_TCP))
        if WRITTEN in more:
            labels, more = _written(labels, more)
        key = f"{name}{{{labels}{more}}}"
        out[key] = value if key not in out else _sum(out[key], value)

    def _labels(self, packed: str, tcp: bool) -> str:
        known = self._texts.get((packed, tcp))
        if known is None:
            if len(self._texts) >= _REMEMBERED:
                self._texts.clear()
            known = self._texts[packed, tcp] = self._text(packed, tcp)
        return known

    def _text(self, packed: str, tcp: bool) -> str:
        parts = packed.split(SEPARATOR, Field.SERVICE)
        head, *removed = parts[0].split(WITHOUT)
        values = self._values(head, parts + [""] * (Field.SERVICE + 1 - len(parts)), tcp)
        return ",".join(
            f'{name}="{values.get(name) or ("" if name in _EMPTY else UNKNOWN)}"'
            for name in LABELS
            if name not in removed and not (tcp and name in HTTP_ONLY)
        )

    def _values(self, head: str, fields: list[str], tcp: bool) -> dict[str, str]:
        inbound = head == DESTINATION
        peer = _from_certificate(fields) if inbound else _from_endpoint(fields[Field.WHO])
        source, destination = (peer, self._own) if inbound else (self._own, peer)
        theirs, ours = fields[Field.PEER], fields[Field.OWN]
        protocol = "tcp" if tcp else "grpc" if fields[Field.GRPC_STATUS] else "http"
        return {
            "reporter": "destination" if inbound else "source",
            **_named("source", source),
            **_named("destination", destination),
            **_service(fields[Field.SERVICE], fields[Field.AROUND]),
            "source_principal": theirs if inbound else ours,
            "destination_principal": ours if inbound else theirs,
            "request_protocol": protocol,
            "response_code": fields[Field.CODE] or "0",
            "grpc_response_status": fields[Field.GRPC_STATUS],
            "response_flags": fields[Field.FLAGS] or "-",
            "connection_security_policy": ("mutual_tls" if theirs else "none") if inbound else UNKNOWN,
        }


_EMPTY = frozenset({"grpc_response_status"})
"""Empty where there is none, as in Istio."""


def _named(end: str, workload: dict[str, str]) -> dict[str, str]:
    return {
        f"{end}_workload": workload.get("workload", ""),
        f"{end}_workload_namespace": workload.get("namespace", ""),
        f"{end}_app": workload.get("app", ""),
        f"{end}_version": workload.get("version", ""),
        f"{end}_cluster": workload.get("cluster", ""),
        f"{end}_canonical_service": workload.get("canonical_service", ""),
        f"{end}_canonical_revision": workload.get("canonical_revision", "") or "latest",
    }


def _from_subject(text: str) -> dict[str, str]:
    found = read_subject(text)
    return found._asdict() if found else {}


def _from_certificate(fields: list[str]) -> dict[str, str]:
    namespace = _NAMESPACE.match(fields[Field.PEER])
    return {**_from_subject(text_in(fields[Field.WHO])), "namespace": namespace[1] if namespace else ""}


def _from_endpoint(text: str) -> dict[str, str]:
    parts = text.split(PEER_SEPARATOR)
    return dict(zip(WORKLOAD_PARTS, parts, strict=True)) if len(parts) == len(WORKLOAD_PARTS) else {}


def _service(text: str, around: str) -> dict[str, str]:
    """A service of the mesh, or the host that was asked for."""
    host, *rest = text.split(SEPARATOR)
    name, namespace = rest if len(rest) == 2 else (around or host, "")
    found = {"service": host, "service_name": name, "service_namespace": namespace}
    return {f"destination_{part}": value for part, value in found.items()}


def _sum(first: str, second: str) -> str:
    total = float(first) + float(second)
    return str(int(total)) if total.is_integer() else repr(total)


def _written(labels: str, more: str) -> tuple[str, str]:
    """The labels with those that a Telemetry wrote, and what is left."""
    known = dict(_LABEL.findall(labels))
    rest = []
    for name, value in _LABEL.findall(more):
        if name.startswith(WRITTEN):
            known[name.removeprefix(WRITTEN)] = value or UNKNOWN
        else:
            rest.append(f',{name}="{value}"')
    return ",".join(f'{name}="{value}"' for name, value in known.items()), "".join(rest)


_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
