"""Runs of a results database by the names that people give them: a number, or `last`; FILE:NUMBER is of another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convsuite.errors import StoreError

if TYPE_CHECKING:
    from convsuite.store import Store

WITH_OUTCOMES = "SELECT id FROM run WHERE EXISTS (SELECT 1 FROM outcome WHERE outcome.run = run.id) ORDER BY id"
CHECKS = """SELECT id FROM run WHERE EXISTS (SELECT 1 FROM outcome WHERE outcome.run = run.id)
    AND NOT EXISTS (SELECT 1 FROM timing WHERE timing.run = run.id) ORDER BY id"""  # a bench has outcomes, too
WITH_TIMES = "SELECT id FROM run WHERE EXISTS (SELECT 1 FROM timing WHERE timing.run = run.id) ORDER BY id"


def split(text: str, db: Path) -> tuple[Path, str]:
    """Return the database that a name speaks of, and the name within it."""
    file, _, name = text.rpartition(":")
    return (Path(file) if file else db), name


def check(name: str, store: Store, way: str = "`convsuite check` makes one") -> int:
    """Return the number of a run with outcomes. `last` is the newest check, or bench where there is no check.

    Raise StoreError where there is none; `way` is a word of the message.
    """
    known = numbers(store, WITH_OUTCOMES)
    if name == "last":
        known = numbers(store, CHECKS) or known
    return _number(name, known, store.path, "check", "outcomes", way)


def bench(name: str, store: Store, way: str = "`convsuite bench` makes one") -> int:
    """Return the number of a run with times. Raise StoreError where it has none; `way` is a word of the message."""
    return _number(name, numbers(store, WITH_TIMES), store.path, "bench", "times", way)


def numbers(store: Store, query: str) -> list[int]:
    """Return the runs that a query names, one of the three above."""
    return [int(row[0]) for row in store.rows(query)]


def _number(name: str, known: Sequence[int], path: Path, what: str, has: str, way: str) -> int:
    """Return the number of a run; `known` are those that can be meant. Raise StoreError where it is none of them.

    `what` a run must be, what the others `has`, and the `way` to one are words of the message.
    """
    if name == "last" and known:
        return known[-1]
    if not name.isdecimal() or int(name) not in known:
        there = f"it has {has} of run {', '.join(map(str, known))}" if known else f"no run in it has {has}"
        hint = f"; of another database: {name}:NUMBER" if Path(name).is_file() else ""
        raise StoreError(f"{path}: no {what} is run {name!r}; {there} ({way}){hint}")
    return int(name)
