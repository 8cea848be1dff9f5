"""Error bounds: how far from the reference a right answer may be.

With K products accumulated, B = Σ|x||w| + |b|, u_a and u_o the unit roundoffs of the accumulator and of the output,
and γ_k = k·u / (1 − k·u) (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1):

gate 1, exact
    integer operands with B ≤ 2^p: every partial sum in every order is exact, so the answer is r, rounded once.
gate 2, guaranteed
    |y − r| ≤ γ_{K+1}(u_a)·B + u_o·(|r| + γ_{K+1}(u_a)·B) + (K+1)·(smallest subnormal), for any order, blocked or fused.
gate 3, expected
    8·√(log2 K)·u_a·B plus the output's rounding: what real arithmetic stays far below; above it an answer is suspect.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log2, sqrt
from typing import TYPE_CHECKING

import numpy as np

from convsuite.case import Expected, Numerics
from convsuite.dtypes import FORMATS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

TF32_PRODUCT = 2 * 2.0**-11  # each of the two factors is rounded to 11 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What each element of an answer may deviate, and where that can be said at all."""

    exact: NDArray[np.bool_]  # gate 1 holds here: the allowance is 0
    guaranteed: Real  # gate 2
    expected: Real  # gate 3
    checkable: NDArray[np.bool_]  # False where a partial sum may overflow


def gamma(k: float, u: float) -> float:
    """γ_k = k·u / (1 − k·u); infinite where k·u ≥ 1, since then nothing is guaranteed."""
    return k * u / (1 - k * u) if k * u < 1 else inf


def allowance(expected: Expected, dtype: str, numerics: Numerics) -> Allowance:
    """Return the three gates for one pass' result.

    `dtype` is the output's. A declared intermediate rounding narrows gate 1 to the sums that fit it and widens gate
    2 by its
    own γ; TF32 widens gate 2 by 2·2^-11·B.
    """
    output, accumulator = FORMATS[dtype], FORMATS[numerics.accumulator]
    size, r, k = expected.magnitude, np.abs(expected.value), expected.terms + 1
    relative = gamma(k, accumulator.roundoff)
    typical = 8 * sqrt(log2(max(k, 2))) * accumulator.roundoff
    bits = accumulator.bits
    if numerics.intermediate is not None:
        narrow = FORMATS[numerics.intermediate]
        roundings = k if numerics.intermediate_roundings is None else numerics.intermediate_roundings
        relative += gamma(roundings, narrow.roundoff) * (1 + relative)
        typical += 8 * sqrt(log2(max(roundings, 2))) * narrow.roundoff
        bits = narrow.bits
    if numerics.tf32:
        relative, typical, bits = relative + TF32_PRODUCT, typical + TF32_PRODUCT, 11
    with np.errstate(all="ignore"):
        # a sum of nothing but zeros is exactly 0, however wide the bound
        sums = np.where(size == 0, 0.0, relative * size)
        guaranteed = np.where(size == 0, 0.0, sums + output.roundoff * (r + sums) + k * _tiny(numerics, dtype))
        usual = np.where(size == 0, 0.0, typical * size + output.roundoff * (r + sums) + k * _tiny(numerics, dtype))
        fits = (size <= 2.0**bits) & (r <= output.largest)
        in_range = (size * (1 + relative) <= accumulator.largest) & (r + guaranteed <= output.largest)
    exact = fits if expected.integral else np.zeros_like(fits)
    return Allowance(
        exact=exact,
        guaranteed=guaranteed,
        expected=np.minimum(usual, guaranteed),
        checkable=exact | (in_range & np.isfinite(guaranteed)) if accumulator.roundoff else exact,
    )


def _tiny(numerics: Numerics, dtype: str) -> float:
    """What underflow can cost in one operation."""
    return max(FORMATS[numerics.accumulator].smallest_subnormal, FORMATS[dtype].smallest_subnormal)
