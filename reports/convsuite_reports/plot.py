"""A plot of two positive quantities, both on logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from convsuite_reports import svg

_WIDTH, _HEIGHT = 720.0, 400.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 26.0, 14.0, 46.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One thing in the plot; its label is told where the pointer rests on it."""

    x: float
    y: float
    label: str
    faint: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points that belong together; a number that is the same in every plot of a page chooses colour and shape."""

    name: str
    number: int
    points: tuple[Point, ...]
    joined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A line that nothing should pass."""

    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What an axis shows."""

    title: str
    label: Callable[[float], str]  # of a power of ten


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """All that is drawn."""

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    limits: tuple[Limit, ...] = field(default=())


def draw(plot: Plot) -> Markup:
    """Return the drawing, and nothing where there is no point."""
    points = [p for series in plot.series for p in series.points if p.x > 0 and p.y > 0]
    if not points:
        return Markup("")
    ends = [end for limit in plot.limits for end in limit.points]
    across = _Scale.over([p.x for p in points], _LEFT, _WIDTH - _RIGHT)
    up = _Scale.over([p.y for p in points] + [y for _, y in ends], _HEIGHT - _BOTTOM, _TOP)
    parts = [*_grid(plot, across, up)]
    parts += [part for limit in plot.limits for part in _limit(limit, across, up)]
    parts += [part for series in plot.series for part in _series(series, across, up)]
    return svg.drawing(_WIDTH, _HEIGHT, plot.title, *parts)


@dataclass(frozen=True, slots=True)
class _Scale:
    """A logarithmic axis from one coordinate to another."""

    low: float
    high: float
    begin: float
    end: float

    @staticmethod
    def over(values: Sequence[float], begin: float, end: float) -> _Scale:
        ticks = list(svg.decades(min(values), max(values)))
        return _Scale(ticks[0], ticks[-1], begin, end)

    def __call__(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.begin + share * (self.end - self.begin)

    @property
    def ticks(self) -> list[float]:
        every = list(svg.decades(self.low, self.high))
        return every[:: -(-len(every) // 9)]


def _grid(plot: Plot, across: _Scale, up: _Scale) -> list[Markup]:
    low, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for tick in across.ticks:
        x = across(tick)
        parts += [svg.line(x, _TOP, x, low, "grid"), svg.text(x, low + 16, plot.x.label(tick), "middle")]
    for tick in up.ticks:
        y = up(tick)
        parts += [svg.line(_LEFT, y, right, y, "grid"), svg.text(_LEFT - 6, y + 4, plot.y.label(tick), "end")]
    middle = (_TOP + low) / 2
    turned = svg.tag(
        "text", plot.y.title, x=14, y=middle, text_anchor="middle", transform=f"rotate(-90 14 {svg.number(middle)})",
        class_="axis",
    )  # fmt: skip
    return [*parts, svg.text((_LEFT + right) / 2, _HEIGHT - 8, plot.x.title, "middle", "axis"), turned]


def _limit(limit: Limit, across: _Scale, up: _Scale) -> list[Markup]:
    """Return a line, cut off where the plot ends."""
    inside = [(across(min(max(x, across.low), across.high)), up(max(y, up.low))) for x, y in limit.points]
    return [svg.path(inside, "limit")]


def _series(series: Series, across: _Scale, up: _Scale) -> list[Markup]:
    placed = [(across(p.x), up(p.y), p) for p in series.points if p.x > 0 and p.y > 0]
    joined = (
        [svg.path([(x, y) for x, y, _ in placed], f"joined s{series.number % svg.COLOURS}")] if series.joined else []
    )
    return [
        *(joined if len(placed) > 1 else []),
        *(svg.marker(x, y, series.number, p.label, p.faint) for x, y, p in placed),
    ]
