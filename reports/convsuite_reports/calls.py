"""Hot, cold and first call beside one another: what a time depends on besides the problem and the backend."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from markupsafe import Markup

from convsuite.bench import units
from convsuite.bench.records import COLD, DEVICE, HOT, THROUGHPUT, suite_of
from convsuite.bench.table import label
from convsuite_reports import svg

if TYPE_CHECKING:
    from convsuite.bench.summary import Row

FIRST = "first call"
KINDS = (DEVICE, THROUGHPUT, HOT, COLD, FIRST)  # roughly from fast to slow; a kind's place chooses its shape
WORDS = {
    DEVICE: "device: by its own clock",
    THROUGHPUT: "throughput: many launches, one wait",
    HOT: "hot: the same operands again",
    COLD: "cold: other operands each time",
    FIRST: "first call: with compilation and allocation",
}
_WIDTH, _HIGH, _AXIS_HIGH, _EDGE = 300.0, 18.0, 16.0, 22.0
_NAMED = 48.0  # that the name of a tick takes
_MOST = 300  # lines of a table


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One kind of call: its seconds, and whether they cannot be trusted."""

    seconds: float
    unstable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """All kinds of call of one backend on one problem, or the geometric means over a network's."""

    group: str  # the problem's case, or the network
    pass_: str
    name: str
    of: str  # problems that the means are over; "" where it is one
    drawn: Markup
    values: tuple[str, ...]  # as the columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """A table of them, all on one axis."""

    kinds: tuple[str, ...]  # that there are
    columns: tuple[str, ...]
    axis: Markup
    lines: tuple[Line, ...]
    hidden: int  # lines beyond those that are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A line before it is drawn."""

    group: str
    pass_: str
    name: str
    of: str
    calls: dict[str, Call]


def by_problem(rows: Sequence[Row]) -> Calls:
    """Return a line for each pass of each problem on each backend."""
    several = len({row.cell.threads for row in rows}) > 1
    return _table([_one(own, several) for own in _grouped(rows, _problem)])


def by_network(rows: Sequence[Row]) -> Calls:
    """Return a line for each pass of each network on each backend."""
    several = len({row.cell.threads for row in rows}) > 1
    return _table([_mean(own, several) for own in _grouped(rows, _network)])


def _network(row: Row) -> tuple[str, str, int, str, str]:
    c = row.cell
    return suite_of(c.case_id), c.pass_.value, c.threads, c.device, c.backend


def _problem(row: Row) -> tuple[str, str, int, str, str]:
    return (row.cell.case_id, *_network(row)[1:])


def _grouped(rows: Sequence[Row], key: Callable[[Row], tuple[str, str, int, str, str]]) -> Iterator[list[Row]]:
    for _, own in groupby(sorted(rows, key=key), key=key):
        yield list(own)


def _one(own: Sequence[Row], several: bool) -> _Found:
    row = own[0]
    return _Found(
        group=row.cell.case_id, pass_=row.cell.pass_.value, name=_name(row, several), of="", calls=_calls(own)
    )


def _mean(own: Sequence[Row], several: bool) -> _Found:
    """Return the means over the problems that have every kind that any of them has: else kinds would not compare."""
    each = [_calls(rows) for rows in _grouped(own, _problem)]
    kinds = {kind for calls in each for kind in calls}
    whole = [calls for calls in each if calls.keys() == kinds]
    calls = {kind: _middle([c[kind] for c in whole]) for kind in kinds if whole}
    of = f"{len(whole)}" if len(whole) == len(each) else f"{len(whole)} of {len(each)}"
    row = own[0]
    return _Found(
        group=suite_of(row.cell.case_id), pass_=row.cell.pass_.value, name=_name(row, several), of=of, calls=calls
    )


def _middle(calls: Sequence[Call]) -> Call:
    """Return the geometric mean; unstable where most are."""
    mean = math.exp(sum(math.log(call.seconds) for call in calls) / len(calls))
    return Call(seconds=mean, unstable=2 * sum(call.unstable for call in calls) > len(calls))


