"""The rule behind refusals: the simplest condition on a probe's parameters that holds exactly where a call refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, permutations

from convsuite.meaning.records import Probe, Value

_Condition = tuple[str, Callable[[Probe], bool]]  # in words, and whether it holds


def rule(probes: Sequence[Probe], refused: Sequence[bool]) -> str:
    """Return the rule, "everything" or ""; where no simple one is exact, how many."""
    if all(refused):
        return "everything"
    if not any(refused):
        return ""
    for words, held in _by_simplicity(probes):
        if held == tuple(refused):
            return words
    return f"{sum(refused)} of {len(probes)} probes"


def _by_simplicity(probes: Sequence[Probe]) -> Iterator[tuple[str, tuple[bool, ...]]]:
    """Yield conditions, and where they hold: of one parameter, of two at the same time, of one against another."""
    alone = [(words, tuple(map(holds, probes))) for words, holds in _of_each(probes)]
    yield from alone
    for (left, a), (right, b) in combinations(alone, 2):
        yield f"{left} with {right}", tuple(p and q for p, q in zip(a, b, strict=True))
    for left, right in permutations(probes[0].names, 2):
        yield from ((words, tuple(map(holds, probes))) for words, holds in _of_two(left, right))


def _of_each(probes: Sequence[Probe]) -> Iterator[_Condition]:
    for name in probes[0].names:
        values = sorted({v for probe in probes for v in _numbers(probe.names[name])})
        if len(values) > 1 or any(len(set(_numbers(probe.names[name]))) > 1 for probe in probes):
            yield from _of_one(name, values)


def _of_one(name: str, values: Sequence[float]) -> Iterator[_Condition]:
    for bound in values[:-1]:
        yield f"{name} > {bound}", lambda p, b=bound: max(_numbers(p.names[name]), default=b) > b  # type: ignore[misc]
    for bound in values[1:]:
        yield f"{name} < {bound}", lambda p, b=bound: min(_numbers(p.names[name]), default=b) < b  # type: ignore[misc]
    for parity, words in enumerate(("even", "odd")):
        yield f"{words} {name}", lambda p, r=parity: any(v % 2 == r for v in _numbers(p.names[name]))  # type: ignore[misc]
    yield f"unequal {name}", lambda p: len(set(_numbers(p.names[name]))) > 1


def _of_two(left: str, right: str) -> Iterator[_Condition]:
    """Conditions between two parameters, axis by axis; one number counts for each axis."""
    for words, holds in (
        (f"{left} > {right}", lambda a, b: a > b),
        (f"{left} > half the {right}", lambda a, b: 2 * a > b),
    ):
        yield words, lambda p, h=holds: any(h(a, b) for a, b in _pairs(p.names[left], p.names[right]))  # type: ignore[misc]


def _pairs(left: Value, right: Value) -> Iterator[tuple[float, float]]:
    a, b = _numbers(left), _numbers(right)
    axes = max(len(a), len(b)) if a and b else 0
    if axes:
        yield from zip(a * axes if len(a) == 1 else a, b * axes if len(b) == 1 else b, strict=False)


def _numbers(value: Value) -> tuple[float, ...]:
    if isinstance(value, (str, float)):
        return ()
    return value if isinstance(value, tuple) else (int(value),)
