"""Adaptive average pool: the mean of each of so many windows, which cover the input.

The divisor is a window's own length. Value, gradient and bounds are those of `avg_pool` without `count_include_pad`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convsuite.operations import adaptive, avg_pool, axes
from convsuite.operations.adaptive import Adaptive, AdaptiveEntry, picture, work
from convsuite.operations.avg_pool import AvgPoolCase, output_shape, reference, terms
from convsuite.operations.common import fraction_rules

if TYPE_CHECKING:
    from convsuite.errors import CaseError
    from convsuite.operations.common import Common

__all__ = ["output_shape", "picture", "reference", "terms", "work"]

NAME = "adaptive_avg_pool"
PASSES = avg_pool.PASSES
COMPARES = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveAvgPoolCase(Adaptive, AvgPoolCase):
    """An adaptive average pool, resolved."""

    output: tuple[int, ...]
    count_include_pad: bool = False


ENTRY = AdaptiveEntry
CASE = AdaptiveAvgPoolCase
AXES = (*adaptive.AXES, axes.passes(PASSES))
EXCLUSIONS = (axes.ONE_AXIS,)


def resolve(entry: AdaptiveEntry, common: Common) -> AdaptiveAvgPoolCase:
    """Resolve what was written to a case. Raise CaseError where it cannot even be said what is meant."""
    return adaptive.resolve(entry, common, AdaptiveAvgPoolCase, NAME)


def violations(case: AdaptiveAvgPoolCase) -> list[CaseError]:
    """Return every rule that a case breaks; a backend must refuse a case that breaks one."""
    return adaptive.violations(case) + fraction_rules(case, "an average")
