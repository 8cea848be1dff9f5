"""The number formats: the one table of what is true of each dtype. Needs no NumPy, so that listing cases needs none."""

from __future__ import annotations

from dataclasses import dataclass

from convsuite.case import FILLS, INTEGERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A number format: IEEE 754 binary64/32/16, bfloat16, or a two's complement integer."""

    bits: int  # p: significand bits with the hidden one; every integer up to 2^bits is exact
    itemsize: int  # bytes of one number
    largest: float
    smallest_subnormal: float  # 0 for integers
    carrier: str  # the NumPy dtype that carries it

    @property
    def roundoff(self) -> float:
        """Unit roundoff u = 2^-p for round to nearest; 0 for integers, which do not round."""
        return 2.0**-self.bits if self.smallest_subnormal else 0.0

    @property
    def smallest_normal(self) -> float:
        """The smallest number that has all its bits; 0 for integers."""
        return self.smallest_subnormal * 2.0 ** (self.bits - 1)

    @property
    def lowest(self) -> float:
        """The least number: −largest, and one less for integers."""
        return -self.largest if self.smallest_subnormal else -self.largest - 1


def _ieee(bits: int, highest: int, itemsize: int, carrier: str) -> Format:
    """Return a binary format of `bits` significand bits and exponents from 1 − highest to highest."""
    return Format(
        bits=bits,
        itemsize=itemsize,
        largest=(2 - 2.0 ** (1 - bits)) * 2.0**highest,
        smallest_subnormal=2.0 ** (2 - highest - bits),
        carrier=carrier,
    )


def _twos_complement(itemsize: int, carrier: str) -> Format:
    bits = 8 * itemsize - 1
    return Format(bits=bits, itemsize=itemsize, largest=2.0**bits - 1, smallest_subnormal=0.0, carrier=carrier)


FORMATS = {
    "float64": _ieee(53, 1023, 8, "float64"),
    "float32": _ieee(24, 127, 4, "float32"),
    "float16": _ieee(11, 15, 2, "float16"),
    "bfloat16": _ieee(8, 127, 2, "float32"),
    "int32": _twos_complement(4, "int32"),
    "int8": _twos_complement(1, "int8"),
    "int64": _twos_complement(8, "int64"),  # of indices; no case has it
}
INDEX_DTYPES = ("int64", "int32")


def is_integer(dtype: str) -> bool:
    """True for an integer dtype."""
    return dtype in INTEGERS


_WHOLE = ("integers", "impulse", "ramp")  # the fills of integers only


def suits(fill: str, dtype: str) -> bool:
    """True where a dtype can hold a fill: integers hold no real numbers."""
    return fill in suiting(dtype)


def suiting(dtype: str) -> tuple[str, ...]:
    """Return the fills that a dtype can hold."""
    return _WHOLE if is_integer(dtype) else FILLS
