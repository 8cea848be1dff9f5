"""How fast: each time beside the others, ratios with their intervals, and what the machine can do at most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from markupsafe import Markup

from convsuite.bench import units
from convsuite.bench.estimate import Ratio, Verdict
from convsuite.bench.records import COLD, DEVICE, HOT, THROUGHPUT, suite_of
from convsuite.bench.summary import Row, Times, Total
from convsuite.bench.table import label
from convsuite_reports import calls, plot, svg
from convsuite_reports.calls import Calls
from convsuite_reports.frames import times_of

if TYPE_CHECKING:
    from convsuite.store import Store

_BAR, _BAR_HIGH = 200.0, 16.0
_SPAN = 8.0  # a bar's scale goes from 1 / 8 to 8
_MOST_PROBLEMS = 400  # with a table of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One time, as it is shown."""

    name: str  # the backend, and what tells it from others
    median: str
    spread: str
    flops: str
    of_peak: str
    first: str
    memory: str
    ratio: str
    interval: str
    bar: Markup
    verdict: str
    unstable: str  # why; "" where it can be trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One pass of one problem."""

    suite: str
    title: str
    pass_: str
    about: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalLine:
    """What a network comes to on one backend."""

    suite: str
    pass_: str
    name: str
    problems: str
    seconds: str
    ratio: str
    interval: str
    bar: Markup
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """All of a run's times."""

    base: str
    problems: tuple[Problem, ...]
    hidden: int  # problems without a table here
    totals: tuple[TotalLine, ...]
    networks: Calls
    calls: Calls  # of each problem
    roofline: Markup
    sizes: Markup
    backends: tuple[str, ...]  # in the order of their signs
    peaks: tuple[str, ...]
    untimed: tuple[tuple[str, str, str, str], ...]  # case, pass, backend, reason
    unstable: int
    times: int
    modes: tuple[str, ...]


def performance_of(store: Store, run: int) -> Performance:
    """Return a run's times as they are shown."""
    times = times_of(store, run)
    backends = tuple(sorted({cell.backend for cell in times.cells}))
    base = "torch" if "torch" in backends else backends[0]
    rows = list(times.rows(base))
    problems = list(_problems(rows, base))
    several = len({row.cell.threads for row in rows}) > 1
    return Performance(
        base=base,
        problems=tuple(problems[:_MOST_PROBLEMS]),
        hidden=max(0, len(problems) - _MOST_PROBLEMS),
        totals=tuple(_total(total, base, several) for total in sorted(times.totals(base), key=_place)),
        networks=calls.by_network(rows),
        calls=calls.by_problem(rows),
        roofline=_roofline(rows, times, backends),
        sizes=_sizes(rows, backends),
        backends=backends,
        peaks=tuple(_peaks(times)),
        untimed=tuple(_untimed(store, run)),
        unstable=sum(bool(row.estimate.unstable) for row in rows),
        times=len(rows),
        modes=tuple(sorted({row.cell.mode for row in rows})),
    )


def _problems(rows: Sequence[Row], base: str) -> Iterator[Problem]:
    several = len({row.cell.threads for row in rows}) > 1
    order = sorted(
        rows, key=lambda r: (r.cell.case_id, r.cell.pass_, r.cell.threads, _rank(r.cell.mode), r.estimate.median)
    )
    for (case_id, pass_), own in groupby(order, key=lambda r: (r.cell.case_id, r.cell.pass_.value)):
        those = list(own)
        problem = those[0].problem
        work = f"{units.count(problem.flops, 'FLOP')}, {units.count(problem.bytes, 'B')}"
        often = f", {problem.repeats} times in its network" if problem.repeats > 1 else ""
        yield Problem(
            suite=suite_of(case_id), title=case_id, pass_=pass_, about=f"{problem.dtype}, {work}{often}",
            lines=tuple(_line(row, base, several) for row in those),
        )  # fmt: skip


def _line(row: Row, base: str, several: bool) -> Line:
    e = row.estimate
    value, interval, bar, verdict = _ratio(row.ratio, row.cell.backend == base, bool(e.unstable))
    return Line(
        name=label(row.cell, several),
        median=units.seconds(e.median),
        spread=f"{e.spread:.1%}",
        flops=units.digits(row.flops / 1e9),
        of_peak=units.share(row.peak_share),
        first=units.seconds(e.first_s),
        memory="–" if e.memory_bytes is None else units.count(e.memory_bytes, "B"),
        ratio=value,
        interval=interval,
        bar=bar,
        verdict=verdict,
        unstable="; ".join(e.unstable),
    )


def _place(total: Total) -> tuple[str, str, int, int, float]:
    return total.suite, total.cell.pass_.value, total.cell.threads, _rank(total.cell.mode), total.seconds


def _rank(mode: str) -> int:
    """Return the place of a mode: hot is what is asked for first."""
    return (HOT, THROUGHPUT, DEVICE, COLD).index(mode)


def _total(total: Total, base: str, several: bool) -> TotalLine:
    noisy = total.ratio is not None and total.ratio.verdict is Verdict.NOISY
    value, interval, bar, verdict = _ratio(total.ratio, total.cell.backend == base, noisy)
    part = f"{total.problems} of {total.of}" if total.problems < total.of else f"{total.problems}"
    return TotalLine(
        suite=total.suite, pass_=total.cell.pass_.value, name=label(total.cell, several), problems=part,
        seconds=units.seconds(total.seconds), ratio=value, interval=interval, bar=bar, verdict=verdict,
    )  # fmt: skip


