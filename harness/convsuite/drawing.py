"""A window's geometry drawn in text: which input positions each window reads, and where the padding lies.

One axis at a time, since windows slide along each axis on their own: a column a padded position, a row an output.

          x0  x1  x2  x3 │  0      the padded axis: four inputs, then a zero
      y0  w0  w1  w2   · │  ·      output 0 reads inputs 0, 1, 2
      y1   ·   ·  w0  w1 │ w2      output 1 reads inputs 2, 3, and the zero
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convsuite.operations import window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from convsuite.case import Case

WIDTH = 100  # columns of text
ROWS = 16  # windows drawn one by one
ENDS = 5  # of more than that, as many at either end
GRID = 12  # positions along either side of a plane that is drawn whole
COUNTED = 1 << 18  # taps looked at one by one
NAMES = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One spatial axis. A position counts from the first input: −1 is the padding just before it."""

    number: int
    name: str
    size: int
    kind: str  # of padding, as asked for
    low: int  # negative crops, as `high`
    high: int
    hanging: int  # positions after that which the last window of a pool hangs over by
    mode: str
    kernel: int
    stride: int
    dilation: int
    flip: bool
    weighted: bool  # the taps carry weights; else all count the same, as in pooling

    @property
    def span(self) -> int:
        """Positions from a window's first tap to its last."""
        return window.span(self.kernel, self.dilation)

    @property
    def windows(self) -> int:
        """Number of windows, that is, of outputs."""
        return window.output_size(len(self.positions), self.span, self.stride)

    @property
    def positions(self) -> range:
        """The positions that windows slide over."""
        return range(-self.low, self.size + self.high + self.hanging)

    @property
    def drawn(self) -> range:
        """The positions with a column: those, and the cropped inputs."""
        return range(-max(self.low, 0), max(self.size, self.positions.stop))

    @property
    def edges(self) -> set[int]:
        """Positions with a bar before them: padding, or what is cropped, lies beyond."""
        low, high = max(0, -self.low), self.size + min(0, self.high)
        beyond = {high, self.positions.stop} if self.hanging else {high} if self.high else set()
        return ({low} if self.low else set()) | beyond

    def start(self, output: int) -> int:
        """Return the position of a window's first tap."""
        return output * self.stride - self.low

    def taps(self, output: int) -> dict[int, int]:
        """Return position → index of the kernel's element that meets it."""
        first, last = self.start(output), self.kernel - 1
        return {first + t * self.dilation: last - t if self.flip else t for t in range(self.kernel)}

    def held(self, position: int) -> int:
        """Return the input that a position shows, itself or by its padding mode; −1 for a zero."""
        if position >= self.positions.stop - self.hanging:  # even where an input was that is cut off
            return -1
        return window.padded_index(self.size, -position, position + 1 - self.size, self.mode)[0]

    def label(self, position: int) -> str:
        """Return a column's heading: x3 the input, 0 (p in pooling) the padding, in brackets where it is cropped."""
        if position not in self.positions:
            return f"(x{position})"
        held = self.held(position)
        return f"x{held}" if held >= 0 else self.blank

    @property
    def blank(self) -> str:
        """What stands for padding that repeats no input: a zero adds nothing to a sum, a pool has its own rule."""
        return "0" if self.weighted else "p"


def axes(case: Case) -> tuple[Axis, ...]:
    """Return the spatial axes of a case whose geometry breaks no rule."""
    padding = case.padding
    return tuple(
        Axis(
            number=number,
            name=name,
            size=size,
            kind=kind,
            low=low,
            high=high,
            hanging=hanging,
            mode=padding.mode,
            kernel=kernel,
            stride=stride,
            dilation=dilation,
            flip=getattr(case, "flip", False),
            weighted=any(o.role == "weight" for o in case.operands),
        )
        for number, (name, size, kind, (low, high), hanging, kernel, stride, dilation) in enumerate(
            zip(
                NAMES[case.rank],
                case.input_shape[2:],
                padding.kinds,
                padding.pads,
                getattr(case, "overhang", (0,) * case.rank),
                case.kernel,
                case.stride,
                case.dilation,
                strict=True,
            )
        )
    )


def pads_in_words(low: int, high: int) -> str:
    """Return e.g. `0 before, 1 after`, or `2 cut off before, 0 after`."""
    if not low and not high:
        return "none"
    return ", ".join(f"{abs(n)} {'cut off ' if n < 0 else ''}{side}" for n, side in ((low, "before"), (high, "after")))


def draw_axes(drawn: Sequence[Axis]) -> list[str]:
    """Return the drawing of every axis; axes that are alike in all but their name are drawn once."""
    alike: dict[Axis, list[Axis]] = {}
    for axis in drawn:
        alike.setdefault(replace(axis, number=0, name=""), []).append(axis)
    drawings = [draw(same[0], _named(same)) for same in alike.values()]
    return [line for drawing in drawings for line in ("", *drawing)][1:]


