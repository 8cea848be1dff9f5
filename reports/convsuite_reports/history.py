"""The runs of one database over time: what began and ceased to fail, and how errors and speed went."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from convsuite.bench import rows as bench_rows
from convsuite.bench import units
from convsuite.bench.estimate import is_unstable, middle
from convsuite.bench.summary import Times
from convsuite.changes import Changes, changes
from convsuite_reports import runinfo
from convsuite_reports.marks import FOUND, RIGHT, mark_of
from convsuite_reports.runinfo import Run

if TYPE_CHECKING:
    from convsuite.bench.records import Cell, Timing
    from convsuite.store import Store

MOST = 12  # runs that are told; those before are in the database
_COMPARED = 4  # of the newest pairs, what differs check by check
_SUMS = """SELECT backend, status, support, count(*) AS n,
    max(CASE WHEN status = 'passed' AND gate = 'guaranteed' THEN error_units END) AS units
    FROM outcome WHERE run = ? GROUP BY backend, status, support"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One check of the past."""

    run: Run
    checks: int
    right: int
    found: int
    known: int
    unsupported: int
    units: dict[str, float]  # worst error of a right answer, by backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """A backend in one bench, beside the bench before."""

    run: Run
    backend: str
    version: str
    times: int
    unstable: int
    ratio: str  # geometric mean over the cells that both have; "" for the first


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All of it, the newest first."""

    entries: tuple[Entry, ...]
    backends: tuple[str, ...]
    changes: tuple[Changes, ...]
    speeds: tuple[Speed, ...]
    hidden: int  # runs that are not told


def history_of(store: Store, latest: Changes | None) -> History:
    """Return the history of a database; `latest` are the newest changes where they are known already."""
    every = runinfo.checks(store, most=10**9)
    numbers = every[-MOST:]
    entries = [_entry(store, number) for number in numbers]
    pairs = list(pairwise(numbers))[-_COMPARED:]
    found = [_between(store, a, b, latest) for a, b in pairs]
    return History(
        entries=tuple(reversed(entries)),
        backends=tuple(sorted({name for entry in entries for name in entry.units})),
        changes=tuple(reversed(found)),
        speeds=tuple(reversed(_speeds(store))),
        hidden=len(every) - len(numbers),
    )


def _between(store: Store, before: int, after: int, latest: Changes | None) -> Changes:
    if latest is not None and (latest.before.name, latest.after.name) == (f"run {before}", f"run {after}"):
        return latest
    return changes((store, before, f"run {before}"), (store, after, f"run {after}"))


def _entry(store: Store, number: int) -> Entry:
    counts: Counter[str] = Counter()
    worst: dict[str, float] = {}
    for row in store.rows(_SUMS, (number,)):
        counts[mark_of(row["status"], row["support"])] += row["n"]
        if row["units"] is not None:
            worst[row["backend"]] = max(worst.get(row["backend"], 0.0), row["units"])
    return Entry(
        run=runinfo.run_of(store, number),
        checks=sum(counts.values()),
        right=sum(counts[mark] for mark in RIGHT),
        found=sum(counts[mark] for mark in FOUND),
        known=counts["K"],
        unsupported=counts["U"],
        units=worst,
    )


def _speeds(store: Store) -> list[Speed]:
    """Return each backend of each of the newest benches, beside the newest before it that has common cells."""
    numbers = [int(row[0]) for row in store.rows("SELECT DISTINCT run FROM timing ORDER BY run")][-MOST:]
    found: list[Speed] = []
    before: dict[Cell, list[Timing]] = {}
    for number in numbers:
        times = Times((), bench_rows.timings_of(store.rows(bench_rows.TIMINGS, (number,))))
        run = runinfo.run_of(store, number)
        versions = {b.name: b.version for b in run.backends}
        for backend in sorted({cell.backend for cell in times.cells}):
            own = {cell: each for cell, each in times.cells.items() if cell.backend == backend}
            shaky = sum(is_unstable(each) for each in own.values())
            ratios = [math.log(middle(each) / middle(before[cell])) for cell, each in own.items() if cell in before]
            told = units.digits(math.exp(sum(ratios) / len(ratios))) if ratios else ""
            found.append(
                Speed(
                    run=run, backend=backend, version=versions.get(backend, ""), times=len(own), unstable=shaky,
                    ratio=told,
                )
            )  # fmt: skip
        before = times.cells
    return found
