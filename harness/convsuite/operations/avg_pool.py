"""Average pooling: the sum of what a window sees, divided by how many positions count.

    y[n, c, p] = Σ_t x̂[n, c, p·stride + t·dilation] / D[p]

with x̂ the input padded with zeros, t over the window's taps. Frameworks differ in the divisor D, so it is said:
`divisor` where there is one; else with `count_include_pad` how many taps lie in the input or its declared padding,
where what `ceil_mode` hangs over by never counts (PyTorch's rule); else how many lie in the input (SAME of TensorFlow
and Keras). A window that sees padding alone is 0.

Why gate 2 is a proof here: K − 1 additions round, and so does the division, or the reciprocal and the multiplication
by it, before or after the sum: K + 1 roundings at most, each by a factor of 1 + δ, are within γ_{K+1}·Σ|x| / |D|.
A gradient is a sum of K shares g / D in the same way. Where D is a power of two, a share has the bits of what is
shared, so that it is enough for gate 1 that the sum fits; elsewhere a quotient is rounded, and there is no gate 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

from convsuite.case import FILLS, FLOATS, Expected, Pass
from convsuite.entry import PoolEntry, says
from convsuite.errors import CaseError
from convsuite.operations import axes, pool
from convsuite.operations.common import fraction_rules
from convsuite.operations.pool import PoolCase, output_shape, picture, terms, work

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from convsuite.arithmetic import Arithmetic, Real
    from convsuite.operations.common import Common
    from convsuite.operations.window import Window

__all__ = ["output_shape", "picture", "terms", "work"]

NAME = "avg_pool"
PASSES = (Pass.FORWARD, Pass.GRAD_INPUT)
COMPARES = False


class AvgPoolEntry(PoolEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An average pool as a case file writes it."""

    count_include_pad: Annotated[bool, says("what a window sees of the padding counts; if not, only input does")] = True
    divisor: Annotated[int | None, says("what every window is divided by instead; not 0")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AvgPoolCase(PoolCase):
    """An average pool, resolved."""

    count_include_pad: bool = True
    divisor: int | None = None  # for every window, whatever it sees


ENTRY = AvgPoolEntry
CASE = AvgPoolCase
AXES = (
    *pool.AXES,
    axes.dtypes(FLOATS),
    axes.fills(FILLS),
    axes.yes_no("count_include_pad", lambda c: c.count_include_pad),
    axes.yes_no("divisor", lambda c: c.divisor is not None),
    axes.passes(PASSES),
)
EXCLUSIONS = (axes.NO_GRAD_OUTPUT, axes.ONE_AXIS)


def resolve(entry: AvgPoolEntry, common: Common) -> AvgPoolCase:
    """Resolve what was written to a case. Raise CaseError where it cannot even be said what is meant."""
    own = {"count_include_pad": entry.count_include_pad, "divisor": entry.divisor}
    return pool.resolve(entry, common, AvgPoolCase, NAME, **own)


def violations(case: AvgPoolCase) -> list[CaseError]:
    """Return every rule that the case breaks."""
    broken = pool.violations(case)
    if case.divisor == 0:
        broken.append(CaseError(("divisor",), "divisor must not be 0"))
    return broken + fraction_rules(case, "an average")


def divisors(case: AvgPoolCase) -> NDArray[Any]:
    """Return what each window's sum is divided by, (*output), at least 1 where it is a count."""
    import numpy as np

    if case.divisor is not None:
        return np.full(output_shape(case)[2:], float(case.divisor))
    counts = [(at >= 0).sum(axis=0) for at in case.meetings()]
    if case.count_include_pad:
        counts = [_within(axis, more) for axis, more in zip(pool.windows(case), case.overhang, strict=True)]
    product: NDArray[np.int64] = reduce(np.multiply.outer, counts)
    return np.maximum(product, 1.0)


def _within(axis: Window, hanging: int) -> NDArray[Any]:
    """Return how many taps of each window lie in the input or its declared padding."""
    import numpy as np

    at = np.arange(axis.count)[:, None] * axis.stride + np.arange(axis.kernel) * axis.dilation
    counts: NDArray[Any] = (at < axis.padded - hanging).sum(axis=1)
    return counts


def reference(case: AvgPoolCase, arrays: Sequence[NDArray[Any]], pass_: Pass) -> Expected:
    """Return what the pass must give, straight from the definition: one step a tap, finer than the case's dtype."""
    import numpy as np

    from convsuite.arithmetic import evaluate

    by = divisors(case)
    compute, operand = (_shares, arrays[-1]) if pass_.gradient else (_means, arrays[0])
    expected = evaluate(
        lambda a, ops: compute(case, ops[0], by, a), [operand], case.dtype, terms(case, pass_), whole=False
    )
    magnitude = np.abs(expected.magnitude)  # of a negative divisor
    most, rounded = _divided(case, by, pass_)
    return replace(expected, magnitude=magnitude, sums=magnitude * most, integral=expected.integral & ~rounded)


def _means(case: AvgPoolCase, x: Real, by: Real, arithmetic: Arithmetic) -> Real:
    """Return each window's sum, divided: a value of (N, C, *output)."""
    return arithmetic.over(pool.sums(case, x, arithmetic), by)


def _shares(case: AvgPoolCase, grad: Real, by: Real, arithmetic: Arithmetic) -> Real:
    """Return what each position gets of the gradients of the windows that see it: a value of (N, C, *input)."""
    from convsuite.operations import columns

    return pool.spread(case, arithmetic.over(columns.value(arithmetic, grad), by), arithmetic)


def _divided(case: AvgPoolCase, by: Real, pass_: Pass) -> tuple[Real, NDArray[np.bool_]]:
    """Return, along the axes of space, the largest divisor that is in an element, and where a quotient is rounded."""
    import numpy as np

    most, rounded = np.abs(by), np.frexp(np.abs(by))[0] != 0.5
    if not pass_.gradient:
        return most, rounded
    size = prod(case.input_shape[2:])
    to_most, to_rounded = np.ones(size + 1), np.zeros(size + 1, dtype=bool)
    for at in pool.taps(case):
        to_most[at] = np.maximum(to_most[at], most.ravel())
        to_rounded[at] |= rounded.ravel()
    return to_most[:size].reshape(case.input_shape[2:]), to_rounded[:size].reshape(case.input_shape[2:])
