"""Power-average pooling: the p-norm of what a window sees.

    y[n, c, p] = (Σ_t |x̂[n, c, p·stride + t·dilation]|^power)^(1/power)

with x̂ the input padded with zeros, t over the window's taps. PyTorch sums x^power, without the absolute value; that is
`absolute: false`, for whole powers: where `power` is even it is the same, and at 1 it is the window's sum. A window
whose sum is 0 is 0 and passes no gradient on (PyTorch's rule; the norm has no slope there).

Why gate 2 is a proof here. A step that rounds is a factor 1 + δ with |δ| ≤ u; a power function is taken to be within 4
ulps, 8 such factors. The sum S of powers has K + 2 of them beside the powers' own: K − 1 additions, an average and its
product with K. A root divides their number by `power`, and adds 8 and, since 1/power is itself rounded, |ln y|. A
gradient is sign(x)·|x|^(power − 1)·Σ g·S^(1/power − 1), with steps counted alike. Where signs cancel in S, a relative
error grows by Σ|x|^power / |S|, which is in the magnitude. Nothing is checked where that is above 8, and where S or a
factor leaves the range in which the case's dtype loses nothing to underflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, frexp, inf, isfinite, prod
from typing import TYPE_CHECKING, Annotated, Any

from convsuite.case import FLOATS, Expected, Pass
from convsuite.entry import PoolEntry, says
from convsuite.errors import CaseError
from convsuite.formats import FORMATS
from convsuite.operations import axes, pool
from convsuite.operations.common import fraction_rules
from convsuite.operations.pool import PoolCase, output_shape, picture, terms, work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from convsuite.arithmetic import Real
    from convsuite.operations.common import Common

    Numbers = NDArray[Any]  # of float64, or Decimals

__all__ = ["output_shape", "picture", "terms", "work"]

NAME = "lp_pool"
PASSES = (Pass.FORWARD, Pass.GRAD_INPUT)
COMPARES = False

POWER_ROUNDINGS = 8  # of a power function: 4 ulps in units of u
CANCELLING = 8.0  # Σ|x|^power / |S| beyond which a sum's sign may be wrong
DIGITS = 50  # of the decimal arithmetic by which float64 cases are judged


class LpPoolEntry(PoolEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A power-average pool as a case file writes it."""

    power: Annotated[float, says("the norm's; above 0, of at most 8 significant bits")] = 2.0
    absolute: Annotated[bool, says("|x| is raised; if not, x is, as PyTorch does, for whole powers")] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LpPoolCase(PoolCase):
    """A power-average pool, resolved."""

    power: float = 2.0
    absolute: bool = True  # |x|^power is summed, else x^power

    @property
    def even(self) -> bool:
        """True where x^power is |x|^power."""
        return self.power % 2 == 0

    @property
    def signed(self) -> bool:
        """True where powers of either sign may be summed."""
        return not (self.absolute or self.even)


ENTRY = LpPoolEntry
CASE = LpPoolCase


def _power(case: LpPoolCase) -> tuple[str, ...]:
    if case.power < 1:
        return ("below 1",)
    return (f"{case.power:g}",) if case.power in (1, 2, 3) else ("fraction",)


# pads, dilation, layouts and memory formats are those of the average pool below, which `avg_pool` pairs
AXES = (
    axes.RANK,
    axes.KERNEL,
    axes.STRIDE,
    axes.yes_no("ceil_mode", lambda c: c.ceil_mode),
    axes.dtypes(FLOATS),
    axes.fills(("integers", "normal")),
    axes.Axis("power", ("below 1", "1", "2", "3", "fraction"), _power),
    axes.yes_no("absolute", lambda c: c.absolute),
    axes.passes(PASSES),
)
EXCLUSIONS = (
    axes.ONE_AXIS,
    axes.Exclusion(
        firsts=axes.values("power", "below 1", "fraction"),
        seconds=axes.values("absolute", "no"),
        reason="such a power of a negative number is none",
    ),
)


