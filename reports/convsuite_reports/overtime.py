"""Quantities over the runs of a database: lines on one logarithmic axis, or bars of counts; versions run beneath."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from convsuite_reports import svg

_WIDTH, _HEIGHT = 720.0, 230.0  # of the lines, without what is beneath
_LEFT, _RIGHT, _TOP = 64.0, 26.0, 12.0
_LANE = 17.0
_SIGN = 6.6  # the width of a letter, roughly
_PANEL, _PANEL_LEFT, _BAD, _GOOD = 300.0, 44.0, 56.0, 26.0  # widths; heights of the two rows of bars
_LABELS = 12  # runs that are named


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A value in one run; its label is told where the pointer rests on it."""

    at: int  # the run's place
    y: float
    label: str
    faint: bool = False
    apart: bool = False  # not comparable with the point before: no line leads here


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A backend's values; the number chooses colour and shape."""

    name: str
    number: int
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The versions of something: each with the place of the first run that had it."""

    name: str
    versions: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lines over runs."""

    title: str
    y: str
    label: Callable[[float], str]
    runs: tuple[int, ...]
    lines: tuple[Line, ...]
    lanes: tuple[Lane, ...] = ()
    bound: float | None = None  # dashed
    origin: float | None = None  # what the values are multiples of: a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What one run came to on one backend."""

    at: int
    right: int
    known: int
    found: int
    label: str
    faint: bool = False


def draw(chart: Chart) -> Markup:
    """Return the drawing, and nothing where there is no point."""
    values = [p.y for line in chart.lines for p in line.points]
    if not values:
        return Markup("")
    scale = _Scale.over([*values, *(v for v in (chart.bound, chart.origin) if v)])
    low = _TOP + _HEIGHT
    across = _places(len(chart.runs), _LEFT + 14, _WIDTH - _RIGHT)
    parts = [*_grid(chart, scale, across), *_versions(chart.lanes, across, low + 42, _WIDTH)]
    parts += [part for line in chart.lines for part in _line(line, scale, across)]
    return svg.drawing(_WIDTH, low + 38 + _LANE * len(chart.lanes), chart.title, *parts)


def panel(title: str, runs: Sequence[int], bars: Sequence[Bar], most: tuple[int, int], lane: Lane) -> Markup:
    """Return bars of counts, what fails above what is right; `most` fail, and are right, on any backend."""
    across = _places(len(runs), _PANEL_LEFT + 8, _PANEL - 12)
    wide = min(14.0, (_PANEL - _PANEL_LEFT - 12) / max(len(runs), 1) - 2)
    floor = _TOP + _BAD
    base = floor + 15 + _GOOD
    parts = [*_row(floor, _BAD, most[0]), *_row(base, _GOOD, most[1])]
    for bar in bars:
        x = across[bar.at] - wide / 2
        known, found, right = (_high(n, h, m) for n, h, m in _stacked(bar, most))
        parts += _bar(x, floor - known, wide, known, "known-bar", bar)
        parts += _bar(x, floor - known - found, wide, found, "share-found", bar)
        parts += _bar(x, base - right, wide, right, "share-native", bar)
    ends = {0: "start", len(runs) - 1: "end"} if len(runs) > 1 else {0: "middle"}
    parts += [svg.text(across[at], base + 14, f"run {runs[at]}", anchor) for at, anchor in ends.items()]
    parts += _versions((lane,), across, base + 32, _PANEL)
    return svg.drawing(_PANEL, base + 38, title, *parts, class_="chart panel")


def _stacked(bar: Bar, most: tuple[int, int]) -> Iterator[tuple[int, float, int]]:
    yield from ((bar.known, _BAD, most[0]), (bar.found, _BAD, most[0]), (bar.right, _GOOD, most[1]))


def _high(number: int, height: float, most: int) -> float:
    """Return a bar's height: what there is at all is seen."""
    return max(2.0, height * number / most) if number else 0.0


def _bar(x: float, y: float, width: float, height: float, class_: str, bar: Bar) -> list[Markup]:
    if not height:
        return []
    told = svg.tag("title", bar.label)
    class_ = f"{class_} faint" if bar.faint else class_
    return [svg.tag("rect", told, x=x, y=y, width=width, height=height, class_=class_)]


