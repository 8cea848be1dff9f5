"""The results database: one SQLite file, one transaction a report, so that a killed run keeps all that it had finished.

Tables: `run` (one row a run, with its environment), `backend` (what took part), `outcome` (a row for each pass of each
case on each backend), `agreement` (pairs of backends, summed up per operation and pass); of benches also `problem`,
`timing`, `untimed` and `peak`, which `bench.rows` describes; for reports `terms` and `evidence`, which `evidence` does;
`stale`, entries of lists of known failures that match no case.
An outcome is never overwritten: a second one of the same pass, case and backend in one run is refused. Only agreement's
sums grow, a run is closed, and times are taken back whose answer turns out to be wrong.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from convsuite import evidence
from convsuite.bench.rows import MORE_COLUMNS as _MORE_COLUMNS
from convsuite.bench.rows import SCHEMA as _BENCH_SCHEMA
from convsuite.errors import StoreError

if TYPE_CHECKING:
    from convsuite.case import Agreement, Outcome
    from convsuite.environment import Environment
    from convsuite.lane import Lane
    from convsuite.run import Report

SCHEMA_VERSION = 5
_APPLICATION = 0x636F6E76  # "conv"
_MAGIC = b"SQLite format 3\0"
_WAIT_S = 10.0  # for another process that writes

_SCHEMA = """
CREATE TABLE run (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, finished TEXT, state TEXT NOT NULL, command TEXT NOT NULL,
    platform TEXT, python TEXT, numpy TEXT, convsuite TEXT, cpu TEXT, isa TEXT, cores INTEGER, threads INTEGER,
    variables TEXT, cases_revision TEXT
) STRICT;
CREATE TABLE backend (
    run INTEGER NOT NULL REFERENCES run, name TEXT NOT NULL, device TEXT NOT NULL, state TEXT NOT NULL,
    versions TEXT NOT NULL, environment TEXT NOT NULL, import_s REAL, PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE outcome (
    run INTEGER NOT NULL REFERENCES run, case_id TEXT NOT NULL, operation TEXT NOT NULL, dtype TEXT NOT NULL, pass
    TEXT NOT NULL,
    backend TEXT NOT NULL, device TEXT NOT NULL, status TEXT NOT NULL, support TEXT NOT NULL, reason TEXT NOT NULL,
    message TEXT NOT NULL, gate TEXT, compared INTEGER, wrong INTEGER, unchecked INTEGER, worst_index TEXT, got REAL,
    expected REAL, error_units REAL, guaranteed_share REAL, expected_share REAL, suspect INTEGER NOT NULL,
    reproducible INTEGER, accumulator TEXT, intermediate TEXT, intermediate_roundings INTEGER, tf32 INTEGER,
    numerics_note TEXT, digest TEXT NOT NULL, known TEXT NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (run, case_id, pass, backend)
) STRICT, WITHOUT ROWID;
CREATE TABLE agreement (
    run INTEGER NOT NULL REFERENCES run, operation TEXT NOT NULL, pass TEXT NOT NULL, left TEXT NOT NULL, right TEXT
    NOT NULL,
    compared INTEGER NOT NULL, identical INTEGER NOT NULL, max_units REAL NOT NULL, worst_case TEXT NOT NULL,
    PRIMARY KEY (run, operation, pass, left, right)
) STRICT, WITHOUT ROWID;
"""

_STALE = """
CREATE TABLE stale (run INTEGER NOT NULL REFERENCES run, message TEXT NOT NULL) STRICT
"""

_VERSIONS = (_SCHEMA, _BENCH_SCHEMA, _MORE_COLUMNS, evidence.SCHEMA, _STALE)  # what each version added

_ADD_COLUMN = re.compile(r"ALTER TABLE (\w+) ADD COLUMN (\w+) \w+")

_RUN = """
INSERT INTO run (
    started, state, command, platform, python, numpy, convsuite, cpu, isa, cores, threads, variables, cases_revision
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_OUTCOME = "INSERT INTO outcome VALUES (" + ", ".join("?" * 31) + ")"
_AGREEMENT = """
INSERT INTO agreement VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?) ON CONFLICT DO UPDATE SET
    compared = compared + 1, identical = identical + excluded.identical,
    worst_case = CASE WHEN excluded.max_units > max_units THEN excluded.worst_case ELSE worst_case END,
    max_units = max(max_units, excluded.max_units)
"""


@dataclass(frozen=True, slots=True)
class Store:
    """An open results database."""

    path: Path
    connection: sqlite3.Connection

    def begin(self, environment: Environment, command: str) -> int:
        """Add a run and return its number."""
        e = environment
        row = (
            _now(), "running", command, e.platform, e.python, e.numpy, e.convsuite, e.cpu, " ".join(e.isa), e.cores,
            e.threads,
            _json(dict(e.variables)), e.cases_revision,
        )  # fmt: skip
        with self._transaction():
            cursor = self.connection.execute(_RUN, row)
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def add_lanes(self, run: int, lanes: list[Lane]) -> None:
        """Record which backends take part, and what they said of themselves."""
        rows = [
            (
                run, lane.name, lane.device, "ready" if lane.info else "unavailable",
                _json(dict(lane.info.versions) if lane.info else {}), _json(dict(lane.info.environment) if lane.info
                else {}),
                lane.info.import_s if lane.info else None,
            )
            for lane in lanes
        ]  # fmt: skip
        with self._transaction():
            self.connection.executemany("INSERT INTO backend VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def add_stale(self, run: int, messages: Iterable[str]) -> None:
        """Record the listed known failures that match no case, a sentence each."""
        self.add_rows("INSERT INTO stale VALUES (?, ?)", [(run, message) for message in messages])

    def stale(self, run: int) -> tuple[str, ...]:
        """Return what `add_stale` recorded of a run, in its order."""
        return tuple(row[0] for row in self.rows("SELECT message FROM stale WHERE run = ? ORDER BY rowid", (run,)))

    def add(self, run: int, report: Report) -> None:
        """Record all that became of one case, in one transaction."""
        with self._transaction():
            self.connection.executemany(_OUTCOME, [_outcome_row(run, o) for o in report.outcomes])
            self.connection.executemany(_AGREEMENT, [_agreement_row(run, a) for a in report.agreements])
            self.connection.executemany(evidence.ADD_TERMS, evidence.term_rows(run, report.case))
            self.connection.executemany(evidence.ADD, [evidence.row(run, e) for e in report.evidence])

    def add_rows(self, statement: str, values: Iterable[tuple[Any, ...]]) -> None:
        """Add rows, or take some back, in one transaction; a bench's statements are in `bench.rows`."""
        with self._transaction():
            self.connection.executemany(statement, values)

    def finish(self, run: int, state: str) -> None:
        """Close a run: `finished`, or `interrupted`."""
        with self._transaction():
            self.connection.execute("UPDATE run SET finished = ?, state = ? WHERE id = ?", (_now(), state, run))

    def rows(self, query: str, parameters: tuple[Any, ...] = ()) -> Iterator[sqlite3.Row]:
        """Yield the rows of a query."""
        with _explained(self.path):
            yield from self.connection.execute(query, parameters)

    def close(self) -> None:
        """Close the file; what was added is there already."""
        self.connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _explained(self.path), self.connection:
            yield


def open_store(path: Path) -> Store:
    """Open a results database, or make one. Raise StoreError where it is not ours to write; it is left as it is."""
    with _explained(path):
        if path.is_dir():
            raise StoreError(f"{path}: is a directory; name a file, e.g. --db {path / 'convsuite.db'}")
        if not path.parent.is_dir():
            raise StoreError(f"{path}: there is no folder {path.parent}; make it first, or name another with --db")
        return Store(path, _checked(path, sqlite3.connect(path, timeout=_WAIT_S), _prepare))


def read_store(path: Path) -> Store:
    """Open a results database to read, even where nothing can be written. Raise StoreError where it is not ours.

    Tables that its version did not have yet are there, and empty.
    """
    with _explained(path):
        if not path.is_file():
            raise StoreError(f"{path}: there is no such database; name one with --db")
        mode = "mode=ro"
        if not os.access(path.parent, os.W_OK):  # then SQLite must be told that nobody else writes, either
            mode += "&immutable=1"
            log = path.with_name(f"{path.name}-wal")
            if log.is_file() and log.stat().st_size:
                raise StoreError(
                    f"{path}: was not closed, and is where nobody can write: copy it and {log.name} elsewhere"
                )
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=_WAIT_S)
        return Store(path, _checked(path, connection, _stand_in))


def is_database(path: Path) -> bool:
    """Return whether a file is an SQLite database, which nothing but a store may write over."""
    try:
        if not path.is_file():  # a pipe would wait for its other end
            return False
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _checked(
    path: Path, connection: sqlite3.Connection, prepare: Callable[[sqlite3.Connection], None]
) -> sqlite3.Connection:
    connection.row_factory = sqlite3.Row
    try:
        _check(path, connection)
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse what is not ours, is newer than we are, or is damaged. Only reads."""
    if _tables(connection) and _pragma(connection, "application_id") != _APPLICATION:
        raise StoreError(f"{path}: is a database of another program; name another file with --db")
    version = _pragma(connection, "user_version")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: has schema version {version}, this convsuite knows up to {SCHEMA_VERSION}; "
            "update convsuite, or name another file with --db"
        )
    if _pragma(connection, "quick_check(1)") != "ok":  # about 2 s for a GB
        raise sqlite3.DatabaseError("malformed")


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables where there are none, under the write lock: two runs may begin at once.

    That is a first write, before any framework is loaded: a file that cannot be written is found out here.
    """
    _to_wal(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in _missing(connection):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.commit()


def _stand_in(connection: sqlite3.Connection) -> None:
    """Make the tables and columns of newer versions for this connection alone: it cannot write the file."""
    connection.execute("PRAGMA temp_store = MEMORY")
    for statement in _missing(connection):
        added = _ADD_COLUMN.fullmatch(statement.strip())
        if added and connection.execute("SELECT 1 FROM main.sqlite_master WHERE name = ?", (added[1],)).fetchone():
            statement = "CREATE TEMP VIEW {0} AS SELECT *, NULL AS {1} FROM main.{0}".format(*added.groups())
        connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE"))


def _missing(connection: sqlite3.Connection) -> list[str]:
    """Return the statements that bring a database from its version to ours."""
    version = _pragma(connection, "user_version")
    return [statement for schema in _VERSIONS[version:] for statement in schema.split(";")]


def _to_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging. SQLite itself does not always wait here for another that does the same."""
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.02)


def _tables(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors, and the system's, into one sentence with the way out."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened: {error.strerror}; name another file with --db") from None
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {_sentence(error)}") from None


def _sentence(error: sqlite3.Error) -> str:
    text = str(error)
    for part, sentence in (
        (
            "UNIQUE",
            f"refuses a second outcome of one pass, case and backend in one run ({text}); what is there is kept",
        ),
        (
            "locked",
            f"another process has it locked, for {_WAIT_S:g} s now; end it, or name another file with --db",
        ),
        ("not a database", "is not a database, and left as it is; name another file with --db"),
        ("malformed", "is damaged, and left as it is; name another file with --db, or try `sqlite3 FILE .recover`"),
        ("readonly", "cannot be written (read-only); change its permissions, or name another file with --db"),
        (
            "unable to open",
            "cannot be opened for writing; check the folder's permissions, or name another file with --db",
        ),
        ("full", "cannot grow: the disk is full; what was recorded before is kept"),
        ("disk I/O", "cannot be written: the disk reports an error; what was recorded before is kept"),
    ):
        if part in text:
            return sentence
    return text


def _outcome_row(run: int, o: Outcome) -> tuple[Any, ...]:
    v = o.verdict
    judged = (
        (v.gate, v.compared, v.wrong, v.unchecked, _index(v.worst_index), v.got, v.expected, v.error_units,
        v.guaranteed_share,
         v.expected_share, int(v.suspect))
        if v else (None,) * 10 + (0,)
    )  # fmt: skip
    n = o.numerics
    arithmetic = (n.accumulator, n.intermediate, n.intermediate_roundings, int(n.tf32), n.told) if n else (None,) * 5
    reproducible = None if o.reproducible is None else int(o.reproducible)
    return (
        run, o.case_id, o.operation, o.dtype, o.pass_.value, o.backend, o.device, o.status.value, o.support.level.value,
        o.support.reason, o.message, *judged, reproducible, *arithmetic, o.digest, o.known, o.seconds,
    )  # fmt: skip


def _agreement_row(run: int, a: Agreement) -> tuple[Any, ...]:
    units = math.inf if math.isnan(a.units) else a.units  # SQLite would make NULL of a NaN
    return (run, a.operation, a.pass_.value, a.left, a.right, int(a.identical), units, a.case_id)


def _index(index: tuple[int, ...] | None) -> str | None:
    return None if index is None else ",".join(map(str, index))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
