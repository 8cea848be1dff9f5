"""The judge: what is wrong is called wrong, and why; nothing passes that was not compared."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convsuite import judge as room
from convsuite.algorithms import Winograd
from convsuite.case import Expected, Norms, Numerics, Origin, Pass, Verdict
from convsuite.entry import ChannelsEntry
from convsuite.formats import FORMATS
from convsuite.judge import ACCIDENTS, identical, judge, judge_refusal, units_apart
from convsuite.operands import fill
from convsuite.operations import conv
from convsuite.operations.common import Common
from convsuite.operations.conv import ConvEntry

U = 2.0**-24
BOTH = (Numerics(accumulator="float32"),) * 2
ACCUMULATORS = {"float64": "float64", "int32": "int32", "int8": "int32"}


def expected(value: Any, magnitude: Any = None, terms: int = 3, integral: bool = False, low: Any = None) -> Expected:
    value = np.asarray(value, np.float64)
    magnitude = np.abs(value) if magnitude is None else np.asarray(magnitude, np.float64)
    low = None if low is None else np.asarray(low, np.float64)
    return Expected(value=value, low=low, magnitude=magnitude, terms=terms, integral=integral)


def judged(answer: Any, due: Expected, dtype: str = "float32") -> Verdict:
    """The verdict on an answer that claims the dtype it should have, from a backend that declares nothing unusual."""
    carried = answer if not isinstance(answer, (list, float, int)) else np.asarray(answer, FORMATS[dtype].carrier)
    return judge(carried, dtype, due, dtype, Numerics(accumulator=ACCUMULATORS.get(dtype, "float32")))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "returned None, an array of shape [2] was due"),
        ([1.0, 2.0], "returned a list"),
        (np.float32(1), "returned a float32"),
        (np.zeros((2, 1), np.float32), "shape [2, 1], [2] was due"),
        (np.zeros((), np.float32), "shape [], [2] was due"),
        (np.zeros(0, np.float32), "shape [0], [2] was due"),
    ],
)
def test_what_is_no_such_array_is_refused(answer: Any, said: str) -> None:
    verdict = judge(answer, "float32", expected([1, 2]), "float32", Numerics(accumulator="float32"))
    assert said in verdict.message
    assert (verdict.right, verdict.gate, verdict.compared) == (False, "none", 0)


def test_another_dtype_is_wrong_though_the_values_are_right() -> None:
    verdict = judge(np.array([1.0, 2.0]), "float64", expected([1, 2]), "float32", Numerics(accumulator="float32"))
    assert not verdict.right
    assert verdict.message == "dtype float64, float32 was due"


def test_bfloat16_carried_in_float32_is_bfloat16() -> None:
    assert judged([1.5], expected([1.5]), "bfloat16").right


@pytest.mark.parametrize("shape", [(0,), (2, 0, 3)])
def test_an_empty_result_is_right_by_its_shape(shape: tuple[int, ...]) -> None:
    verdict = judged(np.zeros(shape, np.float32), expected(np.zeros(shape)))
    assert (verdict.right, verdict.gate, verdict.compared) == (True, "shape", 0)
    assert not judged(np.zeros((0, 3), np.float32), expected(np.zeros((2, 0, 3)))).right


@pytest.mark.parametrize("integral", [True, False])
@pytest.mark.parametrize("bad", [nan, inf, -inf])
@pytest.mark.parametrize("place", [0, 3, 5])
def test_a_nan_or_infinity_anywhere_is_wrong(place: int, bad: float, integral: bool) -> None:
    value = np.arange(6.0).reshape(2, 3)
    answer = value.astype(np.float32)
    answer.flat[place] = bad
    verdict = judged(answer, expected(value, value + 1, integral=integral))
    assert (verdict.right, verdict.wrong, verdict.compared) == (False, 1, 6)
    assert verdict.worst_index == (place // 3, place % 3)
    assert verdict.error_units == verdict.guaranteed_share == inf


def test_specials_must_stand_where_they_are_due() -> None:
    value, size = [nan, inf, -inf, 2.0], [nan, nan, nan, 4.0]
    right = judged([nan, inf, -inf, 2.0], expected(value, size))
    assert (right.right, right.compared, right.wrong, right.unchecked) == (True, 4, 0, 0)
    assert right.error_units == right.guaranteed_share == right.expected_share == 0
    for place, wrong in ((0, 1.0), (0, inf), (1, -inf), (1, nan), (1, 3e38), (2, inf), (2, nan), (3, nan), (3, inf)):
        answer = [nan, inf, -inf, 2.0]
        answer[place] = wrong
        verdict = judged(answer, expected(value, size))
        assert (verdict.right, verdict.wrong, verdict.worst_index) == (False, 1, (place,)), (place, wrong)


def test_minus_zero_is_zero() -> None:
    assert judged([-0.0, 0.0], expected([0, -0.0], [0, 0], integral=True)).right
    assert judged([-0.0], expected([0], [1])).right


def test_one_verdict_in_full() -> None:
    """r = −3, B = 10, K = 3, off by 4·u·B: the share of each gate is the error over its allowance."""
    error = 40 * U
    due = expected([7, -3], [7, 10])
    verdict = judged([7, -3 + error], due)
    gate2 = 10 * 4 * U / (1 - 4 * U) + U * (3 + 40 * U)
    assert (verdict.right, verdict.gate, verdict.compared, verdict.wrong) == (True, "guaranteed", 2, 0)
    assert verdict.worst_index == (1,)
    assert (verdict.got, verdict.expected) == (float(np.float32(-3 + error)), -3)
    assert verdict.error_units == pytest.approx(4, abs=1e-6)
    assert verdict.guaranteed_share == pytest.approx(error / gate2, rel=1e-5)
    assert verdict.message == ""
    beyond = judged([7, -3 + 44 * U], due)  # 43·u and a little are allowed
    assert (beyond.right, beyond.wrong, beyond.suspect) == (False, 1, False)
    assert beyond.message == "1 of 2 elements wrong; worst at [1]: got -2.99999738, -3 was due (4.4 u·B)"


def test_suspect_passes_and_says_by_how_much() -> None:
    """K = 10⁴ leaves gate 2 at 10⁴·u·B: an error of 200·u·B is right, but 6.9 times what is expected."""
    verdict = judged([200 * U], expected([0], [1], terms=10_000))
    assert verdict.right
    assert verdict.suspect
    assert verdict.expected_share == pytest.approx(200 / (8 * np.log2(10_001) ** 0.5), rel=1e-2)
    assert verdict.message == "within the proven bound, but 6.86 × what is expected (200 u·B)"
    assert not judged([20 * U], expected([0], [1], terms=10_000)).suspect


def test_the_worst_is_the_largest_share_of_real_numbers() -> None:
    """An error of 1e-6 in 1 is worse than one of 1e-4 in 10⁴."""
    verdict = judged([1 + 1e-6, 1e4 + 1e-3, 5], expected([1, 1e4, 5]))
    assert verdict.worst_index == (0,)


def test_the_worst_of_wrong_integers_is_the_furthest_off() -> None:
    verdict = judged([1, 3, 9, 5], expected([1, 2, 3, 4], [9, 9, 9, 9], integral=True))
    assert (verdict.wrong, verdict.worst_index, verdict.got, verdict.expected) == (3, (2,), 9, 3)
    assert verdict.message == "3 of 4 elements wrong; worst at [2]: got 9, 3 was due (integers: exact to the bit)"


def test_numbers_that_look_alike_are_told_apart() -> None:
    verdict = judged([2.0**53 - 1], expected([2.0**53 - 2], integral=True), "float64")
    assert "got 9007199254740991, 9007199254740990 was due" in verdict.message


def test_both_parts_of_a_double_double_count() -> None:
    """The exact value lies 0.4 ulp above 1: 1 is within the bound of a single product, its neighbour below is not."""
    due = expected([1], [1], terms=0, low=[0.4 * 2.0**-52])
    assert judged([1.0], due, "float64").guaranteed_share == pytest.approx(0.4, rel=1e-9)
    without = expected([1], [1], terms=0, low=[0.0])
    assert judged([1.0], without, "float64").guaranteed_share == 0


def test_units_of_integers_are_parts_of_the_magnitude() -> None:
    verdict = judged([7], expected([5], [8], integral=True), "int32")
    assert (verdict.right, verdict.error_units) == (False, 0.25)


@pytest.mark.parametrize("pass_", conv.PASSES)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int32", "int8"])
def test_any_element_off_by_one_is_found_at_its_index(dtype: str, pass_: Pass) -> None:
    """Integers of a real case, each element in turn: the verdict is wrong, there, and once."""
    if dtype.startswith("int") and pass_ is not Pass.FORWARD:
        return
    c = conv.resolve(
        ConvEntry(
            name="n", input=[4, 3], kernel=[2, 2], channels=ChannelsEntry(in_=2, out=2), bias=True, dtype=dtype,
            passes=("forward",) if dtype.startswith("int") else tuple(p.value for p in conv.PASSES),
        ),
        Common(id="a/b/c", origin=Origin(file="f", line=1)),
    )  # fmt: skip
    due = conv.reference(c, fill(c), pass_)
    right: NDArray[Any] = due.value.astype(FORMATS[dtype].carrier)
    assert judged(right, due, dtype).gate == "exact"
    assert judged(right, due, dtype).right
    for at in np.ndindex(right.shape):
        changed = right.copy()
        changed[at] += 1
        verdict = judged(changed, due, dtype)
        assert (verdict.right, verdict.wrong, verdict.worst_index) == (False, 1, at)
        assert (verdict.got, verdict.expected) == (changed[at], right[at])


def test_a_perturbation_of_many_counts_each() -> None:
    rng = np.random.default_rng(0)
    value = rng.integers(-100, 100, (5, 6, 7)).astype(np.float32)
    due = expected(value, np.full(value.shape, 200.0), integral=True)
    for count in (1, 2, 50, 210):
        changed = value.copy()
        changed.flat[rng.permutation(210)[:count]] += 1
        assert judged(changed, due).wrong == count


def test_an_invalid_call_must_be_refused_by_a_check() -> None:
    refused = judge_refusal(False, "ValueError", "stride must be positive", "stride")
    assert (refused.right, refused.message, refused.gate) == (True, "refused: ValueError", "refusal")
    answered = judge_refusal(True, "", "", "stride")
    assert not answered.right
    assert answered.message == "answered although stride is invalid; a typed error was due"


@pytest.mark.parametrize("exception", ACCIDENTS)
def test_an_accident_is_no_refusal(exception: str) -> None:
    verdict = judge_refusal(False, exception, "integer modulo by zero", "groups")
    assert not verdict.right
    assert verdict.message == f"broke instead of refusing an invalid groups: {exception}: integer modulo by zero"


@pytest.mark.parametrize("exception", ["TypeError", "ValueError", "RuntimeError", "InvalidArgumentError"])
def test_a_typed_error_is_a_refusal(exception: str) -> None:
    assert judge_refusal(False, exception, "no", "groups").right
    assert not judge_refusal(False, exception, "0 INTERNAL ASSERT FAILED at x.cpp:1", "groups").right


def test_units_apart() -> None:
    due = expected([0, 0, 0], [1, 4, 0])
    a = np.float32([0, 0, 0])
    assert units_apart(a, np.float32([U, 0, 0]), due, "float32", BOTH) == 1
    assert units_apart(a, np.float32([U, 8 * U, 0]), due, "float32", BOTH) == 2
    assert units_apart(np.float32([0, 8 * U, 0]), a, due, "float32", BOTH) == 2
    assert units_apart(a, -a, due, "float32", BOTH) == 0
    assert units_apart(a, np.float32([0, 0, 1e-40]), due, "float32", BOTH) == inf
    assert units_apart(a[:0], a[:0], expected([]), "float32", BOTH) == 0


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_an_answer_flushed_to_zero_is_two_units_off(dtype: str) -> None:
    """The smallest subnormal is twice what rounding the smallest normal number costs, however small B is."""
    form, arithmetic = FORMATS[dtype], Numerics(accumulator=dtype)
    due = expected([form.smallest_subnormal])
    kept, flushed = np.array([form.smallest_subnormal], form.carrier), np.zeros(1, form.carrier)
    assert units_apart(kept, flushed, due, dtype, [arithmetic, arithmetic]) == 2
    assert judge(flushed, dtype, due, dtype, arithmetic).error_units == 2


def test_units_apart_of_specials() -> None:
    due = expected([nan, 1], [nan, 1])
    for left, right in pairwise([nan, inf, -inf, 1.0, 2.0, nan]):
        assert units_apart(np.float32([left, 1]), np.float32([right, 1]), due, "float32", BOTH) == inf, (left, right)
        assert units_apart(np.float32([left, 1]), np.float32([left, 1]), due, "float32", BOTH) == 0, left


@pytest.mark.parametrize("order", [1, -1])
def test_units_apart_leaves_out_where_a_partial_sum_may_overflow_under_either_arithmetic(order: int) -> None:
    due = expected([60000, 2], [70000, 2])
    overflowed, right = np.float16([[inf, 2 + 2**-9], [60000, 2]])[::order]
    wide, narrow = Numerics(accumulator="float32"), Numerics(accumulator="float16")
    assert units_apart(overflowed, right, due, "float16", (wide, narrow)[::order]) == 2
    assert units_apart(overflowed, right, due, "float16", (narrow, narrow)) == 2
    assert units_apart(overflowed, right, due, "float16", (wide, wide)) == inf


def test_identical() -> None:
    a = np.float32([0, 1, nan, inf])
    assert identical(a, a.copy())
    assert identical(a, np.float32([-0.0, 1, -nan, inf]))
    assert not identical(a, np.nextafter(a, np.float32(9), dtype=np.float32))
    assert not identical(a, a[:3])
    assert not identical(a, a.reshape(2, 2))
    assert identical(np.int8([1, 2]), np.int8([1, 2]))
    assert not identical(np.int8([1, 2]), np.int8([1, 3]))


def test_a_judge_that_looks_away_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the difference taken for 0, the property test above fails."""
    monkeypatch.setattr(room, "_difference", lambda y, *_: np.zeros_like(y))
    with pytest.raises(AssertionError):
        test_any_element_off_by_one_is_found_at_its_index("float32", Pass.FORWARD)


