"""One `convsuite meaning` from its options to its exit code."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from convsuite.errors import BackendError
from convsuite.meaning import asking, markdown, register
from convsuite.meaning.dialect import dialects, missing
from convsuite.meaning.questions import QUESTIONS
from convsuite.meaning.survey import survey
from convsuite.meaning.table import print_rows
from convsuite.terminal import console_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from convsuite.meaning.records import Row
    from convsuite.meaning.survey import Asked


def run_meaning(patterns: tuple[str, ...], form: str) -> int:
    """Ask the calls that patterns mean, tell what they mean, and return 1 where that is not what is recorded.

    `form` is table, json or markdown. Raise BackendError where no framework of these calls is installed.
    """
    known = dialects()
    chosen = asking.select(asking.every(known), patterns)
    absent = {name: gone for name, dialect in known.items() if (gone := missing(dialect))}
    if all(a.backend in absent for a in chosen):
        raise BackendError(f"nothing asked: {_not_installed(dict.fromkeys(a.backend for a in chosen), absent)}")
    console = console_for(sys.stdout if form == "table" else sys.stderr)
    rows = _answers(console, [a for a in chosen if a.backend not in absent])
    changed = register.changes(rows)
    if form == "json":
        sys.stdout.write(register.text(_with_absent(rows, [a for a in chosen if a.backend in absent])))
    elif form == "markdown":
        asked = [q for q in QUESTIONS if any(row.question == q for row in rows)]
        sys.stdout.write("\n".join(markdown.table(q, rows, changed) for q in asked))
    else:
        print_rows(console, rows, changed)
    for name in dict.fromkeys(a.backend for a in chosen):
        if name in absent:
            console.print(f"{name}: not installed ({', '.join(absent[name])})", style="dim", highlight=False)
    console.print(_verdict(rows, changed), style="magenta" if changed else "green", highlight=False)
    return int(bool(changed))


def _not_installed(backends: Iterable[str], absent: dict[str, tuple[str, ...]]) -> str:
    """Say which modules of these are not installed."""
    modules = dict.fromkeys(module for name in backends for module in absent[name])
    return f"{', '.join(modules)} {'is' if len(modules) == 1 else 'are'} not installed"


def _with_absent(rows: list[Row], absent: list[Asked]) -> list[Row]:
    """Return rows with those that are recorded of frameworks that are not here: a register loses no framework."""
    calls = {(a.backend, a.call.question, a.call.text) for a in absent}
    kept = [row for row in register.recorded() if (row.backend, row.question, row.call) in calls]
    return sorted(rows + kept, key=lambda row: (list(QUESTIONS).index(row.question), row.backend))


def _answers(console: Console, chosen: list[Asked]) -> list[Row]:
    names = ", ".join(dict.fromkeys(a.backend for a in chosen))
    with console.status(f"asking {names}") if console.is_terminal else nullcontext():
        return survey(chosen)


def _verdict(rows: list[Row], changed: dict[Row, Row]) -> str:
    new = sum(row not in changed and not register.known(row) for row in rows)
    told = [
        f"{len(rows)} call{'s' if len(rows) != 1 else ''}",
        f"{len(changed)} changed in meaning since recorded" if changed else "none changed",
    ]
    return ", ".join(told + ([f"{new} not recorded yet"] if new else []))
