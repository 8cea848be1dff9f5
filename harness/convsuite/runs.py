"""Runs of a results database by the names that people give them: a number, or `last`; FILE:NUMBER is of another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convsuite.errors import StoreError

WITH_OUTCOMES = "SELECT id FROM run WHERE EXISTS (SELECT 1 FROM outcome WHERE outcome.run = run.id) ORDER BY id"
CHECKS = """SELECT id FROM run WHERE EXISTS (SELECT 1 FROM outcome WHERE outcome.run = run.id)
    AND NOT EXISTS (SELECT 1 FROM timing WHERE timing.run = run.id) ORDER BY id"""  # a bench has outcomes, too
WITH_TIMES = "SELECT id FROM run WHERE EXISTS (SELECT 1 FROM timing WHERE timing.run = run.id) ORDER BY id"


def split(text: str, db: Path) -> tuple[Path, str]:
    """Return the database that a name speaks of, and the name within it."""
    file, _, name = text.rpartition(":")
    return (Path(file) if file else db), name


def number(name: str, known: Sequence[int], path: Path, what: str, has: str, way: str) -> int:
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