def draw(axis: Axis, named: str) -> list[str]:
    """Return the drawing of one axis, a heading above it and what stands out below it."""
    columns = _columns(axis)
    rows = _rows(axis, columns)
    wide = _label_width(axis)
    left = len(f"y{axis.windows - 1}")
    lines = [
        f"{named}: {_heading(axis)}",
        "",
        _row("", left, wide, axis, {p: axis.label(p) for p in columns if p is not None}, columns),
    ]
    before = -1
    for output in rows:
        if output > before + 1:
            lines.append(f"  {'…':<{left}}  {_count(output - before - 1, 'more window')}, one every {axis.stride}")
        lines.append(_row(f"y{output}", left, wide, axis, _cells(axis, output, columns), columns))
        before = output
    notes = [f"  {note}" for note in _notes(axis)]
    return [*lines, *([""] if notes else []), *notes]


def draw_plane(rows: Axis, columns: Axis) -> list[str]:
    """Return the padded plane, the first window's taps in brackets; nothing where it is large or has no padding."""
    if max(len(rows.positions), len(columns.positions)) > GRID or not any(
        (rows.low, rows.high, rows.hanging, columns.low, columns.high, columns.hanging)
    ):
        return []
    cells = {(r, c): _plane_label(rows, r, columns, c) for r in rows.positions for c in columns.positions}
    wide = max(map(len, cells.values()))
    down, across = rows.taps(0), columns.taps(0)
    lines = [f"the padded plane ({rows.name}, {columns.name}), first window in brackets:", ""]
    for r in rows.positions:
        line = ""
        for c in columns.positions:
            bar = " │" if c in columns.edges and c in columns.positions[1:] else ""
            text = f"[{cells[r, c]:>{wide}}]" if r in down and c in across else f" {cells[r, c]:>{wide}} "
            line += f"{bar} {text}"
        if r in rows.edges and r in rows.positions[1:]:
            lines.append("   " + "".join("┼" if sign == "│" else "─" for sign in line[1:]))
        lines.append("  " + line.rstrip())
    return lines


def legend(drawn: Sequence[Axis]) -> str:
    """Return what the signs of these drawings mean; only those that occur."""
    weighted, mode = drawn[0].weighted, drawn[0].mode
    signs = ["y0 = output 0", "x2 = input 2", "w1 = element 1 of the kernel" if weighted else "■ = in the window"]
    if any(a.low > 0 or a.high > 0 or a.hanging for a in drawn):
        blank = "0 = a padded zero" if weighted else "p = padding"
        signs.append(blank if mode == "zeros" else f"beyond a bar = the input that the padding repeats ({mode})")
    if any(a.low < 0 or a.high < 0 for a in drawn):
        signs.append("(x2) = input cut off")
    if any(a.dilation > 1 and a.kernel > 1 for a in drawn):
        signs.append("- = passed over by dilation")
    return ", ".join([*signs, "· = outside the window"])


def in_runs(numbers: Iterable[int], prefix: str) -> str:
    """Return e.g. `x0, x4..x7` for 0, 4, 5, 6, 7; four runs at most, then how many more."""
    runs: list[list[int]] = []
    for n in sorted(numbers):
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    words = [f"{prefix}{a}" if a == b else f"{prefix}{a}..{prefix}{b}" for a, b in runs[:4]]
    rest = sum(b - a + 1 for a, b in runs[4:])
    return ", ".join(words) + (f" and {rest} more" if rest else "")


def _label_width(axis: Axis) -> int:
    cropped = 2 if axis.low < 0 or axis.high < 0 else 0
    return max(len(f"x{max(axis.size - 1, 0)}") + cropped, len(f"w{axis.kernel - 1}"))


def _columns(axis: Axis) -> list[int | None]:
    """Return the positions to draw, in order: all, or those about the ends and the edges. None stands for a gap."""
    room = (WIDTH - 8 - len(f"y{axis.windows - 1}")) // (_label_width(axis) + 1)
    every = axis.drawn
    if len(every) <= room:
        return list(every)
    ends = {every[0], every[-1]}
    for anchors in (ends | axis.edges, ends):
        for reach in range(room, 0, -1):
            columns = _with_gaps({p for a in anchors for p in range(a - reach, a + reach + 1) if p in every})
            if len(columns) <= room:
                return columns
    return [every[0], None, every[-1]]


def _with_gaps(positions: set[int]) -> list[int | None]:
    columns: list[int | None] = []
    for p in sorted(positions):
        columns += [p] if p - 1 in positions or not columns else [None, p]
    return columns


