"""What the times of a run come to: cell by cell, with work and shares of the machine's peaks, and suite by suite."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convsuite.bench import rows
from convsuite.bench.estimate import Estimate, Ratio, estimate, mean_ratio, middle, ratio
from convsuite.bench.records import suite_of

if TYPE_CHECKING:
    from convsuite.bench.machine import Peaks
    from convsuite.bench.records import Cell, Timing
    from convsuite.bench.rows import Problem
    from convsuite.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A cell with all that is shown of it."""

    cell: Cell
    problem: Problem
    estimate: Estimate
    flops: float  # FLOP/s
    bytes: float  # bytes/s, by what must be read and written at least
    peak_share: float | None  # of the machine's matrix product
    copy_share: float | None
    ratio: Ratio | None  # to the base's time; None for the base itself, and where it has none


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A suite in one pass, number of threads and mode, on one backend."""

    suite: str
    cell: Cell  # any of its cells: pass, backend, device, threads and mode are those of all
    seconds: float  # Σ repeats × median
    problems: int
    of: int  # problems that any backend has a time of
    ratio: Ratio | None  # geometric mean of the ratios, over the problems that both have


class Times:
    """All times of a run, or those so far, found by their case."""

    def __init__(self, problems: Iterable[Problem], timings: Iterable[Timing] = ()) -> None:
        self.problems = {problem.case_id: problem for problem in problems}
        self.peaks: list[Peaks] = []
        self._by_case: dict[str, dict[Cell, list[Timing]]] = {}
        for timing in timings:
            self.add(timing)

    def add(self, timing: Timing) -> None:
        """Add the time of a cell in one more process."""
        cells = self._by_case.setdefault(timing.cell.case_id, {})
        cells.setdefault(timing.cell, []).append(timing)

    def take_back(self, cell: Cell) -> None:
        """Forget all times of a cell, in whatever mode: its answer was wrong."""
        cells = self._by_case.get(cell.case_id, {})
        for other in [other for other in cells if replace(other, mode=cell.mode) == cell]:
            del cells[other]

    @staticmethod
    def of_run(store: Store, run: int) -> Times:
        """Return the times of a run that is in a database."""
        problems = rows.problems_of(store.rows(rows.PROBLEMS, (run,)))
        found = Times(problems, rows.timings_of(store.rows(rows.TIMINGS, (run,))))
        found.peaks += rows.peaks_of(store.rows(rows.PEAKS, (run,)))
        return found

    @property
    def cells(self) -> dict[Cell, list[Timing]]:
        """Each cell's times, one a process."""
        return {cell: times for cells in self._by_case.values() for cell, times in cells.items()}

    def rows(self, base: str, case_id: str | None = None) -> Iterator[Row]:
        """Yield the cells, of one case or of all, in the order in which they were first timed."""
        chosen = self._by_case.values() if case_id is None else [self._by_case.get(case_id, {})]
        for cells in chosen:
            for cell, times in cells.items():
                yield self._row(cell, times, cells.get(replace(cell, backend=base)), base)

    def totals(self, base: str) -> Iterator[Total]:
        """Yield what suites come to."""
        times = self.cells
        groups: dict[tuple[str, Cell], dict[str, list[Cell]]] = {}  # what is alike but for problem and backend
        for cell in times:
            alike = replace(cell, case_id="", backend="")
            groups.setdefault((suite_of(cell.case_id), alike), {}).setdefault(cell.backend, []).append(cell)
        for (suite, _), backends in groups.items():
            of = len({cell.case_id for cells in backends.values() for cell in cells})
            for cells in backends.values():
                yield self._total(suite, cells, of, times, base)

    def _total(self, suite: str, cells: list[Cell], of: int, times: dict[Cell, list[Timing]], base: str) -> Total:
        pairs = [(times[c], times.get(replace(c, backend=base), [])) for c in cells]
        both = [(ours, theirs) for ours, theirs in pairs if theirs]
        return Total(
            suite=suite,
            cell=cells[0],
            seconds=sum(self.problems[c.case_id].repeats * middle(times[c]) for c in cells),
            problems=len(cells),
            of=of,
            ratio=mean_ratio(both) if both and cells[0].backend != base else None,
        )

    def _row(self, cell: Cell, times: Sequence[Timing], theirs: Sequence[Timing] | None, base: str) -> Row:
        problem, found = self.problems[cell.case_id], estimate(times)
        flops, moved = problem.flops / found.median, problem.bytes / found.median
        peaks = [p for p in self.peaks if p.threads == cell.threads and cell.device == "cpu"]
        dtype = "float64" if problem.dtype == "float64" else "float32"  # in which halves are computed, too
        return Row(
            cell=cell,
            problem=problem,
            estimate=found,
            flops=flops,
            bytes=moved,
            peak_share=_share(flops, [p.flops for p in peaks if p.dtype == dtype]),
            copy_share=_share(moved, [p.bytes for p in peaks]),
            ratio=ratio(times, theirs) if theirs and cell.backend != base else None,
        )


def _share(rate: float, peaks: list[float]) -> float | None:
    return rate / max(peaks) if peaks and math.isfinite(rate) else None
