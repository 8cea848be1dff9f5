"""Which pairs of parameter values no case touches.

A parameter is an axis with a few named values; a case has one of them, several (its passes), or none where the
parameter does not concern it. A pair is a value each of two axes. Pairs that no case can have are declared here, each
with its reason. An operation adds its axes to `AXES`; those that many operations share are above it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, groupby, product
from typing import Any

from convsuite.case import (
    DTYPES,
    FILLS,
    INTEGERS,
    LAYOUTS,
    MEMORY_FORMATS,
    PADDING_KINDS,
    PADDING_MODES,
    Case,
    Pass,
)
from convsuite.formats import suits
from convsuite.operations import conv
from convsuite.operations.conv import ConvCase

__all__ = ["AXES", "Coverage", "Exclusion", "Missing", "Value", "describe", "pairs"]


@dataclass(frozen=True, slots=True, order=True)
class Value:
    """One value of one parameter."""

    axis: str
    name: str

    def __str__(self) -> str:
        return f"{self.axis}={self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Missing:
    """A pair that is possible and in no case; `first` is of the axis that is declared first."""

    first: Value
    second: Value

    def __str__(self) -> str:
        return f"{self.first} with {self.second}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """Pairs that cannot be: any of `firsts` with any of `seconds`."""

    firsts: tuple[Value, ...]
    seconds: tuple[Value, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many of the possible pairs of values the cases touch."""

    operation: str
    cases: int  # those that were counted
    covered: int
    possible: int
    missing: tuple[Missing, ...]
    impossible: tuple[Exclusion, ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter: its values, and which of them a case has."""

    name: str
    values: tuple[str, ...]
    of: Callable[[Any], tuple[str, ...]]


def pairs(cases: Iterable[Case], operation: str = conv.NAME) -> Coverage:
    """Return what pairs of values an operation's cases touch; a case that must be refused touches none.

    Raise KeyError for an operation that has declared no axes.
    """
    axes = AXES[operation]
    counted = [c for c in cases if c.operation == operation and c.expect.error is None]
    excluded = {frozenset(pair) for e in EXCLUSIONS for pair in product(e.firsts, e.seconds)}
    possible = [pair for pair in _all_pairs(axes) if frozenset(pair) not in excluded]
    touched = {pair for case in counted for pair in _touched(axes, case)}
    missing = tuple(Missing(*pair) for pair in possible if pair not in touched)
    return Coverage(
        operation=operation,
        cases=len(counted),
        covered=len(possible) - len(missing),
        possible=len(possible),
        missing=missing,
        impossible=EXCLUSIONS,
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


def _batch(case: Case) -> tuple[str, ...]:
    """An empty batch is a boundary, not a kind of batch to be paired with everything."""
    return {0: (), 1: ("1",)}.get(case.input_shape[0], ("several",))


def _steps(values: tuple[int, ...]) -> tuple[str, ...]:
    """Stride or dilation."""
    if len(set(values)) > 1:
        return ("unequal",)
    return ("1",) if values[0] == 1 else ("over 1",)


def _kernel(case: Case) -> tuple[str, ...]:
    if len(set(case.kernel)) > 1:
        return ("unequal",)
    size = case.kernel[0]
    return ("1",) if size == 1 else ("odd",) if size % 2 else ("even",)


def _padding(case: Case) -> tuple[str, ...]:
    padding = case.padding
    if len(set(padding.kinds)) > 1:
        return ("unequal",)
    if padding.kinds[0] != "explicit":
        return (padding.kinds[0],)
    if padding.negative:
        return ("negative",)
    return ("symmetric",) if padding.symmetric else ("asymmetric",)


def _fill(case: Case) -> tuple[str, ...]:
    """A case with values written out has no fill."""
    return () if any(o.literal for o in case.operands) else (case.fill,)


def _memory(role: str) -> Callable[[Case], tuple[str, ...]]:
    return lambda case: tuple(o.memory_format for o in case.operands if o.role == role)


def _groups(case: ConvCase) -> tuple[str, ...]:
    c_in, c_out = case.input_shape[1], case.out_channels
    if case.groups == 1:
        return ("1",)
    if case.groups < c_in:
        return ("grouped",)
    return ("depthwise",) if c_in == c_out else ("multiplier",)


_NOT_EXPLICIT = tuple(k for k in PADDING_KINDS if k != "explicit")
_STEPS = ("1", "over 1", "unequal")
_NO_YES = ("no", "yes")

_ANY_WINDOW = (
    Axis("rank", ("1", "2", "3"), lambda c: (str(c.rank),)),
    Axis("dtype", DTYPES, lambda c: (c.dtype,)),
    Axis("batch", ("1", "several"), _batch),
    Axis("kernel", ("1", "odd", "even", "unequal"), _kernel),
    Axis("stride", _STEPS, lambda c: _steps(c.stride)),
    Axis("dilation", _STEPS, lambda c: _steps(c.dilation)),
    Axis("padding", (*_NOT_EXPLICIT, "symmetric", "asymmetric", "negative", "unequal"), _padding),
    Axis("padding_mode", PADDING_MODES, lambda c: (c.padding.mode,)),
    Axis("layout", LAYOUTS, lambda c: (c.layout,)),
    Axis("fill", FILLS, _fill),
    Axis("memory of input", MEMORY_FORMATS, _memory("input")),
    Axis("memory of grad_output", MEMORY_FORMATS, _memory("grad_output")),
)
_WITH_WEIGHT = (
    Axis("groups", ("1", "grouped", "depthwise", "multiplier"), _groups),
    Axis("bias", _NO_YES, lambda c: (_NO_YES[c.bias],)),
    Axis("flip", _NO_YES, lambda c: (_NO_YES[c.flip],)),
    Axis("memory of weight", MEMORY_FORMATS, _memory("weight")),
)


def _passes(operation: tuple[Pass, ...]) -> Axis:
    return Axis("pass", tuple(p.value for p in operation), lambda c: tuple(p.value for p in c.passes))


AXES: dict[str, tuple[Axis, ...]] = {conv.NAME: (*_ANY_WINDOW, *_WITH_WEIGHT, _passes(conv.PASSES))}


def _values(axis: str, *names: str) -> tuple[Value, ...]:
    return tuple(Value(axis, name) for name in names)


_GRADIENTS = _values("pass", *(p.value for p in Pass if p is not Pass.FORWARD))
_GRAD_OUTPUT = _values("memory of grad_output", *MEMORY_FORMATS)
_ALIKE = tuple(Value(axis, "unequal") for axis in ("kernel", "stride", "dilation", "padding"))

EXCLUSIONS = (
    Exclusion(
        firsts=_values("dtype", *INTEGERS),
        seconds=(*_GRADIENTS, *_GRAD_OUTPUT),
        reason="integers have no gradients",
    ),
    *(
        Exclusion(
            firsts=_values("dtype", dtype),
            seconds=_values("fill", *(fill for fill in FILLS if not suits(fill, dtype))),
            reason=f"{dtype} cannot hold such numbers",
        )
        for dtype in INTEGERS
    ),
    Exclusion(
        firsts=_values("pass", Pass.FORWARD.value),
        seconds=_GRAD_OUTPUT,
        reason="the forward pass takes no output gradient",
    ),
    Exclusion(
        firsts=_values("bias", "no"),
        seconds=_values("pass", Pass.GRAD_BIAS.value),
        reason="without a bias there is no gradient to it",
    ),
    Exclusion(firsts=_values("rank", "1"), seconds=_ALIKE, reason="one axis has no other to differ from"),
    Exclusion(
        firsts=_values("padding", "valid"),
        seconds=_values("padding_mode", *(mode for mode in PADDING_MODES if mode != "zeros")),
        reason="nothing is padded, so a mode says nothing",
    ),
)