def _rows(axis: Axis, columns: list[int | None]) -> list[int]:
    """Return the outputs to draw: all, or those at either end that begin or end in a column that is drawn."""
    if None not in columns and axis.windows <= ROWS:
        return list(range(axis.windows))
    seen = set(columns)
    head = [
        i
        for i in range(min(ENDS, axis.windows))
        if i == 0 or (axis.start(i) in seen and axis.start(i) + axis.span // 2 in seen)
    ]
    tail = [
        i
        for i in range(max(0, axis.windows - ENDS), axis.windows)
        if i == axis.windows - 1 or (axis.start(i) + axis.span - 1 in seen and axis.start(i) + axis.span // 2 in seen)
    ]
    return sorted({*head, *tail})


def _cells(axis: Axis, output: int, columns: list[int | None]) -> dict[int, str]:
    taps, first = axis.taps(output), axis.start(output)
    cells = {}
    for p in columns:
        if p is None or p not in axis.positions:
            continue
        if p in taps:
            cells[p] = f"w{taps[p]}" if axis.weighted else "■"
        else:
            cells[p] = "-" if first < p < first + axis.span else "·"
    return cells


def _row(name: str, left: int, wide: int, axis: Axis, cells: dict[int, str], columns: list[int | None]) -> str:
    line = f"  {name:<{left}} "
    for p in columns:
        bar = " │" if p in axis.edges else ""
        line += f"{bar} {'…' if p is None else cells.get(p, ''):>{1 if p is None else wide}}"
    return line.rstrip()


def _named(alike: list[Axis]) -> str:
    """Return `axis 0 (H)`, or `axes 0 and 1 (H, W)`."""
    numbers = " and ".join(", ".join(str(a.number) for a in alike).rsplit(", ", 1))
    return f"{'axis' if len(alike) == 1 else 'axes'} {numbers} ({', '.join(a.name for a in alike)})"


def _heading(axis: Axis) -> str:
    spread = f" (spread over {axis.span})" if axis.dilation > 1 and axis.kernel > 1 else ""
    hanging = f"hanging over by {axis.hanging}, " if axis.hanging else ""
    return (
        f"{_count(axis.size, 'input')}, padding {pads_in_words(axis.low, axis.high)}, {hanging}"
        f"window {axis.kernel}{spread} every {axis.stride}"
    )


def _notes(axis: Axis) -> list[str]:
    """Return what the drawing may leave to be overlooked: unread inputs, idle padding, outputs of padding alone."""
    notes = [*_same(axis), _starts(axis)]
    if axis.windows * axis.kernel > COUNTED or len(axis.drawn) > COUNTED:
        rest = axis.positions[-1] - axis.start(axis.windows - 1) - axis.span + 1
        return (
            [*notes, f"the last {_count(rest, 'position')} {'is' if rest == 1 else 'are'} read by no window"]
            if rest
            else notes
        )
    read = {p for output in range(axis.windows) for p in axis.taps(output)}
    inputs = {axis.held(p) for p in read}
    if unread := set(range(axis.size)) - inputs:
        notes.append(f"{in_runs(unread, 'x')} {'is' if len(unread) == 1 else 'are'} read by no window")
    for beyond, side in ((range(-axis.low, 0), "before"), (range(axis.size, axis.size + axis.high), "after")):
        if idle := len(set(beyond) - read):
            whose = f"{idle} of the {_count(len(beyond), 'padded position')} {side}"
            notes.append(f"{whose} {'is' if idle == 1 else 'are'} read by no window")
    if empty := [i for i in range(axis.windows) if all(axis.held(p) < 0 for p in axis.taps(i))]:
        notes.append(f"{in_runs(empty, 'y')} {'reads' if len(empty) == 1 else 'read'} padding only")
    return notes


def _same(axis: Axis) -> list[str]:
    if axis.kind not in ("same_upper", "same_lower"):
        return []
    outputs = -(-axis.size // axis.stride)
    need = (outputs - 1) * axis.stride + axis.span - axis.size
    sum_ = f"({outputs} - 1) * {axis.stride} + {axis.span} - {axis.size} = {need}"
    odd = f", the odd one {'after' if axis.kind == 'same_upper' else 'before'}" if need > 0 and need % 2 else ""
    told = f"take {sum_} more{odd}" if need > 0 else f"take no padding: {sum_}"
    return [f"same: ceil({axis.size} / {axis.stride}) = {_count(outputs, 'output')} {told}"]


def _starts(axis: Axis) -> str:
    """Return where the windows start, which is what `same` moves."""
    starts = [axis.start(i) for i in range(min(axis.windows, 4))]
    if axis.windows == 1:
        return f"the window starts at {starts[0]}"
    if axis.windows <= 4:
        return f"the windows start at {', '.join(map(str, starts[:-1]))} and {starts[-1]}"
    return f"the windows start at {', '.join(map(str, starts[:3]))}, …, {axis.start(axis.windows - 1)}"


def _plane_label(rows: Axis, r: int, columns: Axis, c: int) -> str:
    held = rows.held(r), columns.held(c)
    return rows.blank if min(held) < 0 else f"{held[0]},{held[1]}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
