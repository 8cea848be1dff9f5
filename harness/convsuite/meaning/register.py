"""The register: what each call meant when it was last recorded, shipped as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files

import msgspec

from convsuite.meaning.records import Row

FILE = "meanings.json"
_Key = tuple[str, str, str]


@cache
def recorded() -> tuple[Row, ...]:
    """Return the rows that are shipped."""
    kept = (files("convsuite_cases") / FILE).read_bytes()
    return msgspec.json.decode(kept or b"[]", type=tuple[Row, ...])  # a shell empties the file that it writes to first


def text(rows: Sequence[Row]) -> str:
    """Return rows as the register's file holds them: a line each, so that a change is a changed line."""
    return "[\n" + ",\n".join(msgspec.json.encode(row).decode() for row in rows) + "\n]\n"


def changes(rows: Iterable[Row]) -> dict[Row, Row]:
    """Return the rows that mean something else than what is recorded, and what is; a new row is no change."""
    before = {_key(row): row for row in recorded()}
    return {row: old for row in rows if (old := before.get(_key(row))) is not None and not row.same(old)}


def known(row: Row) -> bool:
    """Return whether a row's call is recorded."""
    return _key(row) in map(_key, recorded())


def _key(row: Row) -> _Key:
    return row.backend, row.question, row.call
