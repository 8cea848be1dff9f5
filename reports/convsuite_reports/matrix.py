"""The matrix: operation and feature × backend, a cell what the cases of that feature come to there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convsuite_reports.gathered import BY, Cell, Gathered
from convsuite_reports.marks import Mark, State

_MOST_REASONS = 4  # told of a cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """One cell."""

    state: State
    count: str  # right of all, or all where all are right
    label: str  # in words, for who does not see the colour
    tip: int  # its place among the table's tips


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One feature of an operation."""

    operation: str
    feature: str
    page: str  # with its cases; "" where none has just these
    squares: tuple[Square | None, ...]  # a backend each; None where it has no outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One way to cut the outcomes into rows."""

    by: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """All ways, and what is told of each cell on hover or focus."""

    backends: tuple[str, ...]
    operations: tuple[str, ...]
    tables: tuple[Table, ...]
    tips: tuple[Any, ...]  # [[mark, count], …], [[mark, reason, count], …]
    reasons: tuple[str, ...]


def matrix_of(gathered: Gathered) -> Matrix:
    """Return the matrix of what was gathered."""
    tips: list[Any] = []
    reasons: dict[str, int] = {}
    tables = tuple(
        Table(
            by=by, rows=tuple(_row(gathered, by, key, cells, tips, reasons) for key, cells in sorted(_of(gathered, by)))
        )
        for by in BY
    )
    operations = tuple(sorted({operation for operation, _ in gathered.matrix["feature"]}))
    return Matrix(
        backends=gathered.backends, operations=operations, tables=tables, tips=tuple(tips), reasons=tuple(reasons)
    )


def _of(gathered: Gathered, by: str) -> list[tuple[tuple[str, str], dict[str, Cell]]]:
    return list(gathered.matrix[by].items())


def _row(
    gathered: Gathered, by: str, key: tuple[str, str], cells: dict[str, Cell], tips: list[Any], reasons: dict[str, int]
) -> Row:
    operation, feature = key
    squares = []
    for backend in gathered.backends:
        cell = cells.get(backend)
        squares.append(_square(cell, f"{operation} {feature}, {backend}", len(tips)) if cell else None)
        if cell:
            tips.append(_tip(cell, reasons))
    page = gathered.files[key] if by == "feature" else ""
    return Row(operation=operation, feature=feature, page=page, squares=tuple(squares))


def _square(cell: Cell, whose: str, tip: int) -> Square:
    whole = cell.right == cell.total or not cell.right
    count = f"{cell.total}" if whole else f"{cell.right}/{cell.total}"
    if cell.state is State.WRONG or (cell.state is State.KNOWN and whole):
        count = f"{cell.right}/{cell.total}"
    label = f"{whose}: {cell.state}, {cell.right} of {cell.total} right"
    return Square(state=cell.state, count=count, label=label, tip=tip)


def _tip(cell: Cell, reasons: dict[str, int]) -> list[Any]:
    """Return the counts by mark, and the reasons that most outcomes have: findings first."""
    order = list(reversed(Mark))
    marks = sorted(cell.counts.items(), key=lambda item: order.index(Mark(item[0])))
    often = sorted(cell.reasons.items(), key=lambda item: (order.index(Mark(item[0][0])), -item[1]))
    told = [[mark, reasons.setdefault(text, len(reasons)), n] for (mark, text), n in often[:_MOST_REASONS]]
    return [[[str(mark), n] for mark, n in marks], told]