def _row(floor: float, height: float, most: int) -> list[Markup]:
    """Return the axis of a row of bars: 0, and the most."""
    named = [svg.text(_PANEL_LEFT - 4, floor, "0", "end")]
    named += [svg.text(_PANEL_LEFT - 4, floor - height + 8, f"{most:,}", "end")] if most else []
    lines = [svg.line(_PANEL_LEFT, floor - up, _PANEL - 4, floor - up, "grid") for up in (0.0, height)]
    return [*lines, *named]


@dataclass(frozen=True, slots=True)
class _Scale:
    """A logarithmic axis upwards; its ticks are 1, 2 and 5 times powers of ten, and of a short one more."""

    ticks: tuple[float, ...]

    @staticmethod
    def over(values: Sequence[float]) -> _Scale:
        low, high = min(values), max(values)
        digits = (1, 1.5, 2, 3, 5, 7) if high < 5 * low else (1, 2, 5)
        tens = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
        every = [digit * 10.0**ten for ten in tens for digit in digits]
        first = max(i for i, tick in enumerate(every) if tick <= low * 1.0001)
        last = min(i for i, tick in enumerate(every) if tick >= high * 0.9999)
        return _Scale(tuple(every[first : max(last, first + 1) + 1]))

    def __call__(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return _TOP + _HEIGHT * (1 - math.log(value / low) / math.log(high / low))

    @property
    def named(self) -> tuple[float, ...]:
        """The ticks, or of many those that are powers of ten."""
        return self.ticks if len(self.ticks) <= 8 else tuple(t for t in self.ticks if f"{t:.0e}".startswith("1"))


def _places(count: int, begin: float, end: float) -> list[float]:
    """Return the runs' coordinates, evenly apart."""
    if count < 2:
        return [(begin + end) / 2] * count
    return [begin + at * (end - begin) / (count - 1) for at in range(count)]


def _grid(chart: Chart, scale: _Scale, across: list[float]) -> Iterator[Markup]:
    low, right = _TOP + _HEIGHT, _WIDTH - _RIGHT + 10
    for tick in scale.named:
        yield svg.line(_LEFT, scale(tick), right, scale(tick), "grid")
        yield svg.text(_LEFT - 6, scale(tick) + 4, chart.label(tick), "end")
    for value, class_ in ((chart.bound, "limit"), (chart.origin, "origin")):
        if value is not None:
            yield svg.line(_LEFT, scale(value), right, scale(value), class_)
    for at in range(0, len(across), -(-len(across) // _LABELS)):
        yield svg.text(across[at], low + 16, chart.runs[at], "middle")
    yield svg.text(_LEFT - 6, low + 16, "run", "end", "axis")
    middle = _TOP + _HEIGHT / 2
    turn = f"rotate(-90 14 {svg.number(middle)})"
    yield svg.tag("text", chart.y, x=14, y=middle, text_anchor="middle", transform=turn, class_="axis")


def _line(line: Line, scale: _Scale, across: list[float]) -> Iterator[Markup]:
    pieces: list[list[tuple[float, float]]] = []
    for p in line.points:
        if p.apart or not pieces:
            pieces.append([])
        pieces[-1].append((across[p.at], scale(p.y)))
    for piece in pieces:
        if len(piece) > 1:
            yield svg.path(piece, f"joined s{line.number % svg.COLOURS}")
    for p in line.points:
        yield svg.marker(across[p.at], scale(p.y), line.number, p.label, p.faint)


def _versions(lanes: Sequence[Lane], across: list[float], top: float, right: float) -> Iterator[Markup]:
    """Yield each version from the run that first had it, in words where there is room, the first with its name."""
    for row, lane in enumerate(lanes):
        y, free = top + row * _LANE, 0.0
        ends = [across[at] for at, _ in lane.versions[1:]] + [right]
        for (at, version), end in zip(lane.versions, ends, strict=True):
            x, named = across[at], f"{lane.name} {version}" if at == lane.versions[0][0] else version
            wide = 8 + _SIGN * len(named)
            yield svg.tag("path", svg.tag("title", f"{lane.name} {version}"), d=_tick(x, y), class_="version")
            if x + wide <= end:
                yield svg.text(x + 5, y, named)
                free = x + wide
            elif x - wide >= free:
                yield svg.text(x - 5, y, named, "end")
                free = x


def _tick(x: float, y: float) -> str:
    return f"M{svg.number(x)} {svg.number(y - 9)}v11"
