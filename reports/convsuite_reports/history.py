"""The runs of one database over time: what began and ceased to fail, and how outcomes, errors and speed went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convsuite import runs
from convsuite.changes import Changes, changes
from convsuite_reports import runinfo, trends
from convsuite_reports.marks import FOUND, RIGHT, Mark
from convsuite_reports.runinfo import Run
from convsuite_reports.speeds import Speeds, speeds_over
from convsuite_reports.trends import Sums, Trend

if TYPE_CHECKING:
    from convsuite.store import Store

MOST = 12  # checks that have a row; those before are in the database
_DRAWN, _BENCHES = 30, 20  # checks and benches that are drawn; of a bench all samples are read
_COMPARED = 4  # of the newest pairs, what differs check by check


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
class History:
    """All of it, the newest first; drawings from left to right."""

    entries: tuple[Entry, ...]
    backends: tuple[str, ...]
    changes: tuple[Changes, ...]
    outcomes: tuple[Trend, ...]  # a backend each
    errors: tuple[Trend, ...]
    speeds: Speeds
    hidden: int  # checks that have no row


def history_of(store: Store, latest: Changes | None) -> History:
    """Return the history of a database; `latest` are the newest changes where they are known already."""
    every = runs.numbers(store, runs.CHECKS)
    told, drawn = every[-MOST:], every[-_DRAWN:]
    sums = trends.sums_of(store, drawn)
    those = [runinfo.run_of(store, number) for number in drawn]
    entries = [_entry(store, run, sums) for run in those[-MOST:]]
    again = len(drawn) > 1
    return History(
        entries=tuple(reversed(entries)),
        backends=tuple(sorted({name for entry in entries for name in entry.units})),
        changes=tuple(_changes(store, told, latest)),
        outcomes=trends.outcomes_over(those, sums) if again else (),
        errors=trends.errors_over(those, sums, trends.shares_of(store, drawn)) if again else (),
        speeds=speeds_over(store, _benches(store)),
        hidden=len(every) - len(told),
    )


def _changes(store: Store, told: Sequence[int], latest: Changes | None) -> Iterator[Changes]:
    """Yield what the newest checks changed, each beside the newest one before it that has some of its checks."""
    for number in reversed(told[-_COMPARED:]):
        if (before := runinfo.before(store, number)) is not None:
            yield _between(store, before, number, latest)


def _between(store: Store, before: int, after: int, latest: Changes | None) -> Changes:
    if latest is not None and (latest.before.name, latest.after.name) == (f"run {before}", f"run {after}"):
        return latest
    return changes((store, before, f"run {before}"), (store, after, f"run {after}"))


def _entry(store: Store, run: Run, sums: dict[tuple[int, str], Sums]) -> Entry:
    own = {name: each for (number, name), each in sums.items() if number == run.number}
    marks = _added(each.marks for each in own.values())
    return Entry(
        run=run,
        checks=marks.total(),
        right=sum(marks[mark] for mark in RIGHT),
        found=sum(marks[mark] for mark in FOUND) + len(store.stale(run.number)),
        known=marks[Mark.KNOWN],
        unsupported=marks[Mark.UNSUPPORTED],
        units={name: each.units for name, each in own.items() if each.units is not None},
    )


def _added(counts: Iterable[Counter[Mark]]) -> Counter[Mark]:
    whole: Counter[Mark] = Counter()
    for each in counts:
        whole += each
    return whole


def _benches(store: Store) -> list[Run]:
    return [runinfo.run_of(store, number) for number in runs.numbers(store, runs.WITH_TIMES)[-_BENCHES:]]
