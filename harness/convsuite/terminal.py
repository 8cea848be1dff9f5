"""What a run looks like on a terminal: progress, the two tables, the findings with their way back."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from rich.box import SIMPLE_HEAD

from convsuite.case import Outcome, Pass, Status
from convsuite.wording import counted

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from convsuite.tally import Finding, Tally

_REASONS = 8  # kinds of known failures told without being asked
_SHOWN = 40  # findings printed; the rest is counted, and in the database
_WIDTH = 160  # columns where output goes to a file or a log
_SAY_EVERY_S = 10.0  # a line of progress where there is no terminal

LOOK: dict[str, Any] = {"box": SIMPLE_HEAD, "pad_edge": False, "padding": (0, 1, 0, 0)}
_Column = tuple[Status | None, str, str]  # what is counted (None: suspects), title, style
_COLUMNS: tuple[_Column, ...] = (
    (Status.PASSED, "passed", "green"),
    (Status.MISMATCH, "mismatch", "bold red"),
    (Status.ERROR, "error", "red"),
    (Status.CRASH, "crash", "bold red"),
    (Status.TIMEOUT, "timeout", "red"),
    (Status.FIXED_UPSTREAM, "fixed", "magenta"),
    (Status.KNOWN_FAILURE, "known", "yellow"),
    (Status.UNSUPPORTED, "unsupported", "dim"),
    (None, "suspect", "yellow"),
)
# control characters, but for tab and newline: a message may not move the cursor or colour what follows
_CONTROL = {i: f"\\x{i:02x}" for i in (*range(9), *range(11, 32), *range(127, 160))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What a command needs, beside the case and the backend, to do again what this run did."""

    cases: tuple[str, ...] = ()  # --cases
    device: str = "cpu"
    options: tuple[str, ...] = ()  # all others that may change an outcome, as they were written

    def line(self, outcome: Outcome) -> str:
        """Return the command that runs one outcome's case again."""
        from convsuite.run import IMPORT

        return self.check("" if outcome.case_id == IMPORT else outcome.case_id, outcome.backend)

    def check(self, case_id: str, backend: str) -> str:
        """Return the command that runs a case on a backend; without a case, all of them."""
        words = ["convsuite", "check", *([case_id] if case_id else []), "--backend", backend, *self._folders()]
        if self.device != "cpu":
            words += ["--device", self.device]
        words += self.options
        return shlex.join(words)

    def look(self, outcome: Outcome) -> str:
        """Return the command that shows one outcome's case."""
        return shlex.join(["convsuite", "show", outcome.case_id, *self._folders()])

    def _folders(self) -> list[str]:
        return [word for folder in self.cases for word in ("--cases", folder)]


def console_for(stream: TextIO) -> Console:
    """Return a console: as wide as its terminal, but never too narrow for the tables where there is none."""
    from rich.console import Console

    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a message that the terminal's encoding cannot show

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            end_quietly()

    console = Quiet(file=stream)
    return console if console.is_terminal else Quiet(file=stream, width=_WIDTH)


def end_quietly() -> NoReturn:
    """End as a program does whose reader is gone (`| head`): no message, and the status of SIGPIPE."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(141)


@contextmanager
def progress(console: Console, total: int, unit: str = "case") -> Iterator[Callable[[int], None]]:
    """Show how many of `total` cases, or other units, are done: a bar on a terminal, else a line now and then."""
    if not console.is_terminal:
        yield _said(console, total, unit)
        return
    shown, advance = bar(console, total, unit)
    with shown:
        yield advance


def bar(console: Console, total: int, unit: str) -> tuple[Progress, Callable[[int], None]]:
    """Return a bar that is not shown yet, and what moves it on by one; that takes the number of findings so far."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    made = Progress(*columns, console=console, transient=True)
    task = made.add_task(f"{unit}s", total=total)
    return made, lambda found: made.update(task, advance=1, description=f"{unit}s ({counted(found, 'finding')})")


def _said(console: Console, total: int, unit: str) -> Callable[[int], None]:
    done, begun = 0, time.monotonic()
    last = begun

    def advance(found: int) -> None:
        nonlocal done, last
        done += 1
        if time.monotonic() - last > _SAY_EVERY_S:
            last = time.monotonic()
            passed = _duration(last - begun)
            text = f"{done} of {counted(total, unit)} after {passed}, {counted(found, 'finding')} so far"
            console.print(text, highlight=False)

    return advance


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def print_versions(console: Console, tally: Tally) -> None:
    """Print what takes part, and its version: without it an outcome is half an answer."""
    line(console, ", ".join(f"{name} ({version})" for name, version in tally.versions))


def print_tally(console: Console, tally: Tally, rerun: Rerun, verbose: bool = False) -> None:
    """Print the outcome table, the agreement table, every finding, and the first suspects, which are none."""
    if tally.counts:
        line(console, "\nOutcomes (one check is one pass of one case)")
        print_table(console, _outcomes(tally, _COLUMNS), _outcomes(tally, _used(tally)))
    if tally.pairs:
        line(console, "Agreement of right answers: share equal bit for bit, and the largest difference in u·B (= none)")
        print_table(console, _agreement(tally, " "), _agreement(tally, "\n"))
    _print_reasons(console, "Known failures", tally.known, len(tally.known) if verbose else _REASONS)
    if tally.cases == 1:  # who asks for one wants to see what it gives
        for known in tally.as_listed:
            _print_finding(console, known, rerun, "known failure", "yellow")
    if verbose:
        _print_reasons(console, "Unsupported", tally.lacks, len(tally.lacks))
    for (backend, reason), count in sorted(tally.works_now.items()):
        line(console, f"declared unsupported, but right: {backend}: {reason} ({counted(count, 'check')})")
    for finding in tally.findings[:_SHOWN]:
        status = finding.outcome.status
        _print_finding(console, finding, rerun, status.value, next(s for own, _, s in _COLUMNS if own is status))
    for text in tally.stale:
        line(console, f"\nstale known failure: {text}")
    hidden = tally.found - len(tally.stale) - sum(len(f.passes) for f in tally.findings[:_SHOWN])
    if hidden > 0:
        line(console, f"\n… and {counted(hidden, 'more finding')}: all are in the database, and in --json and --junit")
    for suspect in tally.suspected:
        _print_finding(console, suspect, rerun, "suspect", "yellow")
    hidden = sum(tally.suspects.values()) - sum(len(s.passes) for s in tally.suspected)
    if hidden > 0:
        line(console, f"\n… and {counted(hidden, 'more suspect')}: all are in the database")


