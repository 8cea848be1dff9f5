"""Two runs compared, cell by cell: what became slower, what faster, and what nobody can say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convsuite import runs, terminal
from convsuite.bench import table, units
from convsuite.bench.estimate import DIFFERENCE, Ratio, Verdict, middle, ratio_of_runs
from convsuite.bench.records import Cell, Timing
from convsuite.bench.summary import Times
from convsuite.errors import StoreError
from convsuite.store import Store, read_store
from convsuite.wording import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from convsuite.bench.rows import Problem

EXIT_REGRESSION = 3
EXIT_NOISY = 4
_ABOUT = ("platform", "python", "numpy", "convsuite", "cpu", "cases_revision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two runs."""

    name: str
    times: Times
    state: str  # how the run ended
    about: tuple[tuple[str, str], ...]  # what may explain a difference: platform, versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One cell in both runs; `ratio` is the second's time over the first's: above 1 is slower."""

    cell: Cell
    before_s: float
    after_s: float
    ratio: Ratio

    @property
    def open(self) -> bool:
        """True where it may have become slower by more than 5 %, and may not."""
        high = self.ratio.interval[1]
        return self.ratio.verdict in (Verdict.NOISY, Verdict.ONE_PROCESS) or (
            self.ratio.verdict is Verdict.UNSURE and not high <= 1 + DIFFERENCE
        )


def run_compare(before: str, after: str, db: Path) -> int:
    """Compare two runs and return the exit code: 0, 3 where something became slower, 4 where noise hides it."""
    one, other = side(before, db), side(after, db)
    others = _other_problems(one.times, other.times)
    both = {cell: times for cell, times in one.times.cells.items() if cell.case_id not in others}
    changes = sorted(changed(both, other.times.cells), key=lambda c: -c.ratio.value)
    console = terminal.console_for(sys.stdout)
    for case_id in others:
        was, now = (_told(run.times.problems[case_id]) for run in (one, other))
        terminal.line(console, f"not compared: {case_id} is another problem in each: {was}, then {now}")
    if not changes:
        alike = "same case, pass, backend, threads and mode"
        raise StoreError(f"{one.name} and {other.name} have no time in common ({alike})")
    _print(console, one, other, changes)
    if any(c.ratio.verdict is Verdict.SLOWER for c in changes):
        return EXIT_REGRESSION
    return EXIT_NOISY if any(c.open for c in changes) else 0


def side(text: str, db: Path) -> Side:
    """Return a run that is named by its number, by `last`, or by FILE:NUMBER. Raise StoreError where there is none."""
    path, number = runs.split(text, db)
    with closing(read_store(path)) as store:
        run = runs.bench(number, store)
        (state,) = (row["state"] for row in store.rows("SELECT state FROM run WHERE id = ?", (run,)))
        name = f"run {run}" if path == db else f"{path}:{run}"
        return Side(name=name, times=Times.of_run(store, run), state=state, about=tuple(_about(store, run)))


def changed(before: dict[Cell, list[Timing]], after: dict[Cell, list[Timing]]) -> Iterator[Change]:
    """Yield the cells that both runs have."""
    for cell, old in before.items():
        if new := after.get(cell):
            yield Change(
                cell=cell,
                before_s=middle(old),
                after_s=middle(new),
                ratio=ratio_of_runs(new, old),
            )


def _other_problems(before: Times, after: Times) -> list[str]:
    """Return the cases that both runs have and whose definition changed in between."""
    both = [(before.problems[i], after.problems[i]) for i in before.problems if i in after.problems]
    return [one.case_id for one, other in both if _changed(one, other)]


def _changed(one: Problem, other: Problem) -> bool:
    if one.digest and other.digest:
        return one.digest != other.digest
    return (one.operation, one.dtype, one.flops, one.bytes) != (other.operation, other.dtype, other.flops, other.bytes)


def _told(problem: Problem) -> str:
    """Return the most of what a problem is."""
    work = f"{units.count(problem.flops, 'FLOP')}, {units.count(problem.bytes, 'B')}"
    return f"{problem.operation} in {problem.dtype}, {work}"


def _about(store: Store, run: int) -> Iterator[tuple[str, str]]:
    (row,) = store.rows("SELECT * FROM run WHERE id = ?", (run,))
    yield from ((name, str(row[name])) for name in _ABOUT)
    yield from json.loads(row["variables"]).items()
    yield from ((r["name"], r["versions"]) for r in store.rows("SELECT * FROM backend WHERE run = ?", (run,)))


def _print(console: Console, one: Side, other: Side, changes: Sequence[Change]) -> None:
    terminal.line(console, f"{other.name} against {one.name}: time after / time before, above 1 is slower")
    for run in (one, other):
        if run.state != "finished":
            terminal.line(console, f"  {run.name} was not finished: {run.state}")
    was, now = dict(one.about), dict(other.about)
    for name in [*was, *(name for name in now if name not in was)]:
        if was.get(name) != now.get(name):
            terminal.line(console, f"  {name} differs: {was.get(name, '(none)')} → {now.get(name, '(none)')}")
    shown = _table(changes)
    terminal.print_table(console, shown, shown)
    by = {v: sum(c.ratio.verdict is v for c in changes) for v in Verdict}
    parts = ", ".join(f"{n} {verdict.value}" for verdict, n in by.items() if n)
    terminal.line(console, f"\n{counted(len(changes), 'time')} in both runs: {parts}")
    for name, only in ((one.name, set(one.times.cells) - set(other.times.cells)),
                       (other.name, set(other.times.cells) - set(one.times.cells))):  # fmt: skip
        if only:
            terminal.line(console, f"{counted(len(only), 'time')} only in {name}")
    if not by[Verdict.SLOWER] and any(c.open for c in changes):
        number = sum(c.open for c in changes)
        alone = any(c.ratio.verdict is Verdict.ONE_PROCESS for c in changes)
        again = (
            "with --processes 5: nothing is known of how one differs from the next"
            if alone
            else "on a machine with nothing else to do"
        )
        terminal.line(console, f"too noisy to say of {number}: run both again, {again}")


def _table(changes: Sequence[Change]) -> Table:
    from rich.table import Table
    from rich.text import Text

    several = len({change.cell.threads for change in changes}) > 1
    found = Table(**terminal.LOOK)
    for title in ("case", "pass", "backend"):
        found.add_column(title, no_wrap=True)
    for title in ("before", "after", "after / before"):
        found.add_column(title, justify="right", no_wrap=True)
    found.add_column("", no_wrap=True)
    for c in changes:
        found.add_row(
            Text(c.cell.case_id), c.cell.pass_.value, Text(table.label(c.cell, several)), units.seconds(c.before_s),
            units.seconds(c.after_s), *table.ratio_cells(c.ratio),
        )  # fmt: skip
    return found
