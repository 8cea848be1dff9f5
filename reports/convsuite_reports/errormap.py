"""Where an answer is wrong, drawn: a square for each element of a plane, or for the worst of a block of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from markupsafe import Markup

from convsuite.evidence import SIGNS, Evidence, Plane
from convsuite_reports import svg

LEVELS = (("right", ".-"), ("unchecked", "?"), ("small", "123"), ("middle", "456"), ("large", "789"), ("special", "x"))
WORDS = {
    "right": "right",
    "unchecked": "nothing can be said",
    "small": "wrong by less than 10⁻⁵ B",
    "middle": "wrong by less than 10⁻² B",
    "large": "wrong by 10⁻² B or more",
    "special": "NaN or infinite, or should be",
}
_LARGEST = 320.0  # a side, in pixels
_BIG = 20.0  # a square's side at most


def drawings(evidence: Evidence) -> list[tuple[str, Markup]]:
    """Return a heading and a drawing of each plane."""
    return [(_heading(evidence, plane), _draw(evidence, plane)) for plane in evidence.planes]


def told(evidence: Evidence) -> str:
    """Return in words what the maps show, for who does not see them."""
    signs = [sign for plane in evidence.planes for sign in plane.map if sign in SIGNS]
    wrong = sum(sign not in ".-?" for sign in signs)
    planes = f"{len(evidence.planes)} plane{'' if len(evidence.planes) == 1 else 's'}"
    return f"{wrong} of {len(signs)} squares in {planes} are wrong"


def levels(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield the levels that occur, and what they mean."""
    seen = {sign for plane in evidence.planes for sign in plane.map}
    yield from ((level, WORDS[level]) for level, signs in LEVELS if seen & set(signs))


def _heading(evidence: Evidence, plane: Plane) -> str:
    axes = _names(evidence)
    leading = [f"{name} {i}" for name, i in zip(axes, plane.index, strict=False)] if len(evidence.shape) > 2 else []
    rows, columns = axes[-2:] if len(axes) > 1 else ("", axes[0])
    down = f"{rows} down, " if rows else ""
    coarse = f", a square is {plane.block[0]} × {plane.block[1]} elements" if plane.block != (1, 1) else ""
    return f"{', '.join(leading)}{': ' if leading else ''}{down}{columns} across{coarse}"


def _names(evidence: Evidence) -> tuple[str, ...]:
    spatial = {3: ("L",), 4: ("H", "W"), 5: ("D", "H", "W")}.get(len(evidence.shape))
    if spatial is None:
        return tuple(f"axis {i}" for i in range(len(evidence.shape)))
    if evidence.pass_ in ("forward", "indices", "grad_input"):
        return ("N", "C", *spatial)
    return ("C_out", "C_in", *(f"k{name}" for name in spatial))


def _draw(evidence: Evidence, plane: Plane) -> Markup:
    lines = plane.map.split("\n")
    side = min(_BIG, _LARGEST / max(len(lines), len(lines[0])))
    width, height = side * len(lines[0]), side * len(lines)
    runs: dict[str, list[str]] = {}
    for level, run in _runs(lines, side):
        runs.setdefault(level, []).append(run)
    paths = [svg.tag("path", d="".join(runs[level]), class_=f"e-{level}") for level, _ in LEVELS if level in runs]
    grid = _grid(len(lines), len(lines[0]), side) if side >= 8 else ()
    title = f"error map, {_heading(evidence, plane)}"
    return svg.drawing(width + 2, height + 2, title, *paths, *grid, class_="chart errormap")


def _runs(lines: list[str], side: float) -> Iterator[tuple[str, str]]:
    """Yield for each run of squares of one level in a row: the level, and its outline."""
    for row, line in enumerate(lines):
        at = 0
        for level, same in groupby(line, key=_level):
            long = len(list(same))
            x, y, w, h = (svg.number(v) for v in (1 + at * side, 1 + row * side, long * side, side))
            yield level, f"M{x} {y}h{w}v{h}h-{w}z"
            at += long


def _level(sign: str) -> str:
    return next((level for level, signs in LEVELS if sign in signs), "unchecked")


def _grid(rows: int, columns: int, side: float) -> Iterator[Markup]:
    for i in range(rows + 1):
        yield svg.line(1, 1 + i * side, 1 + columns * side, 1 + i * side, "cut")
    for i in range(columns + 1):
        yield svg.line(1 + i * side, 1, 1 + i * side, 1 + rows * side, "cut")
