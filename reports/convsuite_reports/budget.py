"""How much of the error that rounding may make is made: kept as histograms, so that memory does not grow with a run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

PER_DECADE = 8
_LOW, _HIGH = -6, 4  # decades that the bins span; the first and the last bin hold what lies beyond


@dataclass(slots=True)
class Budget:
    """Shares of the expected bound (gate 3) that some right answers use, and their worst errors."""

    count: int = 0
    none: int = 0  # without any error
    bins: list[int] = field(default_factory=lambda: [0] * ((_HIGH - _LOW) * PER_DECADE))
    max_units: float = 0.0  # of u·B
    max_expected: float = 0.0
    max_guaranteed: float = 0.0
    worst_case: str = ""

    def add(self, case_id: str, units: float, guaranteed: float, expected: float) -> None:
        """Count one answer."""
        self.count += 1
        if expected > 0:
            place = int((math.log10(expected) - _LOW) * PER_DECADE) if math.isfinite(expected) else len(self.bins)
            self.bins[min(max(place, 0), len(self.bins) - 1)] += 1
        else:
            self.none += 1
        if expected > self.max_expected or not self.worst_case:
            self.worst_case = case_id
        self.max_units = max(self.max_units, units)
        self.max_expected = max(self.max_expected, expected)
        self.max_guaranteed = max(self.max_guaranteed, guaranteed)

    def quantile(self, share: float) -> float:
        """Return the share of the bound that so many of the answers with an error stay within, to a bin (a third)."""
        left = share * (self.count - self.none)
        if left <= 0:
            return 0.0
        for place, number in enumerate(self.bins):
            left -= number
            if left <= 0:
                return min(float(10 ** (_LOW + (place + 1) / PER_DECADE)), self.max_expected)
        return self.max_expected


def merged(budgets: Iterable[Budget]) -> Budget:
    """Return several budgets as one."""
    whole = Budget()
    for one in budgets:
        if one.max_expected > whole.max_expected or not whole.worst_case:
            whole.worst_case = one.worst_case
        whole.count, whole.none = whole.count + one.count, whole.none + one.none
        whole.bins = [a + b for a, b in zip(whole.bins, one.bins, strict=True)]
        whole.max_units = max(whole.max_units, one.max_units)
        whole.max_expected = max(whole.max_expected, one.max_expected)
        whole.max_guaranteed = max(whole.max_guaranteed, one.max_guaranteed)
    return whole
