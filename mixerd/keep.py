"""Recent lines and spans in SQLite, written in batches, bounded by age and number."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from mixerd.records import Call, Span

_CALLS = ", ".join(f'"{name}"' for name in Call._fields)
_SPANS = ", ".join(f'"{name}"' for name in Span._fields)
_SCHEMA = f"""
create table if not exists calls (id integer primary key, {_CALLS});
create index if not exists calls_at on calls ("at");
create table if not exists spans (id integer primary key, {_SPANS});
create index if not exists spans_trace on spans ("trace");
create index if not exists spans_start on spans ("start");
"""
_TRACES = (
    'select "trace", min("start") as "start", count(*) as "spans", sum("failed") as "failed", '
    '(max("start" + "duration" * 1000000) - min("start")) / 1000000.0 as "duration", '
    'count(distinct "service") as "services" '
    'from spans {} group by "trace" order by "start" desc limit ?'
)
_NUMBERS = frozenset({"code", "encrypted"})
Row = dict[str, Any]


class Keep:
    """The file. Its methods block; one thread at a time may be in it."""

    def __init__(self, path: Path, *, rows: int, seconds: float) -> None:
        self._rows = rows
        self._seconds = seconds
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.execute("pragma journal_mode=wal")
        self._database.execute("pragma synchronous=off")  # what is kept may be lost with the machine
        self._database.execute("pragma auto_vacuum=incremental")
        self._database.executescript(_SCHEMA)

    def write(self, calls: Sequence[Call], spans: Sequence[Span]) -> None:
        """Add rows, all or none."""
        with self._database as database:
            database.execute("begin")
            database.executemany(f"insert into calls ({_CALLS}) values ({_marks(Call)})", calls)  # noqa: S608
            database.executemany(f"insert into spans ({_SPANS}) values ({_marks(Span)})", spans)  # noqa: S608
            database.execute("commit")

    def trim(self, now: float) -> None:
        """Forget what is too old, and the oldest of what is too much."""
        before = now - self._seconds
        self._database.execute('delete from calls where "at" < ?', (before,))
        self._database.execute('delete from spans where "start" < ?', (int(before * 1e9),))
        for table in ("calls", "spans"):
            self._database.execute(
                f"delete from {table} where id <= (select max(id) from {table}) - ?",  # noqa: S608
                (self._rows,),
            )
        self._database.execute("pragma incremental_vacuum(1000)")

    def calls(self, where: dict[str, str], namespaces: Collection[str] | None, limit: int) -> list[Row]:
        """The latest lines first. where: exact values by field; `service`, which may begin with its namespace
        and a slash, is of either end."""
        terms, values = _within("namespace", namespaces, "source_namespace")
        for name, value in where.items():
            if name == "service":
                ends = [_named(value, "namespace", "service"), _named(value, "source_namespace", "source")]
                terms.append(f"({' or '.join(term for term, _ in ends)})")
                values += [one for _, named in ends for one in named]
            elif name in Call._fields:
                terms.append(f'"{name}" = ?')
                values.append(int(value) if value.isdecimal() and name in _NUMBERS else value)
        return self._read("calls", terms, values, "id desc", limit)

    def traces(self, service: str, namespaces: Collection[str] | None, limit: int) -> list[Row]:
        """The latest traces: when they began, how long, how many spans, where they began."""
        terms, values = _within("namespace", namespaces)
        if service:
            term, named = _named(service, "namespace", "service")
            terms.append(f'"trace" in (select "trace" from spans where {term})')  # noqa: S608
            values += named
        chosen = f"where {' and '.join(terms)}" if terms else ""
        rows = self._database.execute(_TRACES.format(chosen), (*values, limit))
        return [self._begun(dict(row)) for row in rows.fetchall()]

    def _begun(self, row: Row) -> Row:
        first = self._database.execute(
            'select "service", "namespace", "name" from spans where "trace" = ? order by "start" limit 1',
            (row["trace"],),
        ).fetchone()
        return {**row, **dict(first)}

    def trace(self, trace: str, namespaces: Collection[str] | None) -> list[Row]:
        """The spans of one trace, the earliest first."""
        terms, values = _within("namespace", namespaces)
        return self._read("spans", ['"trace" = ?', *terms], [trace, *values], '"start"', 2000)

    def _read(
        self, table: str, terms: Sequence[str], values: Sequence[Any], order: str, limit: int
    ) -> list[Row]:
        chosen = f"where {' and '.join(terms)}" if terms else ""
        sql = f"select * from {table} {chosen} order by {order} limit ?"  # noqa: S608
        return [dict(row) for row in self._database.execute(sql, (*values, limit)).fetchall()]

    def close(self) -> None:
        """Let the file go."""
        self._database.close()


def _marks(kind: type[Call] | type[Span]) -> str:
    return ", ".join("?" * len(kind._fields))


def _named(service: str, space: str, field: str) -> tuple[str, list[str]]:
    """The term for a service, of one namespace where it is told."""
    namespace, slash, name = service.rpartition("/")
    return (f'("{space}" = ? and "{field}" = ?)', [namespace, name]) if slash else (f'"{field}" = ?', [name])


def _within(field: str, namespaces: Collection[str] | None, other: str = "") -> tuple[list[str], list[Any]]:
    if namespaces is None:
        return [], []
    marks, values = ", ".join("?" * len(namespaces)), sorted(namespaces)
    terms = [f'"{one}" in ({marks})' for one in (field, other) if one]
    return [f"({' or '.join(terms)})"], values * len(terms)
