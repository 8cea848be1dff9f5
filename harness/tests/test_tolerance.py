"""The three gates: known values, sums in many orders that must pass, and faults that must not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf, log2, sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convsuite.arithmetic import evaluate
from convsuite.case import Expected, Numerics, Verdict
from convsuite.dtypes import round_to
from convsuite.formats import FORMATS
from convsuite.judge import judge
from convsuite.tolerance import allowance, gamma

Real = NDArray[Any]
TERMS = (1, 2, 3, 9, 27, 144, 576, 2304, 4608, 6400)
OUTPUTS = 60
FLOAT32 = Numerics(accumulator="float32")


def expected(value: Any, magnitude: Any, terms: int, integral: bool = False) -> Expected:
    return Expected(
        value=np.atleast_1d(np.asarray(value, np.float64)),
        low=None,
        magnitude=np.atleast_1d(np.asarray(magnitude, np.float64)),
        terms=terms,
        integral=integral,
    )


def operands(name: str, terms: int, dtype: str, seed: int = 0) -> tuple[Real, Real]:
    """Two arrays (outputs, terms) of the dtype whose rows' products are to be summed."""
    rng = np.random.default_rng([seed, terms])
    x, w = rng.standard_normal((2, OUTPUTS, terms))
    match name:
        case "integers":
            most = 4 if dtype != "bfloat16" else 3
            x, w = rng.integers(1, most + 1, (2, OUTPUTS, terms)) * rng.choice([-1.0, 1.0], (2, OUTPUTS, terms))
        case "wide":
            reach = 3 if dtype == "float16" else 12
            x, w = (a * 2.0 ** rng.integers(-reach, reach + 1, a.shape) for a in (x, w))
        case "cancelling":
            x, w = x + 256 * (1 - 2 * (np.arange(terms) % 2)), w + 256
        case "positive":
            x, w = np.abs(x), np.abs(w)
    return round_to(x, dtype), round_to(w, dtype)


def reference(x: Real, w: Real, dtype: str) -> Expected:
    """Of every row's inner product."""
    return evaluate(lambda a, ops: a.reduce(a.matmul(ops[0][:, None], ops[1][..., None])[..., 0], -1),
                    (x, w), dtype, x.shape[1])  # fmt: skip


def in_turn(products: Real) -> Real:
    """Sum rows one term after the other, rounding to the products' dtype each time."""
    return np.add.accumulate(products, axis=1)[:, -1]


def halving(products: Real) -> Real:
    while products.shape[1] > 1:
        half = products.shape[1] // 2
        products = np.concatenate([products[:, :half] + products[:, half : 2 * half], products[:, 2 * half :]], axis=1)
    return products[:, 0]


def blocked(products: Real) -> Real:
    """Blocks of 16 side by side, as vector units do it."""
    missing = -products.shape[1] % 16
    lanes = np.pad(products, ((0, 0), (0, missing))).reshape(len(products), -1, 16)
    return in_turn(np.add.accumulate(lanes, axis=1)[:, -1])


def fused(x: Real, w: Real, dtype: str) -> Real:
    """Multiply-add with one rounding each."""
    total = np.zeros(len(x), dtype)
    for left, right in zip(x.T.astype(np.float64), w.T.astype(np.float64), strict=True):
        total = (total + left * right).astype(dtype)
    return total


def sums(x: Real, w: Real, dtype: str) -> Iterator[tuple[str, Real]]:
    """Every row's inner product in many orders, accumulated in `dtype`; all are right answers."""
    products = x.astype(dtype) * w.astype(dtype)
    order = np.random.default_rng(7).permutation(products.shape[1])
    yield "in turn", in_turn(products)
    yield "backwards", in_turn(products[:, ::-1])
    yield "shuffled", in_turn(products[:, order])
    yield "by size", in_turn(np.take_along_axis(products, np.argsort(-np.abs(products), axis=1), axis=1))
    yield "halving", halving(products)
    yield "blocked", blocked(products)
    yield "NumPy's", products.sum(axis=1, dtype=dtype)
    if dtype == "float32":
        yield "fused", fused(x, w, dtype)
        yield "in float64", (x.astype(np.float64) * w.astype(np.float64)).sum(axis=1)


def verdicts(name: str, terms: int, dtype: str, accumulator: str) -> Iterator[tuple[str, Verdict]]:
    x, w = operands(name, terms, dtype)
    due = reference(x, w, dtype)
    for order, total in sums(x, w, accumulator):
        answer = round_to(total.astype(np.float64), dtype)
        yield order, judge(answer, dtype, due, dtype, Numerics(accumulator=accumulator))


