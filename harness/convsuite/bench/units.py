"""Quantities in words: three digits and a unit, so that a column of them can be read."""

from __future__ import annotations

import math

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_COUNTS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def seconds(value: float) -> str:
    """Return a time: `2.31 ms`."""
    return _scaled(value, _TIMES)


def count(value: float, unit: str) -> str:
    """Return a large number of something: `231 MFLOP`."""
    if not value:
        return f"0 {unit}"
    return _scaled(value, tuple((size, prefix + unit) for size, prefix in _COUNTS))


def share(value: float | None) -> str:
    """Return a share in percent; `–` where it is not known."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.0%}"


def digits(value: float) -> str:
    """Return a number with three digits, without an exponent."""
    if not math.isfinite(value):
        return "–"
    rounded = abs(float(f"{value:.3g}"))  # 9.996 is 10.0
    places = max(0, 2 - math.floor(math.log10(rounded))) if value else 2
    return f"{value:.{places}f}"


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    if not math.isfinite(value):
        return "–"
    # as it will be rounded: 999.6 µs is 1.00 ms
    size, unit = next((u for u in units if abs(value) >= 0.9995 * u[0]), units[-1])
    return f"{digits(value / size)} {unit}"
