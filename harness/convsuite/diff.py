"""`convsuite diff`: two runs compared on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from convsuite import terminal
from convsuite.changes import COUNTED_ONLY, Change, Changes, Kind, between
from convsuite.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

EXIT_BEGAN = 3
_SHOWN = 20  # of a kind
_STYLES = {Kind.BEGAN: "red", Kind.OTHERWISE: "yellow", Kind.CEASED: "green", Kind.GAINED: "green"}


def run_diff(before: str, after: str, db: Path) -> int:
    """Compare two runs and return the exit code: 0, or 3 where something began to fail."""
    found = between(before, after, db)
    print_changes(terminal.console_for(sys.stdout), found)
    return EXIT_BEGAN if found.counts[Kind.BEGAN] else 0


def print_changes(console: Console, found: Changes) -> None:
    """Print what may explain a difference, what differs, and how often."""
    one, other = found.before, found.after
    terminal.line(console, f"{one.name} ({one.started}) → {other.name} ({other.started})")
    for name, was, now in found.about:
        terminal.line(console, f"  {name} differs: {was} → {now}")
    for kind in Kind:
        if found.counts[kind]:
            _print_kind(console, found, kind)
    checks = counted(found.common, "check")
    said = ", ".join(f"{found.counts[kind]} {kind.plural}" for kind in Kind if found.counts[kind])
    terminal.line(console, f"\n{checks} in both: {said or 'no difference'}")


def _print_kind(console: Console, found: Changes, kind: Kind) -> None:
    by = {backend: n for (own, backend), n in sorted(found.backends.items()) if own is kind}
    console.print()
    console.print(kind.value, style=_STYLES.get(kind, ""), end=": ")
    terminal.line(console, ", ".join(f"{n} on {backend}" for backend, n in by.items()))
    for change in [] if kind in COUNTED_ONLY else found.kept[kind][:_SHOWN]:
        terminal.line(console, f"  {described(change)}")
    hidden = found.counts[kind] - _SHOWN
    if hidden > 0 and kind not in COUNTED_ONLY:
        terminal.line(console, f"  … and {hidden} more: `convsuite report` has them")


def described(change: Change) -> str:
    """Return one change in a line."""
    found, was = change.either, change.before
    text = f"{found.case_id} [{found.pass_}] on {found.backend}: "
    if was is not None and change.after is not None and was.status != found.status:
        text += f"{was.status} → "
    elif was is None and change.kind is Kind.BEGAN:  # nobody knows what it did before
        text += "not in the first → "
    return text + found.status + (f": {found.message}" if found.message else "")
