"""Error bounds: how far from the reference a right answer may be.

With K products accumulated, B = Σ|x||w| + |b|, u_a and u_o the unit roundoffs of the accumulator and of the output,
and γ_k = k·u / (1 − k·u) (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1):

gate 1, exact
    integer operands with B ≤ 2^p: every partial sum in every order is exact, so the answer is r, rounded once.
gate 2, guaranteed
    |y − r| ≤ γ_{K+1}(u_a)·B + u_o·(|r| + γ_{K+1}(u_a)·B) + underflow, for any order, blocked or fused. Underflow costs
    at most one smallest subnormal of the accumulator for each product, and one of the output.
    A declared fast algorithm has a normwise bound instead, proven in `convsuite.algorithms`: factor·norm in place of
    γ_{K+1}(u_a)·B, with γ_2(u_a)·B beside it for a bias. It leaves integers exact only where its coefficients are
    fractions of a power of two and all that there is on the way fits the accumulator.
gate 3, expected
    8·√(log2 K)·u_a·B + √K·u_a·|r| plus the output's rounding: what real arithmetic stays below; above it an answer is
    suspect. The second part is for terms of one sign, added in turn: partial sums grow to |r| (Higham & Mary 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log2, sqrt
from typing import TYPE_CHECKING

import numpy as np

from convsuite.algorithms import Fast, NormBound
from convsuite.case import Expected, Numerics
from convsuite.formats import FORMATS, Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Real = NDArray[np.float64]

TF32_BITS = 11
TF32_ROUNDED = (1 + 2.0**-TF32_BITS) ** 2 - 1  # each of the two factors is rounded to the nearest
TF32_CUT = (1 + 2.0 ** (1 - TF32_BITS)) ** 2 - 1  # or cut off, which tensor cores do to what no one has rounded before


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What each element of an answer may deviate, and where that can be said at all."""

    exact: NDArray[np.bool_]  # gate 1 holds here: the allowance is 0
    guaranteed: Real  # gate 2
    expected: Real  # gate 3
    checkable: NDArray[np.bool_]  # False where a partial sum may overflow
    normwise: bool = False  # a fast algorithm's bound


def gamma(k: float, u: float) -> float:
    """γ_k = k·u / (1 − k·u); infinite where k·u ≥ 1, since then nothing is guaranteed."""
    return k * u / (1 - k * u) if k * u < 1 else inf


def allowance(expected: Expected, dtype: str, numerics: Numerics) -> Allowance:
    """Return the three gates for one pass' result.

    `dtype` is the output's. A declared intermediate rounding narrows gate 1, and the range, to the sums that
    fit it and widens gate 2 by its own γ; TF32 widens gate 2 by 2·2^-10·B, and gate 3
    by 2·2^-11·B.
    """
    if numerics.fast is not None:
        return _normwise(expected, FORMATS[dtype], FORMATS[numerics.accumulator], numerics.fast)
    output, accumulator = FORMATS[dtype], FORMATS[numerics.accumulator]
    size, r, k = expected.magnitude, np.abs(expected.value), expected.terms + 1
    relative = gamma(k, accumulator.roundoff)
    typical, drift = _typical(k, accumulator), sqrt(k) * accumulator.roundoff
    bits, largest, underflow = accumulator.bits, accumulator.largest, k * accumulator.smallest_subnormal
    if numerics.intermediate is not None:
        narrow = FORMATS[numerics.intermediate]
        roundings = k if numerics.intermediate_roundings is None else numerics.intermediate_roundings
        relative = _compound(relative, gamma(roundings, narrow.roundoff))
        typical, drift = typical + _typical(roundings, narrow), drift + sqrt(roundings) * narrow.roundoff
        bits, largest = min(bits, narrow.bits), min(largest, narrow.largest)
        underflow += roundings * narrow.smallest_subnormal
    if numerics.tf32:
        relative, typical, bits = _compound(relative, TF32_CUT), typical + TF32_ROUNDED, min(bits, TF32_BITS)
    underflow = underflow * (1 + relative) + output.smallest_subnormal
    with np.errstate(all="ignore"):
        # a sum of nothing but zeros is exactly 0, however wide the bound
        sums = np.where(size == 0, 0.0, relative * size)
        rest = output.roundoff * (r + sums) + underflow
        guaranteed = np.where(size == 0, 0.0, sums + rest)
        usual = np.where(size == 0, 0.0, typical * size + drift * r + rest)
        partial = size if expected.sums is None else expected.sums
        fits = (partial <= 2.0**bits) & (expected.value >= output.lowest) & (expected.value <= output.largest)
        reached = np.where(partial == 0, 0.0, partial * (1 + relative))
        in_range = (reached <= largest) & (r + guaranteed <= output.largest)
    exact = fits & expected.integral
    return Allowance(
        exact=exact,
        guaranteed=guaranteed,
        expected=np.minimum(usual, guaranteed),
        # at a relative bound of 1 every answer down to 0 is within it, so that nothing can be said
        checkable=exact | (in_range & np.isfinite(guaranteed) & ((relative < 1) | (size == 0))),
    )


