"""Max pool: the largest value of each window, where it stood, and the gradient that goes back there.

    y[n, c, p] = max_t x[n, c, p·stride + t·dilation − low]

over the taps t that meet the input: padding never is the largest, and a window that meets nothing but padding is −inf,
or the lowest integer. What a NaN gives, and which position a window points to, differs from framework to framework:

nan
    propagate: a window with a NaN is NaN. ignore: a NaN is never the answer; a window of nothing else is −inf.
tie
    which position has the index and gets the gradient. Taps are taken in row-major order.

    first               that of the value: of equal maxima the first; where NaN propagates, the first NaN
    last_nan            the same, but of several NaN the last
    leading_nan         nothing is greater than a NaN: one that leads its window stays, any other is passed over
    behind_nan          nothing is equal to a NaN either: what follows one takes its place, so that the position is that
                        of the first maximum behind the last NaN, or of that NaN where it ends the window
    behind_nan_padded   the same, with padding as −inf among the taps; where that is chosen the gradient is lost
    all                 every position that equals the value; each gets the whole gradient, and there is no index

Where there is no NaN and no two are equal, all of them mean the same, and every backend is asked (`nans`, `bottoms`,
`ties`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, prod
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from convsuite.case import FILLS, INTEGERS, Expected, Pass
from convsuite.entry import PoolEntry, says
from convsuite.errors import CaseError
from convsuite.formats import FORMATS, Format, is_integer
from convsuite.operations import axes, pool
from convsuite.operations.common import Common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convsuite.arithmetic import Arithmetic, Real

NAME = "max_pool"
PASSES = (Pass.FORWARD, Pass.INDICES, Pass.GRAD_INPUT)
COMPARES = True
Nan = Literal["propagate", "ignore"]
Tie = Literal["first", "last_nan", "leading_nan", "behind_nan", "behind_nan_padded", "all"]
NAN, TIES = get_args(Nan), get_args(Tie)


class MaxPoolEntry(PoolEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A max pool as a case file writes it."""

    nan: Annotated[Nan, says("a window with a NaN is NaN, or a NaN is never its answer")] = "propagate"
    tie: Annotated[Tie, says("which of equal maxima has the index and the gradient")] = "first"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPoolCase(pool.PoolCase):
    """A max pool, resolved."""

    nan: str = "propagate"
    tie: str = "first"

    @property
    def nans(self) -> bool:
        """True where the input holds a NaN."""
        written = self.operands[0].literal
        return any(map(isnan, written.values)) if written else self.fill == "special"

    @property
    def bottoms(self) -> bool:
        """True where the input may hold what padding is: −inf, or the lowest integer."""
        written = self.operands[0].literal
        lowest = FORMATS[self.dtype].lowest if is_integer(self.dtype) else float("-inf")
        return lowest in written.values if written else self.fill == "special"

    @property
    def ties(self) -> bool:
        """False where no two values of a plane are equal, as far as that can be told without making the input."""
        written, plane = self.operands[0].literal, prod(self.input_shape[2:])
        if written:
            planes = range(0, len(written.values), max(1, plane))
            return any(len(set(written.values[at : at + plane])) < plane for at in planes)
        form = FORMATS[self.dtype]
        if self.fill == "integers":
            return plane > 2 * min(2.0**form.bits, form.largest)
        return self.fill not in ("normal", "wide") or form.bits < FORMATS["float32"].bits


ENTRY = MaxPoolEntry
CASE = MaxPoolCase


def _nan(case: MaxPoolCase) -> tuple[str, ...]:
    return (case.nan,) if case.nans else ()


def _tie(case: MaxPoolCase) -> tuple[str, ...]:
    """The rule that is asked for, though most inputs have nothing to apply it to: then all must agree."""
    return (case.tie,) if case.wants_gradient or Pass.INDICES in case.passes else ()


_NO_NAN = tuple(
    axes.Exclusion(firsts=axes.values("nan", *NAN), seconds=seconds, reason=reason)
    for seconds, reason in (
        (axes.values("fill", *(f for f in FILLS if f != "special")), "only special values hold a NaN"),
        (axes.values("dtype", *INTEGERS), "integers have no NaN"),
    )
)
_NOBODYS = tuple(
    axes.Exclusion(firsts=axes.values("nan", nan), seconds=axes.values("tie", *ties), reason="no backend means this")
    for nan, ties in (
        ("propagate", ("leading_nan", "behind_nan", "all")),
        ("ignore", ("last_nan", "behind_nan_padded")),
    )
)
AXES = (
    *pool.AXES,
    axes.DTYPE,
    axes.FILL,
    axes.Axis("nan", NAN, _nan),
    axes.Axis("tie", TIES, _tie),
    axes.passes(PASSES),
)
EXCLUSIONS = (
    *axes.EVERYWHERE,
    *_NO_NAN,
    *_NOBODYS,
    axes.Exclusion(
        firsts=axes.values("tie", "all"),
        seconds=(*axes.values("pass", Pass.INDICES.value), *axes.values("dtype", *INTEGERS)),
        reason="several positions are no index, and integers have no gradient",
    ),
)


def resolve(entry: MaxPoolEntry, common: Common) -> MaxPoolCase:
    """Resolve what was written to a case. Raise CaseError where it cannot even be said what is meant."""
    return pool.resolve(entry, common, MaxPoolCase, NAME, nan=entry.nan, tie=entry.tie)