def resolve(entry: LpPoolEntry, common: Common) -> LpPoolCase:
    """Resolve what was written to a case. Raise CaseError for a power that some dtype cannot hold."""
    bits = FORMATS["bfloat16"].bits
    if isfinite(entry.power) and not (frexp(entry.power)[0] * 2**bits).is_integer():
        raise CaseError(("power",), f"power {entry.power:g} has more than the {bits} significant bits of bfloat16")
    return pool.resolve(entry, common, LpPoolCase, NAME, power=entry.power, absolute=entry.absolute)


def violations(case: LpPoolCase) -> list[CaseError]:
    """Return every rule that the case breaks."""
    broken = pool.violations(case)
    if not (isfinite(case.power) and case.power > 0):
        broken.append(CaseError(("power",), f"power must be finite and above 0, not {case.power:g}"))
    elif not (case.absolute or case.power.is_integer()):
        rule = f"power {case.power:g} of a negative number is none: without `absolute` it must be whole"
        broken.append(CaseError(("absolute",), rule))
    return broken + fraction_rules(case, "a root")


def reference(case: LpPoolCase, arrays: Sequence[NDArray[Any]], pass_: Pass) -> Expected:
    """Return what the pass must give, straight from the definition; float64 cases in decimals of 50 digits."""
    import numpy as np

    x, grad = np.asarray(arrays[0], np.float64), np.asarray(arrays[-1], np.float64)
    with np.errstate(all="ignore"):
        evaluate = _gradient if pass_.gradient else _norms
        value = evaluate(case, x, grad, _plain)
        low = None
        if case.dtype == "float64":
            value, low = _parts(lambda numbers: evaluate(case, x, grad, numbers), value)
        magnitude, steps = (_gradient_bound if pass_.gradient else _bound)(case, x, grad)
    return Expected(value=value, low=low, magnitude=magnitude, terms=steps, integral=False)


def _plain(array: Real) -> Numbers:
    return array


def _parts(evaluate: Callable[[Callable[[Real], Numbers]], Numbers], plain: Real) -> tuple[Real, Real]:
    """Return a decimal evaluation as a double-double; where it is not finite, what IEEE arithmetic says."""
    from decimal import Context, Decimal, localcontext

    import numpy as np

    decimals = np.frompyfunc(Decimal, 1, 1)
    with localcontext(Context(prec=DIGITS, traps=[])):
        exact = np.asarray(evaluate(decimals))
        high = exact.astype(np.float64)
        low = (exact - decimals(high)).astype(np.float64)
    finite = np.isfinite(high)
    return np.where(finite, high, plain), np.where(finite, low, 0.0)


def _norms(case: LpPoolCase, x: Real, _: Real, numbers: Callable[[Real], Numbers]) -> Numbers:
    """Return (Σ|x|^p)^(1/p), (N, C, *output)."""
    one, p = _exponents(case, numbers)
    norms: Numbers = _summed(case, _based(case, numbers(x)) ** p) ** (one / p)
    return norms


def _gradient(case: LpPoolCase, x: Real, grad: Real, numbers: Callable[[Real], Numbers]) -> Numbers:
    """Return sign(x)·|x|^(p − 1)·Σ grad·S^(1/p − 1), (N, C, *input)."""
    import numpy as np

    one, p = _exponents(case, numbers)
    total = _summed(case, _based(case, numbers(x)) ** p)
    spread = _spread(case, np.where(total == 0, 0 * one, numbers(grad) * total ** (one / p - one)))
    sign = numbers(np.ones_like(x) if case.signed else np.sign(x))
    if case.power == 1:
        return np.asarray(sign * spread)
    slopes: Numbers = np.where(x == 0, 0 * one, sign * _based(case, numbers(x)) ** (p - one))
    return slopes * spread


def _exponents(case: LpPoolCase, numbers: Callable[[Real], Numbers]) -> tuple[Any, Any]:
    import numpy as np

    one, p = numbers(np.array([1.0, case.power]))
    return one, p


def _based(case: LpPoolCase, x: Numbers) -> Numbers:
    import numpy as np

    return x if case.signed else np.abs(x)


def _summed(case: LpPoolCase, powers: Numbers) -> Numbers:
    """Return the sum over each window, (N, C, *output)."""
    import numpy as np

    out, row = output_shape(case), pool.in_a_row(case, powers)
    total: Numbers = np.zeros((*out[:2], prod(out[2:])), powers.dtype)
    for at in pool.taps(case):
        total += row[..., at]
    return total.reshape(out)


