"""How outcomes and errors went over the checks of a database, by backend. SQL sums up: there may be a million."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from convsuite_reports import overtime
from convsuite_reports.marks import FOUND, RIGHT, Mark, mark_of
from convsuite_reports.overtime import Bar, Chart, Lane, Line, Point
from convsuite_reports.runinfo import Run

if TYPE_CHECKING:
    from convsuite.store import Store

_SUMS = """SELECT run, backend, status, support, count(*) AS n,
    max(CASE WHEN status = 'passed' AND gate = 'guaranteed' THEN error_units END) AS units
    FROM outcome WHERE run IN ({}) GROUP BY run, backend, status, support"""
# the median is of the answers with an error: most have none, and would say nothing of the others
_SHARES = """SELECT run, backend, max(share) AS most, avg(CASE WHEN place IN ((n + 1) / 2, n / 2 + 1) THEN share END) AS
    middle FROM (
        SELECT run, backend, guaranteed_share AS share,
            row_number() OVER (PARTITION BY run, backend ORDER BY guaranteed_share) AS place,
            count(*) OVER (PARTITION BY run, backend) AS n
        FROM outcome WHERE run IN ({}) AND status = 'passed' AND gate = 'guaranteed' AND guaranteed_share > 0
            AND guaranteed_share < 1e300
    ) GROUP BY run, backend"""


@dataclass(slots=True)
class Sums:
    """What one backend came to in one check."""

    marks: Counter[Mark]
    units: float | None = None  # the worst error of a right answer

    @property
    def checks(self) -> int:
        """Number of outcomes."""
        return self.marks.total()

    def of(self, *marks: Mark) -> int:
        """Return how many outcomes are one of these."""
        return sum(self.marks[mark] for mark in marks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of the proven bound the right answers of one backend use in one check."""

    most: float
    middle: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One chart."""

    caption: str
    drawn: Markup
    signs: tuple[tuple[int, str], ...] = ()  # number and name of each series


def sums_of(store: Store, numbers: Sequence[int]) -> dict[tuple[int, str], Sums]:
    """Return what each backend came to in each of some checks, by (run, backend)."""
    found: dict[tuple[int, str], Sums] = {}
    for row in store.rows(_SUMS.format(", ".join(map(str, numbers)))):
        sums = found.setdefault((row["run"], row["backend"]), Sums(Counter()))
        sums.marks[mark_of(row["status"], row["support"])] += row["n"]
        if row["units"] is not None:
            sums.units = max(sums.units or 0.0, row["units"])
    return found


def shares_of(store: Store, numbers: Sequence[int]) -> dict[tuple[int, str], Share]:
    """Return how much of the proven bound was used, by (run, backend)."""
    rows = store.rows(_SHARES.format(", ".join(map(str, numbers))))
    return {(row["run"], row["backend"]): Share(most=row["most"], middle=row["middle"]) for row in rows}


def outcomes_over(runs: Sequence[Run], sums: dict[tuple[int, str], Sums]) -> tuple[Trend, ...]:
    """Return bars of counts for each backend, all on the same scales."""
    most = max((s.of(*FOUND, Mark.KNOWN) for s in sums.values()), default=0)
    right = max((s.of(*RIGHT) for s in sums.values()), default=0)
    numbers = [run.number for run in runs]
    found = []
    for name in sorted({name for _, name in sums}):
        bars = list(_bars(name, runs, sums))
        lane = next(_lanes([name], runs), Lane(name="", versions=()))
        told = f"{name}: {'; '.join(bar.label for bar in dict.fromkeys((bars[0], bars[-1])))}"
        drawn = overtime.panel(told, numbers, bars, (most, right), lane)
        found.append(Trend(caption=name, drawn=drawn))
    return tuple(found)


def _bars(name: str, runs: Sequence[Run], sums: dict[tuple[int, str], Sums]) -> Iterator[Bar]:
    for at, run in enumerate(runs):
        if own := sums.get((run.number, name)):
            right, known, found = own.of(*RIGHT), own.of(Mark.KNOWN), own.of(*FOUND)
            words = f"run {run.number}, {run.when}: {found:,} found, {known:,} known to fail, {right:,} right"
            others = _is_of_others(name, run, sums)
            yield Bar(at=at, right=right, known=known, found=found, label=words, faint=others)


def _is_of_others(name: str, run: Run, sums: dict[tuple[int, str], Sums]) -> bool:
    """Return whether a run made another number of checks on a backend than its newest: then it is another selection."""
    newest = max(number for number, backend in sums if backend == name)
    return sums[run.number, name].checks != sums[newest, name].checks


def errors_over(
    runs: Sequence[Run], sums: dict[tuple[int, str], Sums], shares: dict[tuple[int, str], Share]
) -> tuple[Trend, ...]:
    """Return the largest share of the proven bound, and the median one, of each backend."""
    names = sorted({name for _, name in shares})

    def points(name: str, of: Callable[[Share], float]) -> Iterator[Point]:
        comparable = True
        for at, run in enumerate(runs):
            if share := shares.get((run.number, name)):
                told = f"{name}, run {run.number}, {run.when}: {of(share):.3g} of the proven bound"
                others = _is_of_others(name, run, sums)
                yield Point(at=at, y=of(share), label=told, faint=others, apart=others or not comparable)
                comparable = not others

    def lines(of: Callable[[Share], float]) -> list[Line]:
        return [Line(name=n, number=i, points=tuple(points(n, of))) for i, n in enumerate(names)]

    y = "share of the proven bound"
    largest = trend_of("Largest error, lower is better; dashed is the bound", y, runs, lines(lambda s: s.most), bound=1)
    middle = trend_of("Median error, lower is better", y, runs, lines(lambda s: s.middle))
    return tuple(each for each in (largest, middle) if each.drawn)


def trend_of(caption: str, y: str, runs: Sequence[Run], lines: Sequence[Line], **marked: float) -> Trend:
    """Return lines over runs, and the versions of what they are of."""
    numbers, shown = tuple(run.number for run in runs), tuple(line for line in lines if line.points)
    chart = Chart(
        title=caption, y=y, label=lambda v: f"{v:g}", runs=numbers, lines=shown,
        lanes=tuple(_lanes([line.name for line in shown], runs)), **marked,
    )  # fmt: skip
    return Trend(caption=caption, drawn=overtime.draw(chart), signs=tuple((line.number, line.name) for line in shown))


def _lanes(names: Sequence[str], runs: Sequence[Run]) -> Iterator[Lane]:
    """Yield the versions of what computes, each once: variants of a backend have the same."""
    packages: dict[str, list[str]] = {}
    for run in runs:
        for backend in run.backends:
            if backend.name in names and backend.versions:
                packages.setdefault(backend.versions[0][0], []).append(backend.name)
    for package, of in sorted(packages.items()):
        yield _lane(package, of, runs)


def _lane(package: str, names: Sequence[str], runs: Sequence[Run]) -> Lane:
    """Return where the version changed that backends of these names computed with."""
    versions: list[tuple[int, str]] = []
    for at, run in enumerate(runs):
        here = [b.version for b in run.backends if b.name in names and b.versions]
        version = here[0].removeprefix(f"{package} ") if here else ""
        if version and (not versions or versions[-1][1] != version):
            versions.append((at, version))
    return Lane(name=package, versions=tuple(versions))
