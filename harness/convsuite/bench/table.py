"""What a bench looks like on a terminal: a table for each problem, the totals, and what has no time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from convsuite.bench import units
from convsuite.bench.estimate import Ratio, Verdict
from convsuite.bench.records import HOT
from convsuite.terminal import LOOK, line, print_table
from convsuite.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from convsuite.bench.records import Cell
    from convsuite.bench.summary import Row, Total

_STYLES = {
    Verdict.FASTER: "green",
    Verdict.SLOWER: "red",
    Verdict.NOISY: "yellow",
}


def print_problem(console: Console, rows: Sequence[Row], base: str) -> None:
    """Print one pass of one problem: a row for each backend, thread count and mode."""
    several = _several(rows)
    line(console, f"\n{_title(rows[0])}")
    print_table(console, _problem(rows, base, several, wide=True), _problem(rows, base, several, wide=False))
    for row in rows:
        if row.estimate.unstable:
            line(console, f"  ~ {label(row.cell, several)} is unstable: {'; '.join(row.estimate.unstable)}")


def so_far(rows: Sequence[Row], base: str) -> Table:
    """Return the table of a problem that has not had all its turns."""
    from rich.text import Text

    table = _problem(rows, base, _several(rows), wide=False)
    table.title, table.title_justify = Text(_title(rows[0]) if rows else ""), "left"
    return table


def print_totals(console: Console, totals: Sequence[Total], base: str) -> None:
    """Print what each suite comes to, weighted by how often its network has each layer."""
    from rich.table import Table
    from rich.text import Text

    several = len({total.cell.threads for total in totals}) > 1
    table = Table(**LOOK)
    for title in ("suite", "pass", "backend"):
        table.add_column(title, no_wrap=True)
    for title in ("problems", "Σ repeats × median", f"× {base}, geometric mean", ""):
        table.add_column(Text(title), justify="right", no_wrap=True)
    for total in totals:
        part = f"{total.problems} of {total.of}" if total.problems < total.of else f"{total.problems}"
        table.add_row(
            Text(total.suite), total.cell.pass_.value, Text(label(total.cell, several)), part,
            units.seconds(total.seconds), *_or_base(total.ratio, total.cell.backend == base),
        )  # fmt: skip
    line(console, "\nTotals")
    print_table(console, table, table)


def _title(row: Row) -> str:
    problem = row.problem
    work = f"{units.count(problem.flops, 'FLOP')}, {units.count(problem.bytes, 'B')}"
    often = f", {problem.repeats} times in its network" if problem.repeats > 1 else ""
    return f"{problem.case_id} [{row.cell.pass_.value}] {problem.dtype}, {work}{often}"


def _several(rows: Sequence[Row]) -> bool:
    return len({row.cell.threads for row in rows}) > 1


def label(cell: Cell, several: bool) -> str:
    """Return a cell's backend, with what tells it from the others: threads where there are several, the mode."""
    threads = f", {counted(cell.threads, 'thread')}" if several else ""
    mode = "" if cell.mode == HOT else f", {cell.mode}"
    return f"{cell.backend}{threads}{mode}"


def _problem(rows: Sequence[Row], base: str, several: bool, wide: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(**LOOK)
    table.add_column("backend", no_wrap=True)
    for title in ("median", "spread", "GFLOP/s", "of peak", "GB/s"):
        table.add_column(title, justify="right", no_wrap=True)
    more = ["of copy", "fastest", "first call", "memory"] if wide else []
    more += ["workspace"] if wide and any(row.estimate.workspace_bytes is not None for row in rows) else []
    for title in more:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column(Text(f"× {base}"), justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        e = row.estimate
        mark = "~" if e.unstable else ""
        told = [
            units.share(row.copy_share), units.seconds(e.minimum), units.seconds(e.first_s),
            _bytes(e.memory_bytes), _bytes(e.workspace_bytes),
        ]  # fmt: skip
        table.add_row(
            Text(label(row.cell, several)), f"{mark}{units.seconds(e.median)}", f"{e.spread:.1%}",
            units.digits(row.flops / 1e9), units.share(row.peak_share), units.digits(row.bytes / 1e9),
            *told[: len(more)], *_or_base(row.ratio, row.cell.backend == base), style="yellow" if e.unstable else "",
        )  # fmt: skip
    return table


def _bytes(count: int | None) -> str:
    return "–" if count is None else units.count(count, "B")


def ratio_cells(ratio: Ratio) -> tuple[Text, Text]:
    """Return a ratio with its interval, and what may be said of it."""
    from rich.text import Text

    low, high = ratio.interval
    between = "" if math.isnan(low) else f" [{units.digits(low)}, {units.digits(high)}]"
    return Text(f"{units.digits(ratio.value)}{between}"), Text(
        ratio.verdict.value, style=_STYLES.get(ratio.verdict, "")
    )


def _or_base(ratio: Ratio | None, is_base: bool) -> tuple[Text, Text]:
    from rich.text import Text

    return ratio_cells(ratio) if ratio else (Text("1" if is_base else "–"), Text())
