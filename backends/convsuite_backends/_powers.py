"""The p-norm of windows out of sums of powers, for frameworks that have no such pool; 16 bits are widened for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite_backends import _layout

if TYPE_CHECKING:
    from convsuite.operations.lp_pool import LpPoolCase


def wide(case: LpPoolCase) -> str:
    """Return the dtype in which powers are summed."""
    return "float32" if case.dtype in _layout.HALVES else case.dtype


def composition(case: LpPoolCase, powers: str, pool: str) -> str:
    """Say how a pool is composed."""
    widened = " in float32" if wide(case) != case.dtype else ""
    return f"{powers}, {pool} and the root{widened}, whose gradient at 0 is said to be 0"
