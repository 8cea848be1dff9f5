"""What the average pools of frameworks without a word for the divisor share: which of a case's are theirs."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from convsuite.operations.avg_pool import divisors
from convsuite_backends import _pools

if TYPE_CHECKING:
    from convsuite.operations.avg_pool import AvgPoolCase


def over_taps(case: AvgPoolCase) -> bool:
    """True where every window is divided by its number of taps: zeros put around the input before are padding then."""
    return bool((divisors(case) == prod(case.kernel)).all())


def over_seen(case: AvgPoolCase) -> bool:
    """True where every window is divided by how many positions of the input it sees."""
    return bool((divisors(case) == divisors(replace(case, count_include_pad=False, divisor=None))).all())


def other_divisor(case: AvgPoolCase, whose: str, same: bool) -> str:
    """Say that a case asks for another divisor than the framework's: "" where it does not.

    That is what a window sees with the framework's own SAME, and its number of taps otherwise.
    """
    if case.expect.error is not None:
        return f"{whose} takes no divisor" if case.divisor is not None else ""
    if over_seen(case) if same else over_taps(case):
        return ""
    if case.divisor is not None:
        return f"{whose} takes no divisor"
    if _pools.hangs_over(case):
        return f"{whose} has no ceil_mode: it would count the zeros that a window hangs over"
    return f"{whose} counts no padding with SAME" if same else f"{whose} counts the zeros that are put around the input"
