"""Formats and rounding, against an independent rounding by exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import copysign, inf, isinf

import numpy as np
import pytest

from convsuite.case import DTYPES
from convsuite.dtypes import round_to
from convsuite.formats import FORMATS, is_integer

EXPONENTS = {"float16": (-14, 15), "bfloat16": (-126, 127), "float32": (-126, 127), "float64": (-1022, 1023)}


def rounded(value: float, dtype: str) -> float:
    """Round to nearest, ties to even, from the definition of the format alone."""
    if value == 0 or isinf(value):
        return value
    bits, (lowest, highest) = FORMATS[dtype].bits, EXPONENTS[dtype]
    exact = abs(Fraction(value))
    exponent = max(exact.numerator.bit_length() - exact.denominator.bit_length() - 1, lowest)
    while exact >= Fraction(2) ** (exponent + 1):
        exponent += 1
    step = Fraction(2) ** (exponent - bits + 1)
    nearest = round(exact / step) * step  # Fraction rounds ties to even
    too_large = nearest >= Fraction(2) ** (highest + 1)
    return copysign(inf if too_large else float(nearest), value)


def hard(dtype: str) -> list[float]:
    """Values around every kind of edge: ties, subnormals, the smallest, the largest, and far beyond."""
    form = FORMATS[dtype]
    tiny, ulp = form.smallest_subnormal, 2.0 ** (1 - form.bits)
    ties = [1 + n * ulp / 2 for n in range(8)] + [n * tiny / 2 for n in range(12)]
    edges = [2.0 ** EXPONENTS[dtype][0], form.largest, form.largest * (1 + ulp / 4), form.largest * (1 + ulp / 2)]
    far = [1e-320, 1e-50, 1e39, 1e300, 255.5, 256.0, 257.0, 258.0, 259.0, 1 / 3, 65519.0, 65520.0]
    base = np.array([v for v in ties + edges + far if v < inf])
    around = np.concatenate([base, np.nextafter(base, inf), np.nextafter(base, -inf), base * (1 + 2.0**-30)])
    return [float(v) for v in np.concatenate([around, -around])]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_rounding_is_to_nearest_even(dtype: str) -> None:
    rng = np.random.default_rng(0)
    spread = rng.standard_normal(500) * 2.0 ** rng.integers(-150, 140, 500)
    values = np.array(hard(dtype) + spread.tolist())
    got = round_to(values, dtype).astype(np.float64)
    due = np.array([rounded(v, dtype) for v in values])
    np.testing.assert_array_equal(got, due)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(due))


def test_bfloat16_rounds_once_and_not_by_way_of_float32() -> None:
    """1 + 2^-8 + 2^-40 lies above a tie that float32 would make of it: rounding twice gives 1."""
    value = 1 + 2.0**-8 + 2.0**-40
    assert float(np.float32(value)) == 1 + 2.0**-8
    assert round_to(np.array([value, -value]), "bfloat16").tolist() == [1.0078125, -1.0078125]


def test_bfloat16_by_hand() -> None:
    """The integers beyond 2^8 keep their even halves; a tie goes to the even one."""
    got = round_to(np.array([256.0, 257, 258, 259, 261, 263]), "bfloat16").tolist()
    assert got == [256, 256, 258, 260, 260, 264]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_specials_survive(dtype: str) -> None:
    got = round_to(np.array([np.nan, inf, -inf, -0.0]), dtype)
    assert np.isnan(got[0])
    assert got[1:].tolist() == [inf, -inf, 0]
    assert np.signbit(got).tolist()[2:] == [True, True]


def test_a_nan_of_all_ones_stays_a_nan() -> None:
    """Rounding its bits up would carry into the sign and leave a −0."""
    ones = np.array([2**63 - 1], np.uint64).view(np.float64)
    assert np.isnan(round_to(ones, "bfloat16")).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_carrier_holds_the_format(dtype: str) -> None:
    form = FORMATS[dtype]
    most = np.array([form.largest, -form.largest, 0.0])
    got = round_to(most, dtype)
    assert got.dtype == form.carrier
    assert form.itemsize == (2 if dtype == "bfloat16" else got.dtype.itemsize)
    assert got.astype(np.float64).tolist() == most.tolist()
    whole = np.array([min(2.0**form.bits, form.largest), min(2.0**form.bits, form.largest) - 1])
    assert round_to(whole, dtype).astype(np.float64).tolist() == whole.tolist()


@pytest.mark.parametrize("dtype", EXPONENTS)
def test_formats_by_their_definition(dtype: str) -> None:
    form, (lowest, highest) = FORMATS[dtype], EXPONENTS[dtype]
    assert form.roundoff == 2.0**-form.bits
    assert form.smallest_subnormal == 2.0 ** (lowest - form.bits + 1)
    assert form.largest == 2.0**highest * (2 - 2.0 ** (1 - form.bits))
    assert round_to(np.array([form.smallest_subnormal]), dtype) > 0
    assert round_to(np.array([form.smallest_subnormal / 2]), dtype) == 0
    assert not is_integer(dtype)


def test_integers_do_not_round() -> None:
    assert FORMATS["int8"].roundoff == FORMATS["int32"].roundoff == 0
    assert is_integer("int8")
    assert FORMATS["int8"].largest == np.iinfo(np.int8).max
    assert FORMATS["int32"].largest == np.iinfo(np.int32).max
    assert [FORMATS[d].lowest for d in ("int8", "int32", "float16")] == [-(2**7), -(2**31), -65504]


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_shapes_are_kept(shape: tuple[int, ...]) -> None:
    for dtype in DTYPES:
        assert round_to(np.ones(shape), dtype).shape == shape
