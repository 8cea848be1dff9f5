"""What a resolved case must be, whatever its operation: possible (or refused, as it says), checkable, bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from typing import TYPE_CHECKING

from convsuite.case import INTEGERS, Case, Operand, Pass
from convsuite.formats import FORMATS, suiting, suits

if TYPE_CHECKING:
    from convsuite.errors import CaseError
    from convsuite.operations import Operation

MAX_BYTES = 2 * 2**30  # operands and output of one case
MAX_TAPS = 2**20  # of a window: the reference takes a step for each
LARGE = "large"  # the level that lifts these limits

_NO_ARGUMENT = ("passes",)  # keys that no backend is called with, so that none can refuse them
_KEYS = {"weight": "kernel"}  # of a role, where its literal is written, if not under the role's own name


@dataclass(frozen=True, slots=True)
class Broken:
    """A broken rule: the key that it is about, what is wrong, and which of the written values (from 0), if one is."""

    key: tuple[str, ...]
    message: str
    leaf: int | None = None
    impossible: bool = False  # no such case can be: a swept combination may be dropped for it
    refusable: bool = False  # a backend that is called so must refuse: a case may expect just that


def broken(operation: Operation, case: Case) -> Broken | None:
    """Return the first rule that a case breaks, None for a good one."""
    return next(_broken(operation, case), None)


def _broken(operation: Operation, case: Case) -> Iterator[Broken]:
    for operand in case.operands:
        if min(operand.shape) < 0:
            yield Broken((_key(operand.role),), f"a size is negative: {operand.role} is {list(operand.shape)}")
            return
    if unknown := [p for p in case.passes if p not in operation.PASSES]:
        yield Broken(("passes",), f"{operation.NAME} has no pass {unknown[0]}; it has {', '.join(operation.PASSES)}")
        return
    violations = operation.violations(case)
    if case.expect.error is not None:
        yield from _refusal(case, case.expect.error, violations)
    elif violations:
        key = violations[0].key
        yield Broken(key, str(violations[0]), impossible=True, refusable=key[0] not in _NO_ARGUMENT)
        return
    shape = operation.output_shape(case) if not violations else None
    yield from _size(case, shape)
    yield from _fill(case)
    yield from _literals(case)
    yield from _expected(case, shape)


def _refusal(case: Case, key: str, violations: list[CaseError]) -> Iterator[Broken]:
    if case.expect.values or case.expect.shape:
        yield Broken(("expect",), "expect has `error`, so there is no answer: leave out its `values` and `shape`")
    if case.wants_gradient:
        rule = "a case that must be refused has no output, so there are no gradients: set `passes: [forward]`"
        yield Broken(("passes",), rule)
    if not violations:
        yield Broken(("expect", "error"), f"expect.error is {key}, but nothing is invalid here")
    for other in violations:
        if other.key[0] != key:
            yield Broken(("expect", "error"), f"expect.error is {key}, but what is invalid is {other.key[0]}: {other}")


def _size(case: Case, output: tuple[int, ...] | None) -> Iterator[Broken]:
    """Refuse what would take too much memory, or too many steps; where there is no output, nothing is computed."""
    if case.level == LARGE:
        return
    shapes = [(o.role, o.shape) for o in case.operands] + ([("output", output)] if output else [])
    held = case.held if output else 0
    total = sum(prod(shape) for _, shape in shapes) * FORMATS[case.dtype].itemsize + held
    limit = f"more than the {{:,}} of a case below level `{LARGE}`"
    if total > MAX_BYTES:
        parts = ", ".join(f"{role} {_times(shape)}" for role, shape in shapes)
        parts += f", {case.dtype}" + (f", and {held:,} for where windows lie" if held else "")
        yield Broken(("input",), f"{total:,} bytes ({parts}), {limit.format(MAX_BYTES)}")
    if output and prod(case.taps) > MAX_TAPS:
        yield Broken(
            ("kernel",), f"{prod(case.taps):,} taps of a window ({_times(case.taps)}), {limit.format(MAX_TAPS)}"
        )


def _times(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def _fill(case: Case) -> Iterator[Broken]:
    if any(o.literal is None for o in case.operands) and not suits(case.fill, case.dtype):
        fit = ", ".join(suiting(case.dtype))
        rule = (
            f"{case.dtype} holds no numbers of fill {case.fill}, it would round them to almost all 0: take one of {fit}"
        )
        yield Broken(("fill",), rule, impossible=True)


def _literals(case: Case) -> Iterator[Broken]:
    written = [o for o in case.operands if o.literal is not None]
    for operand in written:
        yield from _values(operand, case.dtype)
    if case.expect.error is None:
        yield from _blind(case.factors)


def _blind(factors: Sequence[Operand]) -> Iterator[Broken]:
    """Refuse values that hide a wrong index: every product is 0, or the same as every other."""
    for operand in factors:
        others = [o.literal for o in factors if o is not operand and o.literal]
        if operand.literal and {*operand.literal.values} == {0} and all(isfinite(v) for o in others for v in o.values):
            key = _key(operand.role)
            yield Broken((key, "values"), f"{key} is all 0: such a case would pass with many a wrong index")
    written = [o.literal for o in factors if o.literal]
    constant = len(written) == len(factors) and all(len({*o.values}) == 1 for o in written)
    # one number times another has no index to be wrong, but 1 times 1 tells nothing even so
    if constant and (any(len(o.values) > 1 for o in written) or all(o.values == (1,) for o in written)):
        what = " and ".join(_key(o.role) for o in factors)
        rule = f"{what} {'are each' if len(factors) > 1 else 'is'} one number all over"
        rule += ": such a case would pass with many a wrong index"
        yield Broken(("input", "values"), rule)


def _values(operand: Operand, dtype: str) -> Iterator[Broken]:
    if operand.literal is None:
        return
    key = (_key(operand.role), "values")
    for at, value in enumerate(operand.literal.values):
        wrong = _not_integer(value, dtype) if dtype in INTEGERS else _not_float(value, dtype)
        if wrong:
            yield Broken(key, f"{key[0]} has a value that {dtype} cannot hold: {wrong}", leaf=at)


def _not_integer(value: float, dtype: str) -> str:
    if value != value or value in (float("inf"), float("-inf")) or value != int(value):
        return f"{value} is no integer"
    form = FORMATS[dtype]
    in_range = form.lowest <= value <= form.largest
    return "" if in_range else f"{value} is not in {form.lowest:.0f} to {form.largest:.0f}"


def _not_float(value: float, dtype: str) -> str:
    p, largest = FORMATS[dtype].bits, FORMATS[dtype].largest
    if not abs(value) > 2**p or value in (float("inf"), float("-inf")):
        return ""
    if abs(value) > largest:
        return f"{value} is more than its largest number, {largest:g}"
    exact = int(value)
    if exact == value and (exact // (exact & -exact)).bit_length() > p:
        return f"{value} has more than {p} significant bits"
    return ""


def _expected(case: Case, shape: tuple[int, ...] | None) -> Iterator[Broken]:
    due, said = case.expect.shape, case.expect.values
    if shape is None:
        return
    if due is not None and due != shape:
        yield Broken(("expect", "shape"), f"expect.shape is {list(due)}, the output is {list(shape)}")
    if said is None:
        return
    if said.shape != shape:
        yield Broken(("expect", "values"), f"expect.values is {list(said.shape)}, the output is {list(shape)}")
    if Pass.FORWARD not in case.passes:
        yield Broken(("expect", "values"), "expect.values is of the forward pass, which `passes` leaves out")
    if case.dtype in INTEGERS:
        for at, value in enumerate(said.values):
            if wrong := _not_integer(value, case.dtype):
                yield Broken(
                    ("expect", "values"), f"expect has a value that {case.dtype} cannot hold: {wrong}", leaf=at
                )


def _key(role: str) -> str:
    return _KEYS.get(role, role)
