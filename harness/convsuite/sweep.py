"""Swept keys: every combination (`sweep`) or every pair of values in few combinations (`pairwise`), and their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain, combinations, count, product
from math import gcd, prod
from typing import Any

from convsuite import coverings

MAX_PAIRS = 100_000  # of values in one pairwise sweep
NEAR = 300  # rows found that are changed for a pair that they lack
COMPLETIONS = 2_000  # of a pair that are tried after those, before it counts as impossible
GOLDEN = (5**0.5 - 1) / 2

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
    impossible rows are looked for one by one: first in rows near those found, then anywhere. Of a pair with more than
    `COMPLETIONS` completions so many are tried, spread over all: one that fewer of them make possible can be lost.
    """
    rows = [row for row in covering(tuple(sizes)) if possible(row)]
    covered = {pair for row in rows for pair in _pairs(row)}
    for pair in _all_pairs(sizes):
        if pair not in covered:
            near = (_with(row, pair) for row in rows[:NEAR])
            if row := next(filter(possible, chain(near, completions(sizes, pair))), None):
                rows.append(row)
                covered.update(_pairs(row))
    return sorted(rows)


def completions(sizes: Sequence[int], pair: Pair) -> Iterator[Row]:
    """Yield rows that hold a pair, each once: all, or `COMPLETIONS` of them from all over.

    Steps of the golden ratio spread however many are taken, and are the same with every release of Python.
    """
    free = [1 if key in dict(pair) else size for key, size in enumerate(sizes)]
    total = prod(free)
    step = next(step for step in count(max(1, round(total * GOLDEN))) if gcd(step, total) == 1)  # so none comes twice
    for turn in range(min(total, COMPLETIONS)):
        yield _with(_row(turn * step % total, free), pair)


@cache
def covering(sizes: tuple[int, ...]) -> tuple[Row, ...]:
    """Return rows that hold every pair of values; kept, as a sweep beside a pairwise one asks again and again."""
    if len(sizes) < 2:
        return tuple(product(*map(range, sizes)))
    if rows := coverings.kept(sizes):
        return rows
    from allpairspy import AllPairs

    return tuple(map(tuple, AllPairs([list(range(n)) for n in sizes])))


def _row(number: int, sizes: Sequence[int]) -> Row:
    """Return the row of a number from 0, the last key varying fastest."""
    values = []
    for size in reversed(sizes):
        number, value = divmod(number, size)
        values.append(value)
    return tuple(reversed(values))


def _with(row: Row, pair: Pair) -> Row:
    values = dict(enumerate(row)) | dict(pair)
    return tuple(values.values())


def _pairs(row: Row) -> Iterator[Pair]:
    return combinations(enumerate(row), 2)


def _all_pairs(sizes: Sequence[int]) -> Iterator[Pair]:
    for (i, m), (j, n) in combinations(enumerate(sizes), 2):
        for a, b in product(range(m), range(n)):
            yield (i, a), (j, b)
