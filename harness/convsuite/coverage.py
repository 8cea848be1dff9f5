"""Which pairs of parameter values no case touches.

A parameter is an axis of `operations.axes`, which each operation declares. A pair is a value each of two axes. Pairs
that no case can have are declared beside them, each with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations, groupby, product

from convsuite.case import Case
from convsuite.operations import OPERATIONS
from convsuite.operations.axes import Axis, Exclusion, Value

__all__ = ["Coverage", "Missing", "describe", "pairs"]


@dataclass(frozen=True, slots=True, order=True)
class Missing:
    """A pair that is possible and in no case; `first` is of the axis that is declared first."""

    first: Value
    second: Value

    def __str__(self) -> str:
        return f"{self.first} with {self.second}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many of the possible pairs of values the cases touch."""

    operation: str
    cases: int  # those that were counted
    covered: int
    possible: int
    missing: tuple[Missing, ...]
    impossible: tuple[Exclusion, ...]


def pairs(cases: Iterable[Case], operation: str) -> Coverage:
    """Return what pairs of values an operation's cases touch; a case that must be refused touches none.

    Raise KeyError for an unknown operation.
    """
    axes = OPERATIONS[operation].AXES
    exclusions = tuple(_within(axes, e) for e in OPERATIONS[operation].EXCLUSIONS)
    counted = [c for c in cases if c.operation == operation and c.expect.error is None]
    excluded = {frozenset(pair) for e in exclusions for pair in product(e.firsts, e.seconds)}
    possible = [pair for pair in _all_pairs(axes) if frozenset(pair) not in excluded]
    touched = {pair for case in counted for pair in _touched(axes, case)}
    missing = tuple(Missing(*pair) for pair in possible if pair not in touched)
    return Coverage(
        operation=operation,
        cases=len(counted),
        covered=len(possible) - len(missing),
        possible=len(possible),
        missing=missing,
        impossible=tuple(e for e in exclusions if e.firsts and e.seconds),
    )


def describe(coverage: Coverage) -> str:
    """Return the lines that `convsuite coverage` prints: the missing pairs, and why others cannot be."""
    lines = [
        f"{coverage.operation}: {coverage.cases} cases touch {coverage.covered} of the {coverage.possible} possible "
        f"pairs of parameter values; {len(coverage.missing)} missing"
    ]
    lines += [f"  missing: {missing}" for missing in coverage.missing]
    lines += ["not counted, since they cannot be:"]
    lines += [f"  {_listed(e.firsts)} with {_listed(e.seconds)}: {e.reason}" for e in coverage.impossible]
    return "\n".join(lines)


def _listed(values: tuple[Value, ...]) -> str:
    """Return values with those of one axis together, e.g. `dtype=int32|int8`."""
    by_axis = groupby(values, key=lambda value: value.axis)
    return ", ".join(f"{axis}={'|'.join(v.name for v in of_axis)}" for axis, of_axis in by_axis)


def _all_pairs(axes: tuple[Axis, ...]) -> Iterator[tuple[Value, Value]]:
    for a, b in combinations(axes, 2):
        for first, second in product(a.values, b.values):
            yield Value(a.name, first), Value(b.name, second)


def _touched(axes: tuple[Axis, ...], case: Case) -> Iterator[tuple[Value, Value]]:
    had = [[Value(axis.name, name) for name in axis.of(case)] for axis in axes]
    for first, second in combinations(had, 2):
        yield from product(first, second)


def _within(axes: tuple[Axis, ...], exclusion: Exclusion) -> Exclusion:
    """Return an exclusion without the values that an operation's axes do not list."""
    known = {Value(axis.name, name) for axis in axes for name in axis.values}
    firsts, seconds = (tuple(v for v in some if v in known) for some in (exclusion.firsts, exclusion.seconds))
    return replace(exclusion, firsts=firsts, seconds=seconds)