def violations(case: MaxPoolCase) -> list[CaseError]:
    """Return every rule that the case breaks; a backend must refuse a case that breaks one."""
    broken = pool.violations(case)
    if case.tie == "all" and Pass.INDICES in case.passes:
        broken.append(CaseError(("passes",), "`tie: all` points to several positions, so there is no index"))
    return broken


output_shape = pool.output_shape
work = pool.work
picture = pool.picture


def terms(case: MaxPoolCase, pass_: Pass) -> int:
    """K: the gradients of all windows that may point to a position; a maximum and an index are no sums."""
    return case.most_met if pass_.gradient else 1


def reference(case: MaxPoolCase, arrays: Sequence[NDArray[Any]], pass_: Pass) -> Expected:
    """Return what the pass must give, by the definition: one step per tap. Shares no code with any backend.

    A value and an index are exact. The gradient is a sum of finite values whatever the input holds, so its bounds are
    those of any sum, with B = Σ|grad_output| over the windows that point to the position.
    """
    import numpy as np

    from convsuite.arithmetic import evaluate

    n, channels, *sizes = case.input_shape
    x = np.asarray(arrays[0], dtype=np.float64).reshape(n * channels, prod(sizes))
    taps = list(pool.taps(case))
    if pass_ is Pass.FORWARD:
        return _exact(_values(case, x, taps), output_shape(case), FORMATS[case.dtype])
    if pass_ is Pass.INDICES:
        return _exact(_positions(case, x, taps), output_shape(case), FORMATS["int64"])
    shares = _shares(case, x, taps)
    return evaluate(
        lambda a, ops: _scattered(ops[0], x.shape, shares, a).reshape(a.parts, *case.input_shape),
        [arrays[-1]],
        case.dtype,
        terms(case, pass_),
    )


def _exact(value: Real, shape: tuple[int, ...], form: Format) -> Expected:
    """Return what is due to the bit; of a NaN or an infinity the class is.

    A result below the normal range is held to gate 2, whose bound has room for one smallest subnormal and no more: XLA
    flushes subnormals to zero on CPUs.
    """
    import numpy as np

    value = value.astype(np.float64).reshape(shape)
    magnitude = np.where(np.isfinite(value), np.abs(value), np.nan)
    inexact = 2.0**64  # no accumulator has as many bits
    sums = np.where((np.abs(value) > 0) & (np.abs(value) < form.smallest_normal), inexact, 0.0)
    return Expected(value=value, low=None, magnitude=magnitude, terms=1, integral=True, sums=sums)


def _seen(x: Real, at: NDArray[Any]) -> Real:
    """Return what a tap of each window meets; padding, at −1, is −inf."""
    import numpy as np

    if not x.shape[1]:
        return np.full((len(x), len(at)), -np.inf)
    seen: Real = np.where(at >= 0, x[:, at], -np.inf)
    return seen


def _values(case: MaxPoolCase, x: Real, taps: list[NDArray[Any]]) -> Real:
    """Return each window's maximum, (planes, windows)."""
    import numpy as np

    larger = np.maximum if case.nan == "propagate" else np.fmax  # fmax takes the number where there is one
    nothing = FORMATS[case.dtype].lowest if is_integer(case.dtype) else -np.inf
    best = np.full((len(x), len(taps[0])), -np.inf)
    for at in taps:
        best = larger(best, _seen(x, at))
    return np.where(best == -np.inf, nothing, best)


def _positions(case: MaxPoolCase, x: Real, taps: list[NDArray[Any]]) -> NDArray[Any]:
    """Return where in the input's plane each window points to, (planes, windows); −1 for nowhere."""
    import numpy as np

    shape = (len(x), len(taps[0]))
    best, found, begun = np.full(shape, -np.inf), np.full(shape, -1), np.zeros(shape, dtype=bool)
    for at in taps:
        seen = _seen(x, at)
        counts = np.broadcast_to((at >= 0) | (case.tie == "behind_nan_padded"), shape)
        if case.tie == "first" and case.nan == "ignore":
            counts = counts & ~np.isnan(seen)
        takes = counts & (~begun | _takes(case.tie, seen, best))
        best, found, begun = np.where(takes, seen, best), np.where(takes, at, found), begun | counts
    return found


def _takes(tie: str, seen: Real, best: Real) -> NDArray[Any]:
    """Tell where what is seen takes the place of the best before it."""
    import numpy as np

    match tie:
        case "first":
            return (seen > best) | (np.isnan(seen) & ~np.isnan(best))
        case "last_nan":
            return (seen > best) | np.isnan(seen)
        case "leading_nan":
            return seen > best
    return ~(best >= seen)


def _shares(case: MaxPoolCase, x: Real, taps: list[NDArray[Any]]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return for each tap where in the plane it is, and which windows point there."""
    if case.tie == "all":
        best = _values(case, x, taps)
        return [(at, (at >= 0) & (_seen(x, at) == best)) for at in taps]
    found = _positions(case, x, taps)
    return [(at, (at >= 0) & (found == at)) for at in taps]


def _scattered(
    grad: Real, shape: tuple[int, ...], shares: list[tuple[NDArray[Any], NDArray[Any]]], arithmetic: Arithmetic
) -> Real:
    """Add each window's gradient to where it points: no two windows meet a position with the same tap."""
    import numpy as np

    grad = grad.reshape(shape[0], len(shares[0][0]))
    total = np.zeros((arithmetic.parts, *shape))
    for at, points in shares:
        share = np.zeros((arithmetic.parts, *grad.shape))
        share[0] = np.where(points, grad, 0.0)
        arithmetic.add(total, (slice(None), at[at >= 0]), share[..., at >= 0])
    return total
