"""How speed went over the benches of a database, by backend and suite."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING

from convsuite.bench import rows, units
from convsuite.bench.estimate import is_unstable, middle
from convsuite.bench.records import HOT, Cell, suite_of
from convsuite_reports.overtime import Line, Point
from convsuite_reports.runinfo import Run
from convsuite_reports.trends import Trend, trend_of

if TYPE_CHECKING:
    from convsuite.store import Store

_CHARTS = 6  # suites that have one


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """A backend in one bench, beside what was timed before."""

    run: Run
    backend: str
    version: str
    times: int
    unstable: int
    ratio: str  # geometric mean over the cells that were timed before; "" where none was


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """How speed went."""

    lines: tuple[Speed, ...]  # the newest first
    trends: tuple[Trend, ...]
    hidden: int  # suites without a chart, though they were timed more than once


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One cell in one bench. A problem that changed is another, though its name is the same."""

    cell: Cell
    problem: str
    cpu: str
    median_s: float
    unstable: bool

    @property
    def backend(self) -> str:
        """The backend, and where it computed if that is not the CPU."""
        return self.cell.backend if self.cell.device == "cpu" else f"{self.cell.backend} on {self.cell.device}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where some times lead: `level` is 1 where it began; `ratio` to the times before, None where there are none."""

    level: float
    ratio: float | None


@dataclass(slots=True)
class Chain:
    """The speed of one backend, from bench to bench.

    Each time is compared with the newest one of the same cell. The geometric mean of the ratios leads from the level
    that was then to the level now, so that a bench of a part of the cells says how that part went.
    """

    last: dict[tuple[Cell, str, str], tuple[float, float]] = field(default_factory=dict)  # cell: time, log of the level

    def step(self, times: Iterable[Timed]) -> Step:
        """Add the times of one more bench."""
        own = {(t.cell, t.problem, t.cpu): t.median_s for t in times}
        ratios = {key: math.log(own[key] / self.last[key][0]) for key in own if key in self.last}
        levels = [self.last[key][1] + ratio for key, ratio in ratios.items()]
        level = _mean(levels) if levels else 0.0
        self.last.update({key: (seconds, level) for key, seconds in own.items()})
        return Step(level=math.exp(level), ratio=math.exp(_mean(ratios.values())) if ratios else None)


def _mean(values: Iterable[float]) -> float:
    each = list(values)
    return sum(each) / len(each)


def speeds_over(store: Store, runs: Sequence[Run]) -> Speeds:
    """Return how the times of some benches, the oldest first, went: a chart of each suite that was timed again."""
    whole: dict[str, Chain] = {}  # by backend
    hot: dict[tuple[str, str], Chain] = {}  # by suite and backend, as the points
    points: dict[tuple[str, str], list[Point]] = {}
    lines: list[Speed] = []
    for at, run in enumerate(runs):
        for backend, times in _by(_timed(store, run), lambda t: t.backend):
            lines.append(_speed(run, backend, times, whole.setdefault(backend, Chain()).step(times)))
            for suite, own in _by([t for t in times if t.cell.mode == HOT], lambda t: suite_of(t.cell.case_id)):
                step = hot.setdefault((suite, backend), Chain()).step(own)
                points.setdefault((suite, backend), []).append(_point(at, run, backend, own, step))
    again = sorted({suite for (suite, _), those in points.items() if len(those) > 1})
    trends = tuple(_trend(suite, points, runs, sorted(whole)) for suite in again[:_CHARTS])
    return Speeds(lines=tuple(reversed(lines)), trends=trends, hidden=len(again) - len(trends))


def _timed(store: Store, run: Run) -> Iterator[Timed]:
    """Yield the cells of a bench. Only one has its samples in memory at a time."""
    problems = {p.case_id: p for p in rows.problems_of(store.rows(rows.PROBLEMS, (run.number,)))}
    timings = rows.timings_of(store.rows(rows.TIMINGS, (run.number,)))
    for cell, each in groupby(timings, key=lambda t: t.cell):
        times, p = list(each), problems[cell.case_id]
        if middle(times) <= 0:  # of a clock too coarse for it: no ratio can be said
            continue
        yield Timed(
            cell=cell, problem=p.digest or f"{p.operation} {p.dtype} {p.flops} {p.bytes}", cpu=run.cpu,
            median_s=middle(times), unstable=is_unstable(times),
        )  # fmt: skip


def _by(times: Iterable[Timed], of: Callable[[Timed], str]) -> Iterator[tuple[str, list[Timed]]]:
    for name, each in groupby(sorted(times, key=of), key=of):
        yield name, list(each)


def _speed(run: Run, backend: str, times: Sequence[Timed], step: Step) -> Speed:
    versions = {b.name: b.version for b in run.backends}
    return Speed(
        run=run, backend=backend, version=versions.get(times[0].cell.backend, ""), times=len(times),
        unstable=sum(t.unstable for t in times), ratio="" if step.ratio is None else units.digits(step.ratio),
    )  # fmt: skip


def _point(at: int, run: Run, backend: str, times: Sequence[Timed], step: Step) -> Point:
    """Return a bench's point: hollow where most of its times cannot be trusted."""
    shaky = sum(t.unstable for t in times)
    told = f"{backend}, run {run.number}, {run.when}: {units.digits(step.level)} × the first, {len(times)} times"
    return Point(
        at=at, y=step.level, label=told + (f", {shaky} unstable" if shaky else ""), faint=2 * shaky > len(times),
        apart=step.ratio is None,
    )  # fmt: skip


def _trend(
    suite: str, points: dict[tuple[str, str], list[Point]], runs: Sequence[Run], backends: Sequence[str]
) -> Trend:
    """Return the chart of a suite, over the benches that timed it."""
    own = {backend: those for (of, backend), those in points.items() if of == suite}
    here = sorted({point.at for those in own.values() for point in those})
    lines = [
        Line(name=b, number=i, points=tuple(replace(p, at=here.index(p.at)) for p in own.get(b, ())))
        for i, b in enumerate(backends)
    ]
    return trend_of(
        f"{suite}, lower is faster", "time, × the first", [runs[at] for at in here], lines, origin=1
    )  # fmt: skip
