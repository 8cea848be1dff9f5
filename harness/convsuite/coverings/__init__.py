"""Rows that hold every pair of values, kept for the sweeps that convsuite ships.

The ids of a pairwise sweep's cases follow from its rows, and lists of known failures name ids: another release of the
library that finds the rows must not change them. Kept rows are also there at once, which a listing is glad of.

    python -m convsuite.coverings > harness/convsuite/coverings/rows.json    after a shipped pairwise sweep has changed
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

Row = tuple[int, ...]  # for each key, the index of its value


@cache
def _kept() -> dict[str, tuple[Row, ...]]:
    text = (files(__name__) / "rows.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, tuple[Row, ...]])


def kept(sizes: tuple[int, ...]) -> tuple[Row, ...] | None:
    """Return the kept rows for keys with these numbers of values, if there are any."""
    return _kept().get(_key(sizes))


def text(coverings: dict[tuple[int, ...], tuple[Row, ...]]) -> str:
    """Return what `rows.json` holds for some rows by their sizes: a line for each."""
    lines = (
        f"{msgspec.json.encode(_key(s)).decode()}: {msgspec.json.encode(coverings[s]).decode()}"
        for s in sorted(coverings)
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _key(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
