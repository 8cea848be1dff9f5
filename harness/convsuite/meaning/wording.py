"""Rows as a person reads them: one for all backends of which the same is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convsuite.meaning.records import Row

NONE = "none of these"
# what sets a default variant apart from the others
_DEFAULT = {"keras": "tensorflow", "tensorflow": "oneDNN"}


@dataclass(frozen=True, slots=True)
class Line:
    """What is told of one call of one framework."""

    call: str
    orders: str
    framework: str  # keras 3.15.1 (jax, torch)
    meaning: str
    refuses: str  # the rule, and the framework's words
    before: str  # what was recorded, where that is something else
    fits: bool


def lines(rows: Sequence[Row], changed: Mapping[Row, Row]) -> list[Line]:
    """Return the lines of rows of one question: variants of a framework of which the same is true share one."""
    groups = dict[tuple[object, ...], list[Row]]()
    for row in rows:
        framework = row.backend.partition(":")[0]
        key = framework, row.version, row.call, row.orders, row.meanings, row.differs, row.refuses, row in changed
        groups.setdefault(key, []).append(row)
    return [_line(group, changed.get(group[0])) for group in groups.values()]


def _line(group: Sequence[Row], old: Row | None) -> Line:
    row = group[0]
    return Line(
        call=row.call,
        orders=row.orders,
        framework=_framework(group),
        meaning=_meaning(row),
        refuses=_refuses(row),
        before=f"{_meaning(old)}, refused {old.refuses or 'nothing'} ({old.version})" if old is not None else "",
        fits=bool(row.meanings),
    )


def _framework(group: Sequence[Row]) -> str:
    name, version = group[0].backend.partition(":")[0], group[0].version
    variants = [row.backend.partition(":")[2] for row in group]
    if name != "keras" and not any(variants):
        return f"{name} {version}"
    return f"{name} {version} ({', '.join(variant or _DEFAULT[name] for variant in variants)})"


def _meaning(row: Row) -> str:
    if not row.answered:
        return "—"
    if not row.meanings:
        return f"{NONE}: {row.differs}"
    first, *others = row.meanings
    return first + (f" (there the same as {', '.join(others)})" if others else "")


def _refuses(row: Row) -> str:
    return f"{row.refuses}: {row.words}" if row.refuses else ""