@pytest.mark.parametrize("name", ["normal", "wide", "cancelling", "positive"])
@pytest.mark.parametrize("terms", TERMS)
def test_a_right_sum_in_any_order_is_right_and_not_suspect(terms: int, name: str) -> None:
    for order, verdict in verdicts(name, terms, "float32", "float32"):
        assert verdict.right, (order, verdict)
        assert not verdict.suspect, (order, verdict)
        assert verdict.gate == "guaranteed"
        assert verdict.compared == OUTPUTS


@pytest.mark.parametrize("name", ["normal", "wide"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("terms", [1, 27, 576, 2304])
def test_the_same_in_other_dtypes(terms: int, dtype: str, name: str) -> None:
    for order, verdict in verdicts(name, terms, dtype, "float64" if dtype == "float64" else "float32"):
        assert verdict.right, (order, verdict)
        assert not verdict.suspect, (order, verdict)
        assert verdict.compared == OUTPUTS


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("terms", TERMS)
def test_integers_are_exact_in_any_order(terms: int, dtype: str) -> None:
    for order, verdict in verdicts("integers", terms, dtype, "float64" if dtype == "float64" else "float32"):
        assert verdict.right, (order, verdict)
        assert verdict.gate == "exact"
        assert verdict.error_units == 0


@pytest.mark.parametrize("terms", [144, 2304, 4608])
def test_a_dropped_product_of_integers_is_found_200_times_of_200(terms: int) -> None:
    x, w = operands("integers", terms, "float32")
    due, right = reference(x, w, "float32"), (x * w).sum(axis=1)
    rng = np.random.default_rng(terms)
    for _ in range(200):
        row, dropped = rng.integers(OUTPUTS), rng.integers(terms)
        answer = right.copy()
        answer[row] -= x[row, dropped] * w[row, dropped]
        verdict = judge(answer, "float32", due, "float32", FLOAT32)
        assert (verdict.right, verdict.wrong, verdict.worst_index) == (False, 1, (row,))


@pytest.mark.parametrize("terms", [144, 4608])
def test_a_dropped_product_of_real_numbers_is_seen_by_gate_3(terms: int) -> None:
    """A fixed rtol of 1e-3 of B would not see it at 4608 terms: it is at most a few thousandths of B."""
    x, w = operands("normal", terms, "float32")
    due = reference(x, w, "float32")
    right = in_turn(x * w)
    seen = 0
    for row, answer in enumerate(right - x[:, 0] * w[:, 0]):
        changed = right.copy()
        changed[row] = answer
        verdict = judge(changed, "float32", due, "float32", FLOAT32)
        seen += verdict.suspect or not verdict.right
    assert seen >= OUTPUTS - 2


def tf32(a: Real) -> Real:
    """Round to 11 significand bits, to nearest even."""
    fraction, exponent = np.frexp(a.astype(np.float64))
    return np.ldexp(np.round(fraction * 2.0**11) / 2.0**11, exponent).astype(np.float32)


@pytest.mark.parametrize("terms", [27, 144, 2304, 6400])
def test_tf32_is_seen_unless_declared(terms: int) -> None:
    x, w = operands("normal", terms, "float32")
    due, answer = reference(x, w, "float32"), in_turn(tf32(x) * tf32(w))
    verdict = judge(answer, "float32", due, "float32", FLOAT32)
    assert verdict.suspect or not verdict.right
    assert verdict.error_units > 150
    declared = judge(answer, "float32", due, "float32", Numerics(accumulator="float32", tf32=True))
    assert declared.right
    assert not declared.suspect


@pytest.mark.parametrize("terms", [144, 2304, 4608])
def test_a_float16_accumulator_is_seen_unless_declared(terms: int) -> None:
    x, w = operands("normal", terms, "float16")
    due, answer = reference(x, w, "float16"), in_turn(x * w)
    verdict = judge(answer, "float16", due, "float16", FLOAT32)
    assert verdict.suspect or not verdict.right
    declared = judge(answer, "float16", due, "float16", Numerics(accumulator="float16"))
    assert declared.wrong == 0
    assert declared.right == (terms < 2**11)  # beyond, γ has its pole: nothing is known


@pytest.mark.parametrize(("dtype", "u"), [("float32", 2.0**-24), ("float64", 2.0**-53)])
def test_gate_2_is_no_wider_than_the_worst_sum(dtype: str, u: float) -> None:
    """1 + 100 × 0.999·u, each rounded away: nearly all of the bound is used; gate 3 calls it suspect."""
    x = np.full((1, 101), 0.999 * u, dtype)
    x[0, 0] = 1
    verdict = judge(in_turn(x), dtype, reference(x, np.ones_like(x), dtype), dtype, Numerics(accumulator=dtype))
    assert verdict.right
    assert verdict.suspect
    assert 0.95 < verdict.guaranteed_share < 1


@pytest.mark.parametrize("roundings", [None, 21])
def test_a_declared_intermediate_rounding_has_the_room_that_it_needs(roundings: int | None) -> None:
    """1 + 20 × 0.99·2^-8, rounded to bfloat16 after every product, stays 1; with half the roundings that is wrong."""
    x = round_to(np.array([[1.0] + [0.99 * 2.0**-8] * 20]), "bfloat16")
    total = x[:, 0]
    for column in x.T[1:]:
        total = round_to((total + column).astype(np.float64), "bfloat16")
    assert total == 1
    due = reference(x, np.ones_like(x), "bfloat16")
    assert not judge(total, "bfloat16", due, "bfloat16", FLOAT32).right
    declared = Numerics(accumulator="float32", intermediate="bfloat16", intermediate_roundings=roundings)
    assert judge(total, "bfloat16", due, "bfloat16", declared).right
    fewer = Numerics(accumulator="float32", intermediate="bfloat16", intermediate_roundings=10)
    assert not judge(total, "bfloat16", due, "bfloat16", fewer).right


def test_gamma() -> None:
    assert gamma(0, 2.0**-24) == 0
    assert gamma(2, 0.25) == 1
    assert gamma(1, 2.0**-53) == 2.0**-53 / (1 - 2.0**-53)
    assert gamma(4, 0.25) == gamma(5, 0.25) == inf
    assert gamma(10**9, 0.0) == 0  # integers do not round


def test_gates_by_hand() -> None:
    """K = 15, B = 10, r = −3: 16 roundings of the accumulator, log2 16 = 4."""
    u, tiny = 2.0**-24, 2.0**-149
    got = allowance(expected(-3, 10, 15), "float32", FLOAT32)
    sums = 10 * 16 * u / (1 - 16 * u)
    assert got.guaranteed == pytest.approx(sums + u * (3 + sums), rel=1e-14)
    assert got.expected == pytest.approx(
        np.minimum(8 * 2 * u * 10 + 4 * u * 3 + u * (3 + sums), got.guaranteed), rel=1e-14
    )
    assert got.checkable.all()
    assert not got.exact.any()
    half = allowance(expected(-3, 10, 15), "float16", FLOAT32)
    assert half.guaranteed == pytest.approx(sums + 2.0**-11 * (3 + sums) + 2.0**-24 + 16 * tiny, rel=1e-14)


@pytest.mark.parametrize("terms", [1, 10, 255, 4095])
def test_gate_3_by_hand(terms: int) -> None:
    """Its two parts, and the output's rounding, of r = 2 and B = 7; never more than gate 2."""
    u, g = 2.0**-24, gamma(terms + 1, 2.0**-24)
    got = allowance(expected([0, 2], [7, 7], terms), "float32", FLOAT32)
    spread, drift = 8 * sqrt(log2(terms + 1)) * u * 7, sqrt(terms + 1) * u * 2
    assert got.expected[0] == pytest.approx(min(spread + u * 7 * g, got.guaranteed[0]), rel=1e-12)
    assert got.expected[1] == pytest.approx(min(spread + drift + u * (2 + 7 * g), got.guaranteed[1]), rel=1e-12)


def test_tf32_by_hand() -> None:
    """Two factors, each cut off after 11 bits, or as is to be expected rounded, over all that float32 itself may do."""
    got = allowance(expected(0, 1, 1), "float32", Numerics(accumulator="float32", tf32=True))
    g = gamma(2, 2.0**-24)
    relative = (1 + g) * (1 + 2.0**-10) ** 2 - 1
    assert got.guaranteed == pytest.approx(relative * (1 + 2.0**-24), rel=1e-12)
    usual = 8 * 2.0**-24 + (1 + 2.0**-11) ** 2 - 1
    assert got.expected == pytest.approx(usual, rel=1e-6)


def test_tf32_by_simulation() -> None:
    """Factors just below a step of 11 bits: rounded is as expected, cut off is suspect, of fewer bits wrong."""
    x = np.float32(1 + 2.0**-10 - 2.0**-23)
    due = expected(float(x) ** 2, float(x) ** 2, 1)
    tf32 = Numerics(accumulator="float32", tf32=True)
    for kept, right, suspect in ((1 + 2.0**-10, True, False), (1.0, True, True), (1 - 2.0**-9, False, False)):
        verdict = judge(np.array([kept**2], np.float32), "float32", due, "float32", tf32)
        assert (verdict.right, verdict.suspect) == (right, suspect)


def test_a_sum_of_zeros_is_zero_whatever_is_declared() -> None:
    for numerics in (FLOAT32, Numerics(accumulator="bfloat16"), Numerics(accumulator="float32", tf32=True)):
        got = allowance(expected([0, 0], [0, 1], 10_000), "float32", numerics)
        assert got.guaranteed[0] == got.expected[0] == 0
        assert got.checkable[0]
    assert judge(np.array([-0.0]), "float64", expected(0, 0, 9), "float64", Numerics(accumulator="float64")).right
    tiny = judge(np.array([5e-324]), "float64", expected(0, 0, 9), "float64", Numerics(accumulator="float64"))
    assert (tiny.right, tiny.wrong) == (False, 1)


def test_underflow_is_allowed_for_once_a_product() -> None:
    """Ten products of 2^-150 each round to 0 in float32: the answer 0 is right, and twice the sum is too much."""
    sums = np.array([10 * 2.0**-150, 1])  # the second, so that zeros alone would not do
    due = expected(sums, sums, 10)
    assert judge(np.float32([0, 1]), "float32", due, "float32", FLOAT32).right
    assert not judge(np.float32([2.0**-144, 1]), "float32", due, "float32", FLOAT32).right


def test_float16_underflow_does_not_grow_with_k() -> None:
    """A float32 sum is rounded to float16 once: 0.001 of nothing is wrong however many products there are."""
    due = expected(0, 1e-5, 4608)
    assert not judge(np.float16([1e-4]), "float16", due, "float16", FLOAT32).right
    assert judge(np.float16([5e-8]), "float16", due, "float16", FLOAT32).right


@pytest.mark.parametrize(
    ("dtype", "numerics", "value", "magnitude", "why"),
    [
        ("float16", FLOAT32, 65_520.0, 70_000.0, "the output overflows"),
        ("float16", Numerics(accumulator="float16"), 1.0, 70_000.0, "the accumulator may"),
        ("float16", Numerics(accumulator="float32", intermediate="float16"), 1.0, 70_000.0, "a partial sum may"),
        ("float32", FLOAT32, 1.0, 3.5e38, "a partial sum may"),
        ("bfloat16", FLOAT32, 3.4e38, 3.4e38, "the output overflows"),
        ("float64", Numerics(accumulator="float64"), 1.0, inf, "the reference itself overflows"),
        ("float64", Numerics(accumulator="float64"), inf, inf, "the reference itself overflows"),
    ],
)  # fmt: skip
def test_what_may_overflow_is_unchecked_and_never_passed(
    dtype: str, numerics: Numerics, value: float, magnitude: float, why: str
) -> None:
    for answer in (value, 0.0, inf, np.nan):
        due = expected([value, 1.0], [magnitude, 2.0], 3)
        y = round_to(np.array([answer, 1.0]), dtype)
        verdict = judge(y, dtype, due, dtype, numerics)
        assert (verdict.right, verdict.compared, verdict.unchecked) == (True, 1, 1), why
        alone = judge(y[:1], dtype, expected(value, magnitude, 3), dtype, numerics)
        assert (alone.right, alone.gate, alone.compared) == (False, "none", 0), why


@pytest.mark.parametrize(
    ("dtype", "accumulator", "value", "magnitude", "exact"),
    [
        ("float32", "float32", 5, 2**24, True),
        ("float32", "float32", 5, 2**24 + 2, False),
        ("float64", "float64", 5, 2**53, True),
        ("float64", "float64", 5, 2**53 + 2, False),
        ("float16", "float32", 65_504, 2**24, True),
        ("float16", "float32", 65_505, 2**24, False),
        ("float16", "float16", 5, 2**11, True),
        ("float16", "float16", 5, 2**11 + 1, False),
        ("bfloat16", "float32", 100_000, 2**24, True),
        ("int32", "int32", 5, 2**31, True),
        ("int32", "int32", 5, 2**31 + 1, False),
        ("int8", "int32", -127, 1000, True),
        ("int8", "int32", 200, 1000, False),
    ],
)
def test_where_gate_1_holds(dtype: str, accumulator: str, value: float, magnitude: float, exact: bool) -> None:
    numerics = Numerics(accumulator=accumulator)
    assert allowance(expected(value, magnitude, 3, integral=True), dtype, numerics).exact.item() is exact
    assert not allowance(expected(value, magnitude, 3, integral=False), dtype, numerics).exact.any()


def test_what_is_declared_narrows_gate_1() -> None:
    due = expected([5, 5, 5], [2**8, 2**11, 2**12], 3, integral=True)
    rounded = Numerics(accumulator="float32", intermediate="bfloat16")
    assert allowance(due, "bfloat16", rounded).exact.tolist() == [True, False, False]
    assert allowance(due, "float32", Numerics(accumulator="float32", tf32=True)).exact.tolist() == [True, True, False]
    both = Numerics(accumulator="float32", intermediate="bfloat16", tf32=True)
    assert allowance(due, "bfloat16", both).exact.tolist() == [True, False, False]


def test_integers_that_do_not_fit_are_unchecked() -> None:
    """An integer sum beyond its accumulator wraps, or not: nothing is said of it."""
    for dtype, value, magnitude in (("int8", 200, 300), ("int32", 2.0**31, 2.0**31), ("int32", 1, 2.0**32)):
        answer = round_to(np.array([1.0, 7.0]), dtype)
        due = expected([value, 7], [magnitude, 9], 3, integral=True)
        verdict = judge(answer, dtype, due, dtype, Numerics(accumulator="int32"))
        assert (verdict.right, verdict.compared, verdict.unchecked, verdict.gate) == (True, 1, 1, "exact")


def test_bfloat16_integers_beyond_256_are_rounded_once() -> None:
    """r = 257 lies between 256 and 258: the even one is due, the other is wrong."""
    due = expected(257, 300, 20, integral=True)
    assert judge(np.float32([256]), "bfloat16", due, "bfloat16", FLOAT32).right
    assert not judge(np.float32([258]), "bfloat16", due, "bfloat16", FLOAT32).right


def test_beyond_gammas_pole_nothing_is_guaranteed() -> None:
    """127 + 1 roundings of 2^-8 may cost all of B: what is within such a bound may be anything down to 0."""
    numerics = Numerics(accumulator="bfloat16")
    for terms, can in ((126, True), (127, False), (254, False), (255, False), (10_000, False)):
        assert bool(allowance(expected(1, 2, terms), "bfloat16", numerics).checkable.all()) is can, terms


def test_what_zeros_would_pass_is_not_shown() -> None:
    """Where gate 2 lets zeros through, gate 3 decides; where that does, too, nothing can be said."""
    numerics = Numerics(accumulator="float32")
    due = expected(np.array([3e4, -2e4]), np.array([3e8, 3e8]), 4608)
    bound = allowance(due, "float32", numerics)
    assert (bound.guaranteed > 3e4).all()
    assert (bound.expected < 2e4).all()
    assert judge(np.float32([3e4, -2e4]), "float32", due, "float32", numerics).right
    zeros = judge(np.zeros(2, np.float32), "float32", due, "float32", numerics)
    assert (zeros.right, zeros.wrong, zeros.suspect) == (False, 0, True)
    assert "where the proven bound would let zeros pass" in zeros.message
    void = expected(np.array([3.0, -2.0]), np.array([3e8, 3e8]), 4608)
    nothing = judge(np.float32([3, -2]), "float32", void, "float32", numerics)
    assert (nothing.right, nothing.compared, nothing.unchecked) == (False, 0, 2)
    assert "zeros would be within the bounds, too" in nothing.message


def test_allowances_have_the_results_shape() -> None:
    got = allowance(expected(np.zeros((2, 3)), np.ones((2, 3)), 4, integral=True), "float32", FLOAT32)
    assert {a.shape for a in (got.exact, got.guaranteed, got.expected, got.checkable)} == {(2, 3)}


PLANTED: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "γ too small": lambda m: m.setattr("convsuite.tolerance.gamma", lambda k, u: k * u / 20),
    "gate 3 too small": lambda m: m.setattr("convsuite.tolerance._typical", lambda k, f: f.roundoff / 20),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_bound_that_is_too_small_is_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTED[fault](monkeypatch)
    found = [v for name in ("normal", "positive") for _, v in verdicts(name, 27, "float32", "float32")]
    assert any(v.suspect or not v.right for v in found)
    assert FORMATS["float32"].roundoff == 2.0**-24


@pytest.mark.parametrize(("dtype", "lowest"), [("int8", -(2.0**7)), ("int32", -(2.0**31))])
def test_the_lowest_integer_is_held_to_gate_1(dtype: str, lowest: float) -> None:
    """Of a window of nothing but padding it is due, and nothing else."""
    numerics = Numerics(accumulator="int32")
    value = np.array([lowest, lowest - 1, -lowest - 1, -lowest])
    due = Expected(value=value, low=None, magnitude=np.ones(4), terms=1, integral=True)
    assert allowance(due, dtype, numerics).exact.tolist() == [True, False, True, False]
