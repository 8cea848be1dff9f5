"""The two arithmetics of the reference: float64, and double-double for what is itself float64.

A value is an array with one more leading axis than its shape: 1 part in float64, 2 parts (high, low) in
double-double, whose sum is the value. Sources: Knuth's TwoSum; Dekker (1971), "A floating-point technique for extending
the available precision", for the split and TwoProduct; the bound of the sums is of order K·2^-105·Σ|x||w|.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convsuite.case import Expected

Real = NDArray[np.float64]
_SPLITTER = 134217729.0  # 2^27 + 1
_CHUNK = 1 << 21  # products held at once


class Arithmetic(Protocol):
    """What a reference needs of numbers."""

    parts: int

    def matmul(self, a: Real, b: Real) -> Real:
        """Σ_k a[…, i, k]·b[…, k, j] as a value of shape (parts, …, i, j)."""

    def add(self, total: Real, index: Any, value: Real) -> None:
        """Add a value to `total[:, *index]` in place."""

    def reduce(self, value: Real, axis: int) -> Real:
        """Sum a value over one axis, counted from the end (negative)."""

    def over(self, value: Real, divisor: Real) -> Real:
        """Divide a value by numbers that float64 holds."""


class Float64:
    """Plain float64: exact on integers up to 2^53, and 2^29 times finer than float32."""

    parts = 1

    def matmul(self, a: Real, b: Real) -> Real:
        """See Arithmetic."""
        product: Real = np.matmul(a, b)[None]
        return product

    def add(self, total: Real, index: Any, value: Real) -> None:
        """See Arithmetic."""
        total[(slice(None), *index)] += value

    def reduce(self, value: Real, axis: int) -> Real:
        """See Arithmetic."""
        total: Real = value.sum(axis=axis)
        return total

    def over(self, value: Real, divisor: Real) -> Real:
        """See Arithmetic."""
        return value / divisor


class DoubleDouble:
    """Pairs of float64 with about 106 bits between them."""

    parts = 2

    def matmul(self, a: Real, b: Real) -> Real:
        """See Arithmetic."""
        i, k, j = a.shape[-2], a.shape[-1], b.shape[-1]
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        total = np.zeros((2, *batch, i, j))
        step = max(1, _CHUNK // max(1, int(np.prod(batch)) * i * j))
        for start in range(0, k, step):
            left = a[..., :, start : start + step, None]
            right = b[..., None, start : start + step, :]
            self.add(total, (), self.reduce(np.stack(_two_product(left, right)), -2))
        return total

    def add(self, total: Real, index: Any, value: Real) -> None:
        """See Arithmetic."""
        where = (slice(None), *index)
        total[where] = _add(total[where], value)

    def reduce(self, value: Real, axis: int) -> Real:
        """See Arithmetic; pairwise, so that log2(K) additions are taken instead of K."""
        value = np.moveaxis(value, axis, 1)
        while value.shape[1] > 1:
            half = value.shape[1] // 2
            rest = value[:, 2 * half :]
            value = np.concatenate([_add(value[:, :half], value[:, half : 2 * half]), rest], axis=1)
        return value[:, 0] if value.shape[1] else np.zeros((2, *value.shape[2:]))

    def over(self, value: Real, divisor: Real) -> Real:
        """See Arithmetic; by long division, a second digit of 53 bits out of the first one's remainder."""
        first = value[0] / divisor
        rest = _add(value, -np.stack(_two_product(first, np.broadcast_to(divisor, first.shape))))
        return np.stack(_two_sum(first, rest[0] / divisor))


def evaluate(
    value: Callable[[Arithmetic, Sequence[Real]], Real],
    arrays: Sequence[NDArray[Any]],
    dtype: str,
    terms: int,
    whole: bool = True,
    read: Sequence[bool] | None = None,
) -> Expected:
    """Evaluate a definition in the arithmetic that the dtype needs, and once more on absolute values.

    `whole` says that float64 is exact on integers as far as it holds their sums, which a division may end; `read`,
    which of the arrays the definition reads, where not all of them. Where an array holds a NaN or an infinity, gate 1
    may apply to the elements that depend on integers only. A magnitude is NaN where an operand is NaN or infinite, so
    that an infinite one means that float64 overflowed.
    """
    is_read = [*(read or []), *[True] * len(arrays)][: len(arrays)]
    exact = [np.asarray(a, dtype=np.float64) if r else a for a, r in zip(arrays, is_read, strict=True)]
    asked = [a for a, r in zip(exact, is_read, strict=True) if r]
    whole_numbers = all(bool(np.all(_whole(a))) for a in asked)
    plain = Float64()
    with np.errstate(all="ignore"):
        magnitude = value(plain, [_absolute(a) if r else a for a, r in zip(exact, is_read, strict=True)])[0]
        integral: bool | NDArray[np.bool_] = whole_numbers
        if not all(bool(np.isfinite(a).all()) for a in asked):
            integers = [np.where(_whole(a), np.abs(a), np.nan) if r else a for a, r in zip(exact, is_read, strict=True)]
            integral = ~np.isnan(value(plain, integers)[0])
        if dtype != "float64" or (whole and whole_numbers and bool(np.all(magnitude <= 2.0**53))):
            return Expected(value=value(plain, exact)[0], low=None, magnitude=magnitude, terms=terms, integral=integral)
        high, low = value(DoubleDouble(), exact)
        finite = np.isfinite(high)
        if not finite.all():  # TwoSum makes NaN of an infinity; IEEE arithmetic knows better
            high, low = np.where(finite, high, value(plain, exact)[0]), np.where(finite, low, 0.0)
    return Expected(value=high, low=low, magnitude=magnitude, terms=terms, integral=integral)


def _absolute(a: Real) -> Real:
    """Return absolute values, NaN for what is not finite."""
    return np.where(np.isfinite(a), np.abs(a), np.nan)


def _whole(a: Real) -> NDArray[np.bool_]:
    """Tell where an array holds integers."""
    whole: NDArray[np.bool_] = np.isfinite(a) & (a == np.trunc(a))
    return whole


def _two_sum(a: Real, b: Real) -> tuple[Real, Real]:
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


def _split(a: Real) -> tuple[Real, Real]:
    t = _SPLITTER * a
    high = t - (t - a)
    return high, a - high


def _two_product(a: Real, b: Real) -> tuple[Real, Real]:
    p = a * b
    ah, al = _split(a)
    bh, bl = _split(b)
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def _add(a: Real, b: Real) -> Real:
    s, e = _two_sum(a[0], b[0])
    e = e + (a[1] + b[1])
    high = s + e
    return np.stack([high, e - (high - s)])
