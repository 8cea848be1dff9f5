"""Times as rows of the results database, and back."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convsuite.bench.machine import Peaks
from convsuite.bench.records import Cell, Timing
from convsuite.case import Pass, identity

if TYPE_CHECKING:
    import sqlite3

    from convsuite.bench.engine import Untimed
    from convsuite.case import Case, Work

# `samples` holds float64 in the machine's order, seconds a call: numpy.frombuffer(samples)
SCHEMA = """
CREATE TABLE problem (
    run INTEGER NOT NULL REFERENCES run, case_id TEXT NOT NULL, operation TEXT NOT NULL, dtype TEXT NOT NULL,
    flops INTEGER NOT NULL, bytes INTEGER NOT NULL, repeats INTEGER NOT NULL, PRIMARY KEY (run, case_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE timing (
    run INTEGER NOT NULL REFERENCES run, case_id TEXT NOT NULL, pass TEXT NOT NULL, backend TEXT NOT NULL,
    device TEXT NOT NULL, threads INTEGER NOT NULL, mode TEXT NOT NULL, process INTEGER NOT NULL,
    first_s REAL NOT NULL, second_s REAL NOT NULL, median_s REAL NOT NULL, minimum_s REAL NOT NULL,
    number INTEGER NOT NULL, warmups INTEGER NOT NULL, settled INTEGER NOT NULL, memory_bytes INTEGER, others REAL,
    free_cores INTEGER NOT NULL, clock REAL, samples BLOB NOT NULL,
    PRIMARY KEY (run, case_id, pass, backend, device, threads, mode, process)
) STRICT, WITHOUT ROWID;
CREATE TABLE untimed (
    run INTEGER NOT NULL REFERENCES run, case_id TEXT NOT NULL, pass TEXT NOT NULL, backend TEXT NOT NULL,
    device TEXT NOT NULL, threads INTEGER NOT NULL, mode TEXT NOT NULL, reason TEXT NOT NULL
) STRICT;
CREATE TABLE peak (
    run INTEGER NOT NULL REFERENCES run, threads INTEGER NOT NULL, dtype TEXT NOT NULL,
    flops REAL NOT NULL, bytes REAL NOT NULL
) STRICT
"""

MORE_COLUMNS = """
ALTER TABLE timing ADD COLUMN workspace_bytes INTEGER;
ALTER TABLE problem ADD COLUMN digest TEXT
"""

ADD_PROBLEM = "INSERT OR IGNORE INTO problem VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
ADD_TIMING = "INSERT INTO timing VALUES (" + ", ".join("?" * 21) + ")"
TAKE_BACK = "DELETE FROM timing WHERE (run, case_id, pass, backend, device, threads) = (?, ?, ?, ?, ?, ?)"
ADD_UNTIMED = "INSERT INTO untimed VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
ADD_PEAK = "INSERT INTO peak VALUES (?, ?, ?, ?, ?)"
TIMINGS = "SELECT * FROM timing WHERE run = ? ORDER BY case_id, pass, backend, device, threads, mode, process"
PROBLEMS = "SELECT * FROM problem WHERE run = ?"
PEAKS = "SELECT * FROM peak WHERE run = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a case costs, and how often its network has it."""

    case_id: str
    operation: str
    dtype: str
    flops: int  # of one pass
    bytes: int
    repeats: int
    digest: str | None = None  # of all that is computed; None in a database that did not keep it


def problem_of(case: Case, work: Work) -> Problem:
    """Return a case as a problem to be timed."""
    return Problem(
        case_id=case.id,
        operation=case.operation,
        dtype=case.dtype,
        flops=work.flops,
        bytes=work.bytes,
        repeats=case.repeats,
        digest=hashlib.sha256(identity(case).encode()).hexdigest()[:16],
    )


def problem_row(run: int, p: Problem) -> tuple[Any, ...]:
    """Return a problem's row."""
    return (run, p.case_id, p.operation, p.dtype, p.flops, p.bytes, p.repeats, p.digest)


def timing_row(run: int, t: Timing) -> tuple[Any, ...]:
    """Return a time's row."""
    return (
        run, *_cell(t.cell), t.process, t.first_s, t.second_s, t.median, min(t.seconds), t.number, t.warmups,
        int(t.settled), t.memory_bytes, t.others, t.free_cores, t.clock, array("d", t.seconds).tobytes(),
        t.workspace_bytes,
    )  # fmt: skip


def taken_back(run: int, cell: Cell) -> tuple[Any, ...]:
    """Return whose times are to be taken back: a cell's, in all its modes."""
    return (run, *_cell(cell)[:-1])


def untimed_row(run: int, untimed: Untimed) -> tuple[Any, ...]:
    """Return the row of a cell that has no time."""
    return (run, *_cell(untimed.cell), untimed.reason)


def peak_row(run: int, peaks: Peaks) -> tuple[Any, ...]:
    """Return the row of what a machine can do."""
    return (run, peaks.threads, peaks.dtype, peaks.flops, peaks.bytes)


def timings_of(rows: Iterable[sqlite3.Row]) -> Iterator[Timing]:
    """Yield times from their rows."""
    for row in rows:
        samples = array("d")
        samples.frombytes(row["samples"])
        cell = Cell(
            case_id=row["case_id"], pass_=Pass(row["pass"]), backend=row["backend"], device=row["device"],
            threads=row["threads"], mode=row["mode"],
        )  # fmt: skip
        yield Timing(
            cell=cell, process=row["process"], first_s=row["first_s"], second_s=row["second_s"],
            seconds=tuple(samples), number=row["number"], warmups=row["warmups"], settled=bool(row["settled"]),
            memory_bytes=row["memory_bytes"], others=row["others"], free_cores=row["free_cores"],
            clock=row["clock"], workspace_bytes=row["workspace_bytes"],
        )  # fmt: skip


def problems_of(rows: Iterable[sqlite3.Row]) -> Iterator[Problem]:
    """Yield problems from their rows."""
    for row in rows:
        yield Problem(**{name: row[name] for name in Problem.__slots__})


def peaks_of(rows: Iterable[sqlite3.Row]) -> Iterator[Peaks]:
    """Yield what a machine can do from its rows."""
    for row in rows:
        yield Peaks(threads=row["threads"], dtype=row["dtype"], flops=row["flops"], bytes=row["bytes"])


def _cell(cell: Cell) -> tuple[Any, ...]:
    return (cell.case_id, cell.pass_.value, cell.backend, cell.device, cell.threads, cell.mode)
