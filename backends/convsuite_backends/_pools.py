"""What the backends' pools share: pads with what `ceil_mode` hangs over by, and whose rule a case asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from convsuite.case import Support
from convsuite.formats import FORMATS, is_integer
from convsuite_backends import _layout

if TYPE_CHECKING:
    from convsuite.case import Case, Numerics, Pass
    from convsuite.operations.max_pool import MaxPoolCase
    from convsuite.operations.pool import PoolCase

OVERHANG = "ceil_mode by padding what the last window hangs over by"
MEANINGS = {"propagate": "a window with a NaN is NaN", "ignore": "a NaN is never the largest"}


def grown(case: PoolCase) -> list[tuple[int, int]]:
    """Return what is to be added on each spatial axis once it is cropped, what `ceil_mode` hangs over by included."""
    return [(low, high + more) for (low, high), more in zip(_layout.grown(case), case.overhang, strict=True)]


def hangs_over(case: PoolCase) -> bool:
    """True where `ceil_mode` lets a last window hang over the padded input."""
    return any(case.overhang)


def lowest(case: PoolCase) -> float:
    """Return what padding is to a maximum: −inf, or the lowest integer."""
    return int(FORMATS[case.dtype].lowest) if is_integer(case.dtype) else float("-inf")


def other_nan(case: MaxPoolCase, whose: str, nan: str) -> str:
    """Say that a case with a NaN asks for another value than the backend's, "" where it does not."""
    return f"{whose} means `nan: {nan}`: {MEANINGS[nan]}" if case.nans and case.nan != nan else ""


def other_tie(case: MaxPoolCase, whose: str, tie: str) -> str:
    """Say that the backend's rule for where a window points to may lead elsewhere than the case's, "" if it cannot."""
    rules = {tie, case.tie}
    padding = any(map(any, grown(case)))
    differ = case.nans or (case.ties and "all" in rules) or (case.bottoms and padding and "behind_nan_padded" in rules)
    return f"{whose} means `tie: {tie}`" if len(rules) > 1 and differ else ""


def pad_chosen(case: MaxPoolCase, pad: str) -> str:
    """Say that padding put there as a value takes part where it is as large as the input, "" where it never is."""
    return f"{pad} makes padding a value, which a window of −inf or NaN may choose" if case.nans or case.bottoms else ""


def declared_first(case: Case) -> Support:
    """Declare, for a backend that knows `tie: first` only, a max pool's cases that lead elsewhere."""
    maxima = case.operation in ("max_pool", "adaptive_max_pool")
    lack = other_tie(cast("MaxPoolCase", case), "it", "first") if maxima else ""
    return Support.unsupported(lack) if lack else Support.native()


def summed_in_halves(numerics: Numerics, case: PoolCase, pass_: Pass, whose: str) -> Numerics:
    """Declare that 16-bit gradients are added up in their own dtype, where several windows hold a position."""
    if not pass_.gradient or case.dtype not in _layout.HALVES:
        return numerics
    return _layout.narrowed(numerics, case, case.most_met - 1, f"{whose} adds gradients up in {case.dtype}")
