"""Swept keys: every combination (`sweep`) or every pair of values in few combinations (`pairwise`), and their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, combinations, islice, product
from typing import Any

MAX_PAIRS = 100_000  # of values in one pairwise sweep
COMPLETIONS = 300  # tried for a pair before it counts as impossible

_SAFE = re.compile(r"[A-Za-z0-9_.\-]+")

Row = tuple[int, ...]  # for each key, the index of its value


def value_text(value: Any) -> str:
    """Return a swept value as an id writes it: shell-safe and file-safe. Raise ValueError for text that is not."""
    if isinstance(value, dict):
        return "+".join(f"{value_text(k)}_{value_text(v)}" for k, v in value.items())
    if isinstance(value, list):
        return "x".join("_".join(map(value_text, v)) if isinstance(v, list) else value_text(v) for v in value)
    text = (
        {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else str(value)
    )
    text = text.replace("+", "")  # of an exponent
    if not _SAFE.fullmatch(text):
        raise ValueError(text)
    return text


def pair_count(sizes: Sequence[int]) -> int:
    """Return how many pairs of values of different keys there are."""
    return sum(a * b for a, b in combinations(sizes, 2))


def pairwise(sizes: Sequence[int], possible: Callable[[Row], bool]) -> list[Row]:
    """Return possible rows, in order, that together hold every pair of values that a possible row can hold.

    The library's search stops early where a filter is in its way, so pairs that it leaves out are looked for one by
    one, in rows near those already found.
    """
    from allpairspy import AllPairs

    if len(sizes) < 2:
        return [row for row in product(*map(range, sizes)) if possible(row)]
    search = AllPairs([list(range(n)) for n in sizes], filter_func=lambda r: len(r) < len(sizes) or possible(tuple(r)))
    rows = [tuple(row) for row in search]
    covered = {pair for row in rows for pair in _pairs(row)}
    for (i, a), (j, b) in _all_pairs(sizes):
        if ((i, a), (j, b)) in covered:
            continue
        near = ([*row] for row in rows)
        tries = chain(near, ([*row] for row in product(*map(range, sizes))))
        row = next(filter(possible, (_with(r, i, a, j, b) for r in islice(tries, COMPLETIONS))), None)
        if row is not None:
            rows.append(row)
            covered.update(_pairs(row))
    return sorted(set(rows))


def _with(row: list[int], i: int, a: int, j: int, b: int) -> Row:
    row[i], row[j] = a, b
    return tuple(row)


def _pairs(row: Row) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    return combinations(enumerate(row), 2)


def _all_pairs(sizes: Sequence[int]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for (i, m), (j, n) in combinations(enumerate(sizes), 2):
        for a, b in product(range(m), range(n)):
            yield (i, a), (j, b)
