"""Swept keys: every combination (`sweep`) or every pair of values in few combinations (`pairwise`), and their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain, combinations, islice, product
from typing import Any

from convsuite import coverings

MAX_PAIRS = 100_000  # of values in one pairwise sweep
COMPLETIONS = 300  # tried for a pair before it counts as impossible

_SAFE = re.compile(r"[A-Za-z0-9_.\-]+")

Row = tuple[int, ...]  # for each key, the index of its value
Pair = tuple[tuple[int, int], tuple[int, int]]  # two keys, each with the index of a value


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

    The library's rows are the start. It can leave out rows, but then stops before all pairs are there, so the pairs of
    impossible rows are looked for one by one: first in rows near those found, then anywhere.
    """
    rows = [row for row in covering(tuple(sizes)) if possible(row)]
    covered = {pair for row in rows for pair in _pairs(row)}
    for pair in _all_pairs(sizes):
        if pair not in covered:
            tries = chain(list(rows), product(*map(range, sizes)))
            changed = (_with(row, pair) for row in islice(tries, COMPLETIONS))
            if row := next(filter(possible, changed), None):
                rows.append(row)
                covered.update(_pairs(row))
    return sorted(rows)


@cache
def covering(sizes: tuple[int, ...]) -> tuple[Row, ...]:
    """Return rows that hold every pair of values; kept, as a sweep beside a pairwise one asks again and again."""
    if len(sizes) < 2:
        return tuple(product(*map(range, sizes)))
    if rows := coverings.kept(sizes):
        return rows
    from allpairspy import AllPairs

    return tuple(map(tuple, AllPairs([list(range(n)) for n in sizes])))


def _with(row: Row, pair: Pair) -> Row:
    values = dict(enumerate(row)) | dict(pair)
    return tuple(values.values())


def _pairs(row: Row) -> Iterator[Pair]:
    return combinations(enumerate(row), 2)


def _all_pairs(sizes: Sequence[int]) -> Iterator[Pair]:
    for (i, m), (j, n) in combinations(enumerate(sizes), 2):
        for a, b in product(range(m), range(n)):
            yield (i, a), (j, b)
