"""Seeded fills: the same bytes on every machine.

Only raw bits of Philox (whose stream is fixed by its paper) and exact arithmetic go in, no libm, so that neither the
platform nor NumPy's version can change a case.
"""

from __future__ import annotations

import hashlib
from math import gcd, isqrt, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from convsuite.case import Case, Operand, Pass
from convsuite.dtypes import round_to
from convsuite.formats import FORMATS
from convsuite.operations import of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Real = NDArray[np.float64]

__all__ = ["fill"]
_DRAWN = 1 << 16  # random numbers that are held at once
_TRIED = 256  # places of an input that are tried for one that is seen


def fill(case: Case, passes: Sequence[Pass] | None = None) -> tuple[NDArray[Any], ...]:
    """Return the case's operands in order, each C-contiguous and already rounded to the case's dtype.

    Where only some `passes` are wanted and none of them is a gradient, the output's gradient, which is the last
    operand and may be the largest, is left out.
    """
    gradients = passes is None or any(p.gradient for p in passes)
    return tuple(_operand(case, operand) for operand in case.operands if gradients or operand.role != "grad_output")


def _operand(case: Case, operand: Operand) -> NDArray[Any]:
    if operand.literal is not None:
        values = np.array(operand.literal.values, dtype=np.float64).reshape(operand.shape)
    elif min(operand.shape, default=1) < 1:
        values = np.zeros(operand.shape)
    else:
        values = _FILLS[case.fill](case, operand).reshape(operand.shape)
    return round_to(values, case.dtype)


def _stream(case: Case, operand: Operand) -> np.random.Philox:
    """Return a stream of random bits that is this operand's alone."""
    name = f"{case.seed}/{operand.role}/{operand.shape}"
    key = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=16).digest(), "little")
    return np.random.Philox(key=key)


def _raw(case: Case, operand: Operand) -> NDArray[np.uint64]:
    """Return 64 random bits for each element."""
    return _stream(case, operand).random_raw(prod(operand.shape))


