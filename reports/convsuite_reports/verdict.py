"""A run in a sentence, and in a second one the numbers that qualify it."""

from __future__ import annotations

from convsuite_reports.gathered import Gathered
from convsuite_reports.marks import FOUND, RIGHT, Mark


def verdict(gathered: Gathered) -> str:
    """Return the run in one sentence."""
    backends = [name for name, counts in gathered.counts.items() if counts]
    whole = f"{_counted(gathered.checks, 'check')} of {_counted(gathered.cases, 'case')}"
    on = f" on {_counted(len(backends), 'backend')}"
    if not gathered.all_found:
        return f"Nothing found in {whole}{on}"
    where = sorted({name for name, counts in gathered.counts.items() if any(counts[mark] for mark in FOUND)})
    one = len(where) == 1 and len(backends) > 1 and not gathered.stale
    named = f", all on {where[0]}" if one else ""
    return f"{_counted(gathered.all_found, 'finding')} in {whole}{on}{named}"


def more(gathered: Gathered) -> str:
    """Return the numbers that qualify the verdict."""
    total = gathered.total()
    suspects, torn = sum(gathered.suspects.values()), sum(gathered.torn.values())
    parts = [f"{sum(total[m] for m in RIGHT):,} right"]
    parts += [_counted(total[Mark.KNOWN], "known failure")] if total[Mark.KNOWN] else []
    parts += [_counted(len(gathered.stale), "stale known failure")] if gathered.stale else []
    others = ((total[Mark.UNSUPPORTED], "unsupported"), (suspects, "suspect"), (torn, "not reproducible"))
    return ", ".join([*parts, *(f"{n:,} {what}" for n, what in others if n)]) + "."


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
