"""What a resolved case must be, whatever its operation: possible (or refused, as it says), checkable, bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from convsuite.case import INTEGERS, Case, Operand, Pass

if TYPE_CHECKING:
    from convsuite.errors import CaseError
    from convsuite.operations import Operation

MAX_BYTES = 2 * 2**30  # operands and output of one case
LARGE = "large"  # the tag that lifts that limit

_ITEMSIZE = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int32": 4, "int8": 1}
# per float dtype: p, up to 2^p every integer is exact, and the largest finite number
_FLOAT = {
    "float64": (53, (2 - 2.0**-52) * 2.0**1023),
    "float32": (24, (2 - 2.0**-23) * 2.0**127),
    "float16": (11, 65504.0),
    "bfloat16": (8, (2 - 2.0**-7) * 2.0**127),
}
_INTEGER_BITS = {"int32": 32, "int8": 8}
_KEYS = {"weight": "kernel"}  # of a role, where its literal is written, if not under the role's own name


@dataclass(frozen=True, slots=True)
class Broken:
    """A broken rule: the key that it is about, what is wrong, and which of the written values (from 0), if one is."""

    key: tuple[str, ...]
    message: str
    leaf: int | None = None
    impossible: bool = False  # a rule of the operation: a swept combination may be dropped for it


def broken(operation: Operation, case: Case) -> Broken | None:
    """Return the first rule that a case breaks, None for a good one."""
    return next(_broken(operation, case), None)


def _broken(operation: Operation, case: Case) -> Iterator[Broken]:
    for operand in case.operands:
        if min(operand.shape) < 0:
            yield Broken((_key(operand.role),), f"a size is negative: {operand.role} is {list(operand.shape)}")
            return
    violations = operation.violations(case)
    if case.expect.error is not None:
        yield from _refusal(case, case.expect.error, violations)
    elif violations:
        yield Broken(violations[0].key, str(violations[0]), impossible=True)
        return
    shape = operation.output_shape(case) if not violations else None
    yield from _size(case, shape)
    yield from _literals(case)
    yield from _expected(case, shape)


def _refusal(case: Case, key: str, violations: list[CaseError]) -> Iterator[Broken]:
    if case.expect.values or case.expect.shape:
        yield Broken(("expect",), "expect has `error`, so there is no answer: leave out its `values` and `shape`")
    if not violations:
        yield Broken(("expect", "error"), f"expect.error is {key}, but nothing is invalid here")
    for other in violations:
        if other.key[0] != key:
            yield Broken(("expect", "error"), f"expect.error is {key}, but what is invalid is {other.key[0]}: {other}")


def _size(case: Case, output: tuple[int, ...] | None) -> Iterator[Broken]:
    shapes = [(o.role, o.shape) for o in case.operands] + ([("output", output)] if output else [])
    total = sum(prod(shape) for _, shape in shapes) * _ITEMSIZE[case.dtype]
    if total > MAX_BYTES and LARGE not in case.tags:
        parts = ", ".join(f"{role} {'x'.join(map(str, shape))}" for role, shape in shapes)
        limit = f"more than the {MAX_BYTES:,} of a case without the tag `{LARGE}`"
        yield Broken(("input",), f"{total:,} bytes ({parts}, {case.dtype}), {limit}")


def _literals(case: Case) -> Iterator[Broken]:
    written = [o for o in case.operands if o.literal is not None]
    for operand in written:
        yield from _values(operand, case.dtype)
    constant = [{*o.literal.values} in ({0}, {1}) for o in written if o.literal]
    if case.expect.error is None and len(written) == len(case.operands) and all(constant):
        yield Broken(
            ("input", "values"), "every operand is all 0 or all 1: such a case would pass with many a wrong index"
        )


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
    bits = _INTEGER_BITS[dtype]
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return "" if low <= value <= high else f"{value} is not in {low} to {high}"


def _not_float(value: float, dtype: str) -> str:
    p, largest = _FLOAT[dtype]
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