def _calls(rows: Iterable[Row]) -> dict[str, Call]:
    """Return the kinds of call of one cell in all its modes; the first call is that of the processes of the hot one."""
    found = {row.cell.mode: row for row in rows}
    calls = {mode: Call(seconds=r.estimate.median, unstable=bool(r.estimate.unstable)) for mode, r in found.items()}
    first = found.get(HOT) or next(iter(found.values()))
    calls[FIRST] = Call(seconds=first.estimate.first_s, unstable=False)
    return {kind: call for kind, call in calls.items() if call.seconds > 0}


def _name(row: Row, several: bool) -> str:
    return label(replace(row.cell, mode=HOT), several)


def _table(found: Sequence[_Found]) -> Calls:
    kinds = tuple(kind for kind in KINDS if any(kind in one.calls for one in found))
    shown = sorted((one for one in found if one.calls), key=_place)[:_MOST]
    seconds = [call.seconds for one in shown for call in one.calls.values()]
    ticks = tuple(svg.decades(min(seconds), max(seconds))) if seconds else (1e-3, 1.0)
    return Calls(
        kinds=kinds,
        columns=tuple(title for kind in kinds for title in ((kind,) if kind == HOT else (kind, "× hot"))),
        axis=_axis(ticks),
        lines=tuple(_line(one, kinds, ticks) for one in shown),
        hidden=len(found) - len(shown),
    )


def _place(one: _Found) -> tuple[str, str, float]:
    hot = one.calls.get(HOT) or next(iter(one.calls.values()))
    return one.group, one.pass_, hot.seconds


def _line(one: _Found, kinds: Sequence[str], ticks: Sequence[float]) -> Line:
    values = [value for kind in kinds for value in _values(one.calls, kind)]
    drawn = _draw(one, ticks)
    return Line(group=one.group, pass_=one.pass_, name=one.name, of=one.of, drawn=drawn, values=tuple(values))


def _values(calls: dict[str, Call], kind: str) -> Iterator[str]:
    """Yield a kind's time, marked where it cannot be trusted, and its ratio to the hot one."""
    call, hot = calls.get(kind), calls.get(HOT)
    yield f"{'~' if call.unstable else ''}{units.seconds(call.seconds)}" if call else "–"
    if kind != HOT:
        yield units.digits(call.seconds / hot.seconds) if call and hot else "–"


def _draw(one: _Found, ticks: Sequence[float]) -> Markup:
    """Return a sign for each kind on a logarithmic axis, and a line from the first to the last."""
    placed = {kind: _at(call.seconds, ticks) for kind, call in one.calls.items()}
    parts = [svg.line(_at(tick, ticks), 0, _at(tick, ticks), _HIGH, "grid") for tick in ticks]
    parts.append(svg.line(min(placed.values()), _HIGH / 2, max(placed.values()), _HIGH / 2, "reach"))
    for kind in sorted(placed, key=KINDS.index, reverse=True):  # hot is seen where they meet
        call = one.calls[kind]
        shaky = ", unstable" if call.unstable else ""
        parts.append(
            sign(kind, placed[kind], _HIGH / 2, f"{kind}: {units.seconds(call.seconds)}{shaky}", call.unstable)
        )
    told = ", ".join(f"{kind} {units.seconds(one.calls[kind].seconds)}" for kind in KINDS if kind in one.calls)
    return svg.drawing(_WIDTH, _HIGH, f"{one.name}: {told}", *parts, class_="chart calls")


def sign(kind: str, x: float, y: float, title: str = "", faint: bool = False) -> Markup:
    """Return the sign of a kind of call."""
    return svg.marker(x, y, KINDS.index(kind), title, faint, f"call-{kind.replace(' ', '-')}")


def _axis(ticks: Sequence[float]) -> Markup:
    step = math.ceil(_NAMED * (len(ticks) - 1) / (_WIDTH - 2 * _EDGE))
    named = [svg.text(_at(tick, ticks), 12, _tick(tick), "middle") for tick in ticks[::step]]
    return svg.drawing(_WIDTH, _AXIS_HIGH, "logarithmic axis of seconds a call", *named, class_="chart calls")


def _tick(seconds: float) -> str:
    number, _, unit = units.seconds(seconds).partition(" ")
    return f"{float(number):g} {unit}"


def _at(seconds: float, ticks: Sequence[float]) -> float:
    share = math.log(seconds / ticks[0]) / math.log(ticks[-1] / ticks[0])
    return _EDGE + share * (_WIDTH - 2 * _EDGE)