def _spread(case: LpPoolCase, shares: Numbers) -> Numbers:
    """Add each window's share to all that it sees, (N, C, *input)."""
    import numpy as np

    row = pool.in_a_row(case, np.zeros(case.input_shape, shares.dtype))
    flat = shares.reshape(*shares.shape[:2], prod(shares.shape[2:]))
    for at in pool.taps(case):
        row[..., at] += flat
    return row[..., :-1].reshape(case.input_shape)


def _bound(case: LpPoolCase, x: Real, _: Real) -> tuple[Real, int]:
    """Return the magnitude, and how many roundings are relative to it."""
    import numpy as np

    total, size = _summed(case, _based(case, x) ** case.power), _summed(case, np.abs(x) ** case.power)
    lost = _cancelled(total, size)
    magnitude = np.where(
        _kept(case, size, summed=True) & np.isfinite(lost), np.abs(total) ** (1 / case.power) * lost, inf
    )
    magnitude = np.where(np.isfinite(_summed(case, x)), np.where(size == 0, 0.0, magnitude), np.nan)
    if case.power != 1:  # the root of a sum that is negative whatever was rounded is a NaN
        magnitude = np.where((total < 0) & np.isfinite(lost), np.nan, magnitude)
    log = _largest_log(magnitude, total) / case.power
    return magnitude, ceil(_steps_of_sums(case) / (1 if case.signed else case.power) + log) + POWER_ROUNDINGS


def _gradient_bound(case: LpPoolCase, x: Real, grad: Real) -> tuple[Real, int]:
    """Return the same for the gradient; where an operand is not finite it is infinite: nothing is checked there."""
    import numpy as np

    p, root = case.power, 1 / case.power - 1
    total, size = _summed(case, _based(case, x) ** p), _summed(case, np.abs(x) ** p)
    factor = np.where(size == 0, 0.0, np.abs(total) ** root)
    shares = np.abs(grad) * factor
    kept = _kept(case, size, summed=True) & _kept(case, factor) & _kept(case, shares)
    shares = np.where(kept, shares * _cancelled(total, size), inf)
    slope = np.abs(x) ** (p - 1) if case.signed or p != 1 else np.abs(np.sign(x))
    magnitude = slope * _spread(case, np.where(size == 0, 0.0, shares))
    magnitude = np.where(_kept(case, slope) & _kept(case, magnitude), magnitude, inf)
    sums = _steps_of_sums(case) * (2 if case.signed else abs(root))
    log = 2 * (1 / p + abs(root)) * _largest_log(shares, total)
    powers = POWER_ROUNDINGS * (2 + abs(1 - p))
    return np.where(slope == 0, 0.0, magnitude), ceil(sums + log + powers) + 8 + case.most_met


def _steps_of_sums(case: LpPoolCase) -> int:
    """How often the sum of powers is rounded: K − 1 additions, an average and a product with K, and the powers."""
    return prod(case.kernel) + 2 + POWER_ROUNDINGS


def _cancelled(total: Real, size: Real) -> Real:
    """Return Σ|x|^p / |S|, infinite where the sum's sign is open."""
    import numpy as np

    lost = size / np.abs(total)
    return np.where(lost <= CANCELLING, lost, inf)


def _kept(case: LpPoolCase, numbers: Real, summed: bool = False) -> NDArray[np.bool_]:
    """Return where numbers are 0, or so far within the range of the case's dtype that nothing is lost on the way.

    Of a sum a term may be lost, which is to be less than one rounding.
    """
    form, taps = FORMATS[case.dtype], prod(case.kernel)
    low = form.smallest_normal * (taps / form.roundoff if summed else 16)
    kept: NDArray[np.bool_] = (numbers == 0) | ((numbers >= low) & (numbers <= form.largest / (16 * taps)))
    return kept


def _largest_log(magnitude: Real, total: Real) -> float:
    """Return max |ln S| over what can be checked."""
    import numpy as np

    seen = np.abs(total)[np.isfinite(magnitude) & (total != 0)]
    return float(np.abs(np.log(seen)).max(initial=0.0))
