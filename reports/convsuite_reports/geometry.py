"""A case's windows and padding as a drawing: an axis at a time, a column a position, a row a window."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from convsuite import operations
from convsuite.case import Case
from convsuite.drawing import Axis, axes, pads_in_words
from convsuite_reports import svg

_MOST_COLUMNS, _MOST_ROWS = 48, 24  # of an axis that is drawn; a larger one is told in words
_SIDE, _LEFT, _TOP = 22.0, 34.0, 22.0


def drawings(case: Case) -> list[tuple[str, Markup]]:
    """Return a heading and a drawing for each axis; nothing where no window slides or the case breaks a rule."""
    operation = operations.of(case)
    pictured = None if operation.violations(case) else operation.picture(case)
    if pictured is None:
        return []
    small = [a for a in axes(pictured) if len(a.drawn) <= _MOST_COLUMNS and a.windows <= _MOST_ROWS]
    return [(_heading(axis), _draw(axis)) for axis in small]


def _heading(axis: Axis) -> str:
    dilated = f", every {axis.dilation}th position of {axis.span}" if axis.dilation > 1 and axis.kernel > 1 else ""
    return (
        f"Axis {axis.name}: {axis.size} inputs, padding {pads_in_words(axis.low, axis.high)}, "
        f"window {axis.kernel}{dilated}, stride {axis.stride}"
    )


def _draw(axis: Axis) -> Markup:
    width, height = _LEFT + len(axis.drawn) * _SIDE + 2, _TOP + axis.windows * _SIDE + 4
    parts = [part for column, position in enumerate(axis.drawn) for part in _column(axis, column, position)]
    parts += [part for output in range(axis.windows) for part in _window(axis, output)]
    return svg.drawing(width, height, _heading(axis), *parts, class_="chart windows")


def _column(axis: Axis, column: int, position: int) -> Iterator[Markup]:
    x = _LEFT + column * _SIDE
    kind = _kind(axis, position)
    yield svg.tag("rect", x=x, y=_TOP, width=_SIDE, height=axis.windows * _SIDE, class_=f"at {kind}")
    yield svg.text(x + _SIDE / 2, _TOP - 7, _label(axis, position), "middle", f"label {kind}")


def _kind(axis: Axis, position: int) -> str:
    if position not in axis.positions:
        return "cropped"
    return "input" if 0 <= position < axis.size and axis.held(position) >= 0 else "padding"


def _label(axis: Axis, position: int) -> str:
    held = axis.held(position) if position in axis.positions else position
    return axis.blank if held < 0 else str(held)


def _window(axis: Axis, output: int) -> Iterator[Markup]:
    y = _TOP + output * _SIDE
    yield svg.text(_LEFT - 8, y + 15, f"y{output}", "end", "label")
    taps, first = axis.taps(output), axis.drawn[0]
    begin, end = min(taps) - first, max(taps) - first
    yield svg.line(_LEFT + begin * _SIDE + 4, y + _SIDE / 2, _LEFT + (end + 1) * _SIDE - 4, y + _SIDE / 2, "through")
    for position, element in taps.items():
        x = _LEFT + (position - first) * _SIDE
        yield svg.tag("rect", x=x + 2, y=y + 2, width=_SIDE - 4, height=_SIDE - 4, rx=3, class_="tap")
        if axis.weighted:
            yield svg.text(x + _SIDE / 2, y + 15, f"w{element}", "middle", "weight")