@pytest.mark.parametrize("size", [1, 5, 7, 30])
@pytest.mark.parametrize("wrong", [(), ((0, 0, 0, 0),), ((1, 2, 3, 4), (0, 1, 2, 3), (1, 2, 3, 3))])
@pytest.mark.parametrize("integral", [False, True])
def test_an_answer_in_parts_is_judged_as_it_is_in_one(
    size: int, wrong: tuple[tuple[int, ...], ...], integral: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large answer is: what was found of each part is put together."""
    rng = np.random.default_rng(0)
    value = np.trunc(8 * rng.standard_normal((2, 3, 4, 5))) if integral else rng.standard_normal((2, 3, 4, 5))
    value[1, 0, 0] = nan
    ones = np.ones((2, 3, 1, 1))
    due = Expected(
        value=value, low=None, magnitude=np.where(np.isnan(value), nan, np.abs(value) * 3), terms=9,
        integral=np.full((1, 3, 1, 1), integral), norms=lambda: Norms(peak=ones, energy=ones),
    )  # fmt: skip
    answer = (value * (1 if integral else 1 + U)).astype(np.float32)
    for number, at in enumerate(wrong, start=1):
        answer[at] += number
    for numerics in (BOTH[0], replace(BOTH[0], fast=Winograd(tile=(2, 2), kernel=(3, 3), channels=1))):
        monkeypatch.undo()
        whole = judge(answer, "float32", due, "float32", numerics)
        apart = units_apart(answer, value.astype(np.float32), due, "float32", [numerics])
        assert whole.wrong == len(wrong)
        monkeypatch.setattr(room, "_PART", size)
        assert judge(answer, "float32", due, "float32", numerics) == whole
        assert units_apart(answer, value.astype(np.float32), due, "float32", [numerics]) == apart


def test_zeros_in_some_part_are_no_emptiness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether zeros would pass is asked of the whole answer: of a part that is due to be 0 they always do."""
    due = expected([[0, 0], [1, 2]], [[0, 0], [1, 2]])
    monkeypatch.setattr(room, "_PART", 2)
    assert judged([[0, 0], [1, 2]], due).right
    assert not judged([[0, 0], [0, 0]], due).right
