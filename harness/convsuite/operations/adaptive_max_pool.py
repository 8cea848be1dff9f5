"""Adaptive max pool: the largest value of each of so many windows, which cover the input.

Value, index and gradient are those of `max_pool`, and so are the policies of NaN and of ties that are met here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from convsuite.entry import says
from convsuite.operations import adaptive, axes, max_pool
from convsuite.operations.adaptive import Adaptive, AdaptiveEntry, picture, violations, work
from convsuite.operations.max_pool import MaxPoolCase, Nan, output_shape, reference, terms

if TYPE_CHECKING:
    from convsuite.operations.common import Common

__all__ = ["output_shape", "picture", "reference", "terms", "violations", "work"]

NAME = "adaptive_max_pool"
PASSES = max_pool.PASSES
COMPARES = True
Tie = Literal["first", "last_nan"]


class AdaptiveMaxPoolEntry(AdaptiveEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An adaptive max pool as a case file writes it."""

    nan: Annotated[Nan, says("a window with a NaN is NaN, or a NaN is never its answer")] = "propagate"
    tie: Annotated[Tie, says("which of equal maxima has the index and the gradient; `first` or `last_nan`")] = "first"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveMaxPoolCase(Adaptive, MaxPoolCase):
    """An adaptive max pool, resolved."""

    output: tuple[int, ...]


ENTRY = AdaptiveMaxPoolEntry
CASE = AdaptiveMaxPoolCase
AXES = (*adaptive.AXES, axes.passes(PASSES))
EXCLUSIONS = (axes.ONE_AXIS,)


def resolve(entry: AdaptiveMaxPoolEntry, common: Common) -> AdaptiveMaxPoolCase:
    """Resolve what was written to a case. Raise CaseError where it cannot even be said what is meant."""
    return adaptive.resolve(entry, common, AdaptiveMaxPoolCase, NAME, nan=entry.nan, tie=entry.tie)
