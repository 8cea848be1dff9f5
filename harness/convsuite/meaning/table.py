"""The register on a terminal: a table for each question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from convsuite.meaning.questions import QUESTIONS
from convsuite.meaning.records import Question, Row
from convsuite.meaning.wording import Line, lines

_WIDE = 120  # columns from which arrays and framework have columns of their own


def print_rows(console: Console, rows: Sequence[Row], changed: Mapping[Row, Row]) -> None:
    """Print rows, grouped by question."""
    for question in QUESTIONS.values():
        own = [row for row in rows if row.question == question.id]
        if own:
            _print_question(console, question, own, changed)


def _print_question(console: Console, question: Question, rows: Sequence[Row], changed: Mapping[Row, Row]) -> None:
    console.print(Text(question.text, style="bold").append(f"  {question.id}", style="not bold dim"), soft_wrap=True)
    told = lines(rows, changed)
    console.print(_wide(told) if console.width >= _WIDE else _narrow(told))
    for meaning in question.meanings:
        if any(meaning.name in row.meanings for row in rows):
            console.print(Text(f"  {meaning.name}: {meaning.text}", style="dim"), soft_wrap=True)
    console.print()


def _wide(told: Sequence[Line]) -> Table:
    table = _table(("call", 5), ("arrays", None), ("framework", None), ("meaning", 3))
    for line in told:
        table.add_row(Text(line.call), Text(line.orders, style="dim"), Text(line.framework), _meaning(line))
    return table


def _narrow(told: Sequence[Line]) -> Table:
    """Return a table of two columns, framework and arrays below the call."""
    table = _table(("call", 5), ("meaning", 4))
    for line in told:
        below = f"{line.framework}: {line.orders}" if line.orders else line.framework
        table.add_row(Text(line.call).append(f"\n  {below}", style="dim"), _meaning(line))
    return table


def _table(*columns: tuple[str, int | None]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for head, ratio in columns:
        table.add_column(head, overflow="fold", ratio=ratio, no_wrap=ratio is None)
    return table


def _meaning(line: Line) -> Text:
    text = Text(line.meaning, style="green" if line.fits else "red")
    if line.refuses:
        text.append(f"\nrefuses {line.refuses}", style="yellow")
    if line.before:
        text.append(f"\nchanged: was {line.before}", style="bold magenta")
    return text