def measure(expected: Expected, numerics: Sequence[Numerics]) -> Real:
    """Return what errors are measured against, in units of u: B, or a fast algorithm's norm where that is more."""
    fast = [n.fast for n in numerics if n.fast is not None]
    with np.errstate(invalid="ignore"):
        most: Real = np.maximum.reduce([expected.magnitude, *(_norm(expected, f.bound(0.0)) for f in fast)])
    return most


def _normwise(expected: Expected, output: Format, accumulator: Format, fast: Fast) -> Allowance:
    """Return the gates for a fast algorithm."""
    bound = fast.bound(accumulator.roundoff)
    size, r, norm = expected.magnitude, np.abs(expected.value), _norm(expected, bound)
    # a product may underflow, and so may each step of the transforms behind it
    lost = (expected.terms + bound.roundings) * bound.growth * accumulator.smallest_subnormal
    with np.errstate(all="ignore"):
        nothing = (size == 0) & (norm == 0)
        off = bound.guaranteed * norm + gamma(2, accumulator.roundoff) * size
        rest = output.roundoff * (r + off) + lost + output.smallest_subnormal
        guaranteed = np.where(nothing, 0.0, off + rest)
        usual = bound.expected * norm + _typical(bound.roundings, accumulator) * size
        usual = usual + sqrt(bound.roundings) * accumulator.roundoff * r + rest
        reached = bound.growth * norm + size
        in_range = (reached <= accumulator.largest) & (r + guaranteed <= output.largest)
        held = (bound.steps or inf) * reached <= 2.0**accumulator.bits
        fits = held & (expected.value >= output.lowest) & (expected.value <= output.largest)
    exact = fits & expected.integral
    return Allowance(
        exact=exact,
        guaranteed=guaranteed,
        expected=np.where(nothing, 0.0, np.minimum(usual, guaranteed)),
        checkable=exact | (in_range & np.isfinite(guaranteed)),
        normwise=True,
    )


def _norm(expected: Expected, bound: NormBound) -> Real:
    """Return the norm that a bound is in, an element a result's; infinite where the operation has none."""
    if expected.norms is None:
        return np.full_like(expected.magnitude, inf)
    norm: Real = getattr(expected.norms(), bound.norm)
    return np.broadcast_to(norm, expected.magnitude.shape)


def _typical(k: int, summed: Format) -> float:
    """What k roundings cost in real arithmetic, relative to B."""
    return 8 * sqrt(log2(max(k, 2))) * summed.roundoff


def _compound(a: float, b: float) -> float:
    """(1 + a)·(1 + b) − 1: one relative error on top of another."""
    return a + b * (1 + a)
