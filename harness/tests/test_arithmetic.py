"""The two arithmetics against exact fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convsuite import arithmetic
from convsuite.arithmetic import DoubleDouble, Float64, evaluate

Real = NDArray[np.float64]
Fill = Callable[[np.random.Generator, tuple[int, ...]], Real]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Real:
    return rng.standard_normal(shape)


def wide(rng: np.random.Generator, shape: tuple[int, ...]) -> Real:
    return np.ldexp(rng.standard_normal(shape), rng.integers(-200, 200, shape))


def cancelling(rng: np.random.Generator, shape: tuple[int, ...]) -> Real:
    return 1e8 * (1 - 2 * (np.indices(shape).sum(axis=0) % 2)) + rng.standard_normal(shape)


FILLS: dict[str, Fill] = {"normal": normal, "wide": wide, "cancelling": cancelling}


def fractions(a: Real) -> NDArray[Any]:
    """Every element as a fraction."""
    return np.frompyfunc(Fraction, 1, 1)(a.astype(object))  # type: ignore[no-any-return]


def furthest(value: Real, due: NDArray[Any], size: NDArray[Any]) -> float:
    """The largest |value − due| / size, evaluated exactly."""
    exact = sum(fractions(part) for part in value)
    return max(float(abs(e - d) / s) for e, d, s in zip(exact.flat, due.flat, size.flat, strict=True))


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("k", [1, 2, 3, 7, 64, 101])
def test_double_double_products_and_sums(name: str, k: int) -> None:
    rng = np.random.default_rng(k)
    a, b = FILLS[name](rng, (2, 2, k)), FILLS[name](rng, (2, k, 2))
    due, size = fractions(a) @ fractions(b), abs(fractions(a)) @ abs(fractions(b))
    assert furthest(DoubleDouble().matmul(a, b), due, size) < 2.0**-100
    assert furthest(Float64().matmul(a, b), due, size) < k * 2.0**-53


def test_a_product_is_split_without_error() -> None:
    rng = np.random.default_rng(0)
    a, b = wide(rng, (300,)), wide(rng, (300,))
    high, low = arithmetic._two_product(a, b)
    assert (fractions(high) + fractions(low) == fractions(a) * fractions(b)).all()
    assert (high == a * b).all()


def test_a_sum_is_split_without_error() -> None:
    rng = np.random.default_rng(1)
    a, b = wide(rng, (300,)), wide(rng, (300,))
    s, e = arithmetic._two_sum(a, b)
    assert (fractions(s) + fractions(e) == fractions(a) + fractions(b)).all()


def test_chunks_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long sum is taken in pieces: whatever their size, none is lost."""
    a, b = normal(np.random.default_rng(2), (2, 1, 3, 25)), normal(np.random.default_rng(3), (2, 25, 4))
    due, size = fractions(a) @ fractions(b), abs(fractions(a)) @ abs(fractions(b))
    for chunk in (1, 48, 7 * 48, 10**6):
        monkeypatch.setattr(arithmetic, "_CHUNK", chunk)
        value = DoubleDouble().matmul(a, b)
        assert value.shape == (2, 2, 2, 3, 4)
        assert furthest(value, due, size) < 2.0**-100


@pytest.mark.parametrize("numbers", [Float64(), DoubleDouble()])
@pytest.mark.parametrize("k", [0, 1, 2, 5, 8])
def test_reduce(numbers: Float64 | DoubleDouble, k: int) -> None:
    value = np.zeros((numbers.parts, 3, k))
    value[0] = np.arange(3 * k).reshape(3, k)
    got = numbers.reduce(value, -1)
    assert got.shape == (numbers.parts, 3)
    assert got[0].tolist() == value[0].sum(axis=1).tolist()


@pytest.mark.parametrize("numbers", [Float64(), DoubleDouble()])
def test_add_in_place_where_asked(numbers: Float64 | DoubleDouble) -> None:
    total = np.ones((numbers.parts, 2, 3))
    value = np.zeros((numbers.parts, 2))
    value[0] = [10, 20]
    numbers.add(total, (..., 1), value)
    assert total[0].tolist() == [[1, 11, 1], [1, 21, 1]] if numbers.parts == 1 else [[1, 12, 1], [1, 22, 1]]


