"""Results as pandas DataFrames, for notebooks. They are read, never written, and a column's unit is in its name.

A run is a number, or `last`; without one a frame has all runs. StoreError is raised where there is no such run.

>>> from convsuite_reports import outcomes
>>> df = outcomes("convsuite.db", run=3)
>>> df[df.status == "passed"].groupby(["backend", "dtype"], observed=True).error_units.max()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convsuite import runs
from convsuite.bench.machine import Peaks
from convsuite.bench.records import suite_of
from convsuite.bench.summary import Row, Times
from convsuite.store import Store, read_store
from convsuite_reports.needed import needed

if TYPE_CHECKING:
    import pandas as pd

_WORD, _COUNT, _REAL, _TRUTH, _TEXT = "category", "Int64", "float64", "boolean", "str"

OUTCOMES = {
    "run": _COUNT, "case_id": _TEXT, "operation": _WORD, "dtype": _WORD, "pass": _WORD, "backend": _WORD,
    "device": _WORD, "status": _WORD, "support": _WORD, "reason": _WORD, "message": _TEXT, "gate": _WORD,
    "terms": _COUNT, "compared": _COUNT, "wrong": _COUNT, "unchecked": _COUNT, "worst_index": _TEXT, "got": _REAL,
    "expected": _REAL, "error_units": _REAL, "guaranteed_share": _REAL, "expected_share": _REAL, "suspect": _TRUTH,
    "reproducible": _TRUTH, "accumulator": _WORD, "intermediate": _WORD, "intermediate_roundings": _COUNT,
    "tf32": _TRUTH, "numerics_note": _WORD, "digest": _TEXT, "known": _WORD, "seconds": _REAL,
}  # fmt: skip
_AGREEMENT = {
    "run": _COUNT, "operation": _WORD, "pass": _WORD, "left": _WORD, "right": _WORD, "compared": _COUNT,
    "identical": _COUNT, "identical_share": _REAL, "max_units": _REAL, "worst_case": _TEXT,
}  # fmt: skip
_TIMINGS = {
    "run": _COUNT, "suite": _WORD, "case_id": _TEXT, "operation": _WORD, "dtype": _WORD, "pass": _WORD,
    "backend": _WORD, "device": _WORD, "threads": _COUNT, "mode": _WORD, "processes": _COUNT, "samples": _COUNT,
    "median_s": _REAL, "low_s": _REAL, "high_s": _REAL, "minimum_s": _REAL, "spread": _REAL, "first_s": _REAL,
    "second_s": _REAL, "memory_bytes": _COUNT, "flops": _COUNT, "bytes": _COUNT, "repeats": _COUNT,
    "flops_per_s": _REAL, "bytes_per_s": _REAL, "peak_share": _REAL, "copy_share": _REAL, "unstable": _TEXT,
}  # fmt: skip

_WAY = "all with run=None"

OUTCOME_ROWS = """SELECT outcome.*, terms FROM outcome LEFT JOIN terms USING (run, case_id, pass) WHERE {}
    ORDER BY run, case_id, pass, backend"""
_AGREEMENT_ROWS = """SELECT *, CAST(identical AS REAL) / compared AS identical_share FROM agreement WHERE {}
    ORDER BY run, operation, pass, left, right"""


def outcomes(db: str | Path, run: int | str | None = None) -> pd.DataFrame:
    """Return a row for each pass of each case on each backend, of one run or of all.

    The columns are those of the table `outcome` (docs/judging.md) and `terms`, K: how many products one element sums;
    missing where nothing was summed, and in databases that an older convsuite wrote.
    """
    with closing(read_store(Path(db))) as store:
        return _frame(OUTCOMES, _rows(store, OUTCOME_ROWS, run, OUTCOMES))


def agreement(db: str | Path, run: int | str | None = None) -> pd.DataFrame:
    """Return a row for each pair of backends (`left`, `right`) by operation and pass, of one run or of all.

    `compared` pairs of right answers, `identical` of them bit for bit, `identical_share` that as a share, `max_units`
    the largest difference in u·B, and `worst_case`, where that was.
    """
    with closing(read_store(Path(db))) as store:
        return _frame(_AGREEMENT, _rows(store, _AGREEMENT_ROWS, run, _AGREEMENT))


def timings(db: str | Path, run: int | str | None = None) -> pd.DataFrame:
    """Return a row for each time (a pass of a case on a backend with so many threads in a mode), of one run or of all.

    `median_s` is the median of the processes' medians, in seconds a call, `low_s` to `high_s` its 95 % interval
    (missing for one process), `minimum_s` the least sample, `spread` IQR / median, `first_s` and `second_s` the first
    two calls; `flops` and `bytes` are of one pass, `flops_per_s` and `bytes_per_s` follow from the median, `peak_share`
    and `copy_share` are over what the machine did at most. `unstable` says why a time cannot be trusted; empty where it
    can. `repeats` is how often the network has the layer.
    """
    with closing(read_store(Path(db))) as store:
        return _frame(_TIMINGS, list(_times(store, run)))


def _frame(columns: Mapping[str, str], found: list[tuple[Any, ...]]) -> pd.DataFrame:
    pandas = needed("pandas", "a DataFrame")
    frame: pd.DataFrame = pandas.DataFrame(found, columns=list(columns))
    return frame.astype(dict(columns))


def _rows(store: Store, query: str, run: int | str | None, columns: Mapping[str, str]) -> list[tuple[Any, ...]]:
    where, values = "1", tuple[int, ...]()
    if run is not None:
        where, values = "run = ?", (runs.check(str(run), store, _WAY),)
    return [tuple(row[name] for name in columns) for row in store.rows(query.format(where), values)]


def _times(store: Store, run: int | str | None) -> Iterator[tuple[Any, ...]]:
    for number in runs.numbers(store, runs.WITH_TIMES) if run is None else [runs.bench(str(run), store, _WAY)]:
        for row in times_of(store, number).rows(base=""):
            yield _time(number, row)


def times_of(store: Store, run: int) -> Times:
    """Return all times of a run, with what its machine can do: the best of all rounds."""
    found = Times.of_run(store, run)
    found.peaks = list(_best(found.peaks))
    return found


def _best(peaks: list[Peaks]) -> Iterator[Peaks]:
    """Yield what the machine did at most for each number of threads and dtype."""
    which = attrgetter("threads", "dtype")
    for (threads, dtype), each in groupby(sorted(peaks, key=which), key=which):
        measured = list(each)
        yield Peaks(
            threads=threads, dtype=dtype, flops=max(p.flops for p in measured), bytes=max(p.bytes for p in measured)
        )


def _time(run: int, row: Row) -> tuple[Any, ...]:
    cell, problem, e = row.cell, row.problem, row.estimate
    return (
        run, suite_of(cell.case_id), cell.case_id, problem.operation, problem.dtype, cell.pass_.value, cell.backend,
        cell.device, cell.threads, cell.mode, e.processes, e.samples, e.median, *e.interval, e.minimum, e.spread,
        e.first_s, e.second_s, e.memory_bytes, problem.flops, problem.bytes, problem.repeats, row.flops, row.bytes,
        row.peak_share, row.copy_share, "; ".join(e.unstable),
    )  # fmt: skip