def _largest_integer(case: Case) -> int:
    """Return m such that K products of integers up to m, and a bias, stay exact and in range, for the largest K."""
    accumulator = FORMATS["float32" if case.dtype in ("float16", "bfloat16") else case.dtype]
    limit = int(min(2.0**accumulator.bits, FORMATS[case.dtype].largest))
    most = max((of(case).terms(case, p) for p in case.passes), default=1) if case.expect.error is None else 1
    return max(1, isqrt(limit // (most + 1)))


def _integers(case: Case, operand: Operand) -> Real:
    """Non-zero integers up to ±4, or to ±m where K leaves no room for 4: a zero would hide a wrong index."""
    if of(case).COMPARES and operand.role == "input":
        return _distinct(case, operand)
    m = min(4, _largest_integer(case))
    drawn = (_raw(case, operand) % np.uint64(2 * m)).astype(np.int64)
    signed: Real = np.where(drawn < m, drawn - m, drawn - m + 1).astype(np.float64)
    return signed


def _distinct(case: Case, operand: Operand) -> Real:
    """Non-zero integers in a random order, no two the same, where the dtype has as many.

    Else no two of a plane are, as far as there are as many: no window has a tie. Planes then begin where the one before
    them ended, so that two of a single position differ, too.
    """
    form, size, plane = FORMATS[case.dtype], prod(operand.shape), prod(operand.shape[2:])
    count = min(size, 2 * int(min(2.0**form.bits, form.largest)))
    planes = 1 if size == count else size // plane
    order = np.argsort(_raw(case, operand).reshape(planes, -1), axis=1, kind="stable")
    rank = (order + np.arange(planes)[:, None] * plane) % count - count // 2
    values: Real = np.where(rank < 0, rank, rank + 1).astype(np.float64)
    return values.ravel()


def _normal(case: Case, operand: Operand) -> Real:
    """Irwin–Hall: twelve uniforms less six, of variance 1, and one more below them: all significand bits are in use."""
    stream, values = _stream(case, operand), np.zeros(prod(operand.shape))
    for _ in range(12):  # a fixed order of additions, whatever NumPy's sum does
        _add_uniforms(stream, values, 1.0)
    values -= 6.0
    _add_uniforms(stream, values, 2.0**-50)
    return values


def _add_uniforms(stream: np.random.Philox, values: Real, scale: float) -> None:
    """Add a number from [0, scale) to each value, some at a time: a layer of a network has 10^8 of them."""
    for start in range(0, values.size, _DRAWN):
        part = values[start : start + _DRAWN]
        part += (stream.random_raw(part.size) >> np.uint64(11)).astype(np.float64) * (2.0**-53 * scale)


def _wide(case: Case, operand: Operand) -> Real:
    """Normal, times a power of two: exponents up to 2^±12 apart (2^±3 in float16, to stay in range)."""
    reach = 3 if case.dtype == "float16" else 12
    exponent = (_raw(case, operand) % np.uint64(2 * reach + 1)).astype(np.int64) - reach
    values: Real = np.ldexp(_normal(case, operand), exponent)
    return values


def _cancelling(case: Case, operand: Operand) -> Real:
    """Large values whose products cancel to small sums: L in the weight, ±L in the other two operands.

    Signs go +− in the input and ++−− in the output's gradient, so that the products of these two cancel as well.
    """
    large = min(256.0, _largest_integer(case) / 2)
    if operand.role in ("weight", "depthwise"):
        return _normal(case, operand) + large
    if operand.role in ("pointwise", "bias"):
        return _normal(case, operand)
    period = 1 if operand.role == "input" else 2
    sign = 1.0 - 2.0 * (np.indices(operand.shape).sum(axis=0) // period % 2)
    return np.asarray(sign.ravel() * large + _normal(case, operand))


def _ramp(case: Case, operand: Operand) -> Real:
    """1, 2, 3, … in memory order, starting over before a sum could lose exactness, and not in step with any axis.

    Where there is no room for that, `integers` instead: 1, 1, 1, … or rows that are all alike would hide a wrong index.
    """
    steps = [prod(operand.shape[axis + 1 :]) for axis, size in enumerate(operand.shape) if size > 1]
    periods = range(min(127, _largest_integer(case)), 2, -1)
    period = next((p for p in periods if all(gcd(p, step) == 1 for step in steps)), None)
    if period is None:
        return _integers(case, operand)
    return (np.arange(prod(operand.shape)) % period + 1).astype(np.float64)


def _impulse(case: Case, operand: Operand) -> Real:
    """One non-zero in the input, at a place drawn from the seed, under a ramp of weights: shows where each tap goes."""
    if operand.role != "input":
        return _ramp(case, operand)
    size = prod(operand.shape)
    first = int(_raw(case, operand)[0] % np.uint64(size))
    return _one_at(_seen(case, operand, [(first + i) % size for i in range(size)]), size)


def _special(case: Case, operand: Operand) -> Real:
    """Integers, with NaN, ±inf, −0 and a subnormal at places of the input that are drawn from the seed."""
    values = _integers(case, operand)
    if operand.role == "input":
        # each special at the smallest draw left, so that no two share a place; a small input gets the first few
        order = np.argsort(_stream(case, operand).random_raw(2 * values.size)[values.size :], kind="stable").tolist()
        first = _seen(case, operand, order)  # a NaN that no window sees shows nothing
        places = [first, *(place for place in order if place != first)]
        specials = (np.nan, np.inf, -np.inf, -0.0, FORMATS[case.dtype].smallest_subnormal)
        for place, special in zip(places[: max(1, values.size // 4)], specials, strict=False):
            values[place] = special
    return values


def _seen(case: Case, operand: Operand, places: Sequence[int]) -> int:
    """Return the first of some places of the input that the operation's result depends on, else the first."""
    if case.expect.error is not None:
        return places[0]
    others = [_operand(case, o) if o.literal else _integers(case, o).reshape(o.shape) for o in case.operands[1:]]

    def result(values: Real) -> Real:
        arrays = (values.reshape(operand.shape), *others)
        return of(case).reference(case, arrays, Pass.FORWARD).value

    nothing = result(np.zeros(prod(operand.shape)))
    depends = (p for p in places[:_TRIED] if not np.array_equal(result(_one_at(p, prod(operand.shape))), nothing))
    return next(depends, places[0])


def _one_at(place: int, size: int) -> Real:
    values = np.zeros(size)
    values[place] = 1.0
    return values


_FILLS: dict[str, Callable[[Case, Operand], Real]] = {
    "integers": _integers,
    "normal": _normal,
    "wide": _wide,
    "cancelling": _cancelling,
    "impulse": _impulse,
    "ramp": _ramp,
    "special": _special,
}