@pytest.mark.parametrize("shapes", [((2, 0), (0, 3)), ((0, 2), (2, 3)), ((4, 2, 3), (4, 3, 0))])
def test_empty_products(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a, b = map(np.ones, shapes)
    for numbers in (Float64(), DoubleDouble()):
        got = numbers.matmul(a, b)
        assert got.shape == (numbers.parts, *(a @ b).shape)
        assert not got.any()


def product(numbers: arithmetic.Arithmetic, arrays: Any) -> Real:
    return numbers.matmul(arrays[0], arrays[1])


def test_float64_cases_get_a_double_double_and_others_do_not() -> None:
    arrays = (normal(np.random.default_rng(4), (2, 5)), normal(np.random.default_rng(5), (5, 2)))
    fine, plain = (evaluate(product, arrays, dtype, 5) for dtype in ("float64", "float32"))
    assert plain.low is None
    assert fine.low is not None
    assert fine.low.any()
    assert (np.abs(fine.low) <= np.spacing(np.abs(fine.value)) / 2).all()
    assert (fine.magnitude == np.abs(arrays[0]) @ np.abs(arrays[1])).all()
    assert not fine.integral
    assert fine.terms == 5


def test_integers_of_float64_are_exact_in_either() -> None:
    small = (np.array([[3.0, -4.0]]), np.array([[5.0], [6.0]]))
    got = evaluate(product, small, "float64", 2)
    assert (got.value.item(), got.low, got.magnitude.item(), got.integral) == (-9.0, None, 39.0, True)
    large = (np.array([[2.0**53 - 1, 1.0]]), np.array([[3.0], [-4.0]]))
    got = evaluate(product, large, "float64", 2)
    assert got.integral
    assert got.low is not None
    assert int(got.value.item()) + int(got.low.item()) == 3 * (2**53 - 1) - 4


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_special_operand_touches_only_its_own_sums(bad: float, dtype: str) -> None:
    a, b = np.array([[1.0, bad], [1.0, 2.0]]), np.array([[1.0, 0.5], [1.0, -2.0]])
    got = evaluate(product, (a, b), dtype, 2)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(got.value, a @ b)
    np.testing.assert_array_equal(got.magnitude, [[np.nan, np.nan], [3.0, 4.5]])
    assert got.low is None or np.isfinite(got.low).all()
    assert np.asarray(got.integral).tolist() == [[False, False], [True, False]]  # 0.5 is in the last


def test_overflow_has_an_infinite_magnitude() -> None:
    """1e200·1e200 − 1e200·1e200 has no value in float64, in any order that is known."""
    got = evaluate(product, (np.array([[1e200, 1e200]]), np.array([[1e200], [-1e200]])), "float64", 2)
    assert np.isposinf(got.magnitude).all()


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_integral_means_every_operand(value: float) -> None:
    ones = np.ones((1, 1))
    assert evaluate(product, (ones, ones), "float32", 1).integral
    assert not evaluate(product, (ones, value * ones), "float32", 1).integral


def test_the_comparison_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums without their rounding error are no better than float64: the bound of 2^-100 sees it."""
    monkeypatch.setattr(arithmetic, "_two_sum", lambda a, b: (a + b, np.zeros_like(a + b)))
    rng = np.random.default_rng(6)
    a, b = normal(rng, (1, 9)), normal(rng, (9, 1))
    assert furthest(DoubleDouble().matmul(a, b), fractions(a) @ fractions(b), abs(fractions(a)) @ abs(fractions(b))) > (
        2.0**-60
    )


def test_what_is_not_read_keeps_nothing_from_gate_1() -> None:
    """A gradient of a product does not depend on the operand that it is the gradient of."""
    a, b, unread = np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([0.5])
    read = evaluate(lambda ops, arrays: product(ops, arrays[:2]), (a, b, unread), "float32", 2)
    assert read.integral is False
    left = evaluate(
        lambda ops, arrays: product(ops, arrays[:2]), (a, b, unread), "float32", 2, read=(True, True, False)
    )
    assert left.integral is True