def _ratio(ratio: Ratio | None, is_base: bool, unstable: bool) -> tuple[str, str, Markup, str]:
    """Return a ratio as text, its interval, its bar and what may be said of it."""
    if ratio is None or not math.isfinite(ratio.value):
        return ("1", "", _bar(1.0, None, "", False), "base") if is_base else ("–", "", Markup(""), "")
    low, high = ratio.interval
    known = math.isfinite(low)
    between = f"[{units.digits(low)}, {units.digits(high)}]" if known else ""
    bar = _bar(ratio.value, ratio.interval if known else None, f"{units.digits(ratio.value)} {between}", unstable)
    return units.digits(ratio.value), between, bar, ratio.verdict.value


def _bar(value: float, interval: tuple[float, float] | None, title: str, unstable: bool) -> Markup:
    """Return a bar from 1 to the ratio on a logarithmic scale, and a line for the interval."""
    x, one, middle = _at(value), _at(1.0), _BAR_HIGH / 2
    side = "slower" if value > 1 else "faster"
    class_ = f"ratio {side}{' unstable' if unstable else ''}"
    parts = [svg.line(_at(tick), 2, _at(tick), _BAR_HIGH - 2, "grid") for tick in (0.25, 0.5, 2.0, 4.0)]
    if abs(x - one) >= 0.5:
        parts.append(svg.tag("rect", x=min(x, one), y=4, width=abs(x - one), height=_BAR_HIGH - 8, class_=class_))
    if interval:
        low, high = (_at(bound) for bound in interval)
        parts += [svg.line(low, middle, high, middle, "whisker")]
        parts += [svg.line(end, middle - 3, end, middle + 3, "whisker") for end in (low, high)]
    parts.append(svg.line(one, 0, one, _BAR_HIGH, "one"))
    return svg.drawing(_BAR, _BAR_HIGH, title or "the base", *parts, class_="chart bar")


def _at(ratio: float) -> float:
    share = math.log(min(max(ratio, 1 / _SPAN), _SPAN)) / math.log(_SPAN)
    return _BAR / 2 + share * (_BAR / 2 - 2)


def _roofline(rows: Sequence[Row], times: Times, backends: tuple[str, ...]) -> Markup:
    """Return GFLOP/s against FLOP a byte, under what the machine was measured to do at most."""
    hot = [row for row in rows if row.cell.mode == HOT and row.problem.bytes]
    series = tuple(
        plot.Series(name=name, number=number, points=tuple(_roof_point(row) for row in hot if row.cell.backend == name))
        for number, name in enumerate(backends)
    )
    intensities = [row.problem.flops / row.problem.bytes for row in hot] or [1.0]
    low, high = min(intensities) / 10, max(intensities) * 10
    return plot.draw(
        plot.Plot(
            title="GFLOP/s against FLOP a byte, with the machine's measured ceilings",
            x=plot.Axis(title="FLOP a byte, each operand and the result moved once", label=lambda v: f"{v:g}"),
            y=plot.Axis(title="GFLOP/s", label=lambda v: f"{v:g}"),
            series=series,
            limits=tuple(_ceilings(times, low, high)),
        )
    )


def _roof_point(row: Row) -> plot.Point:
    told = f"{row.cell.case_id} [{row.cell.pass_.value}] on {row.cell.backend}: {units.digits(row.flops / 1e9)} GFLOP/s"
    return plot.Point(
        x=row.problem.flops / row.problem.bytes,
        y=row.flops / 1e9,
        label=told + (", unstable" if row.estimate.unstable else ""),
        faint=bool(row.estimate.unstable),
    )


def _ceilings(times: Times, low: float, high: float) -> Iterator[plot.Limit]:
    """Yield for each number of threads the copy's slope up to the product's height: of float32, if measured."""
    for threads in sorted({peak.threads for peak in times.peaks}):
        own = [peak for peak in times.peaks if peak.threads == threads]
        flops = max((p.flops for p in own if p.dtype == "float32"), default=max(p.flops for p in own))
        moved = max(p.bytes for p in own)
        knee = flops / moved
        points = [(x, min(flops, x * moved) / 1e9) for x in (min(low, knee), knee, max(high, knee))]
        yield plot.Limit(points=tuple(points))


def _sizes(rows: Sequence[Row], backends: tuple[str, ...]) -> Markup:
    """Return GFLOP/s against the size of the problem."""
    hot = [row for row in rows if row.cell.mode == HOT]
    series = tuple(
        plot.Series(
            name=name, number=number,
            points=tuple(
                plot.Point(x=row.problem.flops, y=row.flops / 1e9, label=_roof_point(row).label,
                           faint=bool(row.estimate.unstable))
                for row in hot if row.cell.backend == name and row.problem.bytes
            ),
        )
        for number, name in enumerate(backends)
    )  # fmt: skip
    return plot.draw(
        plot.Plot(
            title="GFLOP/s against the problem's size",
            x=plot.Axis(title="FLOP of one pass", label=_power),
            y=plot.Axis(title="GFLOP/s", label=lambda v: f"{v:g}"),
            series=series,
        )
    )


def _power(value: float) -> str:
    """Return a power of ten: `10 M`."""
    number, _, prefix = units.count(value, "").partition(" ")
    return f"{float(number):g} {prefix}".rstrip()


def _peaks(times: Times) -> Iterator[str]:
    for p in times.peaks:
        threads = f"{p.threads} thread{'' if p.threads == 1 else 's'}"
        yield f"{threads}, {p.dtype}: {units.count(p.flops, 'FLOP/s')}, {units.count(p.bytes, 'B/s')}"


def _untimed(store: Store, run: int) -> Iterator[tuple[str, str, str, str]]:
    for r in store.rows("SELECT * FROM untimed WHERE run = ? ORDER BY case_id, pass, backend", (run,)):
        name = r["backend"] if r["mode"] == HOT else f"{r['backend']}, {r['mode']}"
        yield r["case_id"], r["pass"], name, r["reason"]