def _print_reasons(console: Console, title: str, reasons: Counter[tuple[str, str]], most: int) -> None:
    """Print what outcomes came of, most of them first: backend, count, reason."""
    if not reasons:
        return
    line(console, f"\n{title}")
    for (backend, reason), count in reasons.most_common(most):
        line(console, f"  {backend}: {count} × {reason}")
    if len(reasons) > most:
        more = counted(len(reasons) - most, "more reason")
        line(console, f"  … and {more}: --verbose tells all, with those for unsupported")


def verdict(tally: Tally) -> str:
    """Return the run in one sentence."""
    known, unsupported = tally.total(Status.KNOWN_FAILURE), tally.total(Status.UNSUPPORTED)
    head = counted(tally.found, "finding") if tally.found else "nothing found"
    all_ = f"{counted(tally.total(), 'check')} of {counted(tally.cases, 'case')}"
    parts = [f"{all_}: {head}", f"{tally.total(Status.PASSED)} passed"]
    parts += [counted(known, "known failure")] if known else []
    suspects, torn = sum(tally.suspects.values()), sum(tally.irreproducible.values())
    others = ((unsupported, "unsupported"), (suspects, "suspect"), (torn, "not reproducible"))
    parts += [f"{n} {what}" for n, what in others if n]
    return ", ".join(parts)


def print_table(console: Console, wide: Table, narrow: Table) -> None:
    """Print the wide form where it fits, else the narrow one: whole in any case, for a number that is cut misleads."""
    from rich.measure import Measurement

    unbound = console.options.update(max_width=10_000)
    fits = Measurement.get(console, unbound, wide).maximum <= console.width
    table = wide if fits else narrow
    table.width = Measurement.get(console, unbound, table).maximum
    console.print(table, crop=False, soft_wrap=not fits)


def _used(tally: Tally) -> tuple[_Column, ...]:
    """Return the columns that hold a number, and `passed`."""
    seen = {status for _, _, status in tally.counts} | {Status.PASSED.value}
    return tuple(column for column in _COLUMNS if (column[0] is None and tally.suspects) or column[0] in seen)


def _outcomes(tally: Tally, columns: tuple[_Column, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(**LOOK)
    table.add_column("operation", no_wrap=True)
    table.add_column("backend", no_wrap=True)
    for _, title, style in columns:
        table.add_column(title, justify="right", style=style, no_wrap=True)
    for operation, backend in sorted({(o, b) for o, b, _ in tally.counts}):
        numbers = [
            tally.counts[operation, backend, status.value] if status else tally.suspects[operation, backend]
            for status, _, _ in columns
        ]
        table.add_row(Text(operation), Text(backend), *(str(n) if n else "·" for n in numbers))
    return table


def _agreement(tally: Tally, between: str) -> Table:
    """Backend × backend: the share of answers equal bit for bit, and the largest difference in units of u·B."""
    from rich.table import Table
    from rich.text import Text

    names = sorted({name for pair in tally.pairs for name in pair})
    table = Table(**LOOK)
    table.add_column("", no_wrap=True)
    for name in names:
        # a variant's name may break after its colon: the matrix is as wide as there are variants
        table.add_column(Text(name.replace(":", ":\n")), justify="right", no_wrap=True)
    for left in names:
        cells = []
        for right in names:
            pair = tally.pairs.get((left, right)) or tally.pairs.get((right, left))
            cells.append(f"{_share(pair.identical, pair.compared)}{between}{_units(pair.units)}" if pair else "")
        table.add_row(Text(left), *cells)
    return table


def _share(part: int, whole: int) -> str:
    """Return a percentage that says 100 only where it is all."""
    percent = 100 * part / whole
    return f"{percent:.0f}%" if part == whole else f"{min(percent, 99.9):.1f}%"


def _units(units: float) -> str:
    return "=" if units == 0 else f"{units:.2g}"


def _print_finding(console: Console, finding: Finding, rerun: Rerun, what: str, style: str) -> None:
    from convsuite.run import IMPORT

    o = finding.outcome
    passes = "" if o.case_id == IMPORT else f" [{', '.join(p.value for p in finding.passes)}]"
    place = f" ({finding.case.origin.file}:{finding.case.origin.line})" if finding.case else ""
    console.print()
    console.print(what, style=style, end=" ")
    line(console, f"{o.case_id}{passes} on {o.backend}{place}")
    line(console, f"  {o.message}")
    if o.numerics and o.numerics.narrowing:
        line(console, f"  judged under: {o.numerics.narrowing}")
    look = f"   look: {rerun.look(o)}" if finding.case and finding.passes[0] is Pass.FORWARD else ""
    line(console, f"  rerun: {rerun.line(o)}{look}")


def line(console: Console, text: str) -> None:
    """Print text as it is: what came from a case or a backend is never markup, and never wrapped apart."""
    console.print(text.translate(_CONTROL), markup=False, emoji=False, highlight=False, soft_wrap=True)
