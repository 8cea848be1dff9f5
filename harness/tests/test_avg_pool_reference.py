"""The reference of `avg_pool` against its definition: literal loops over fractions, and the adjoint identity."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from convsuite.case import Expected, Numerics, Origin, Pass
from convsuite.judge import judge
from convsuite.operands import fill
from convsuite.operations import avg_pool
from convsuite.operations.avg_pool import AvgPoolCase, AvgPoolEntry
from convsuite.operations.common import Common

FLOAT32 = Numerics(accumulator="float32")
WINDOWS: list[dict[str, Any]] = [
    {"kernel": 3, "stride": 2, "padding": 1},
    {"kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel": 2, "stride": 3, "ceil_mode": True},
    {"kernel": 4, "stride": 3, "padding": 2, "ceil_mode": True},
    {"kernel": 3, "stride": 2, "padding": "same_upper"},
    {"kernel": 2, "stride": 1, "dilation": 2, "padding": "full"},
    {"kernel": 2, "stride": 2, "dilation": 3, "padding": "same_lower", "ceil_mode": True},
]


def case(**keys: Any) -> AvgPoolCase:
    """Resolve a case from case-file keys: value and gradient, if nothing else is said."""
    entry = msgspec.convert({"name": "case", "passes": ("forward", "grad_input")} | keys, AvgPoolEntry)
    return avg_pool.resolve(entry, Common(id="avg_pool/test/case", origin=Origin(file="test.yaml", line=1)))


def axis_windows(c: AvgPoolCase, axis: int) -> list[tuple[list[int], int]]:
    """Each window of an axis, by walking: the input positions that it sees, and how many taps do not hang over.

    With ceil_mode one more window follows where the last left padded positions over, if it starts before they do.
    """
    n, k, s, d = c.input_shape[2 + axis], c.kernel[axis], c.stride[axis], c.dilation[axis]
    low, high = c.padding.pads[axis]
    found, start, end, last = [], -low, n + high, d * (k - 1)
    while start + last < end or (c.ceil_mode and start + last - s < end - 1 and start < n + min(high, 0)):
        taps = [start + t * d for t in range(k)]
        found.append(([t for t in taps if 0 <= t < n + min(high, 0)], sum(t < end for t in taps)))
        start += s
    return found


def literal(c: AvgPoolCase, x: NDArray[Any], grad: NDArray[Any]) -> tuple[dict[Any, Fraction], dict[Any, Fraction]]:
    """Value and gradient as one writes them down first."""
    axes = [axis_windows(c, axis) for axis in range(c.rank)]
    y, dx = {}, {at: Fraction(0) for at in np.ndindex(x.shape)}
    for n, ch in np.ndindex(x.shape[:2]):
        for at in product(*(range(len(axis)) for axis in axes)):
            seen = list(product(*(axis[p][0] for axis, p in zip(axes, at, strict=True))))
            declared = prod(axis[p][1] for axis, p in zip(axes, at, strict=True))
            by = c.divisor or (declared if c.count_include_pad else max(1, len(seen)))
            y[(n, ch, *at)] = sum((Fraction(float(x[(n, ch, *i)])) for i in seen), Fraction(0)) / by
            for i in seen:
                dx[(n, ch, *i)] += Fraction(float(grad[(n, ch, *at)])) / by
    return y, dx


def exact(expected: Expected, at: Any) -> Fraction:
    """The value that an expected element stands for."""
    return Fraction(float(expected.value[at])) + (0 if expected.low is None else Fraction(float(expected.low[at])))


@pytest.mark.parametrize("keys", WINDOWS)
@pytest.mark.parametrize("size", [[9], [10], [5, 6], [4, 3, 5]], ids=str)
@pytest.mark.parametrize("counting", [{}, {"count_include_pad": False}, {"divisor": -3}], ids=str)
def test_is_the_definition(keys, size, counting):
    c = case(input=size, rank=len(size), channels=2, dtype="float64", fill="normal", **keys, **counting)
    x, grad = fill(c)
    assert avg_pool.violations(c) == []
    for pass_, due in zip(c.passes, literal(c, x, grad), strict=True):
        expected = avg_pool.reference(c, (x, grad), pass_)
        assert expected.value.size == len(due)
        for at, value in due.items():
            magnitude = Fraction(float(expected.magnitude[at]))
            assert abs(exact(expected, at) - value) <= magnitude * Fraction(2) ** -95, (pass_, at)
            assert abs(value) <= magnitude * (1 + Fraction(2) ** -50)


@pytest.mark.parametrize("counting", [{}, {"count_include_pad": False}, {"divisor": 5}], ids=str)
def test_the_gradient_is_the_adjoint(counting):
    c = case(batch=2, channels=2, input=[7, 8], kernel=[3, 2], stride=2, padding=1, ceil_mode=True, **counting)
    x, grad = fill(c)
    y, dx = (avg_pool.reference(c, (x, grad), p).value for p in c.passes)
    assert (y * grad).sum() == pytest.approx((x * dx).sum(), rel=1e-12)


def test_by_hand():
    c = case(
        rank=1,
        input={"values": [1, 2, 4, 7]},
        kernel=3,
        stride=2,
        padding=[[0, 1]],
        ceil_mode=True,
        passes=("forward",),
    )
    np.testing.assert_allclose(avg_pool.reference(c, fill(c), Pass.FORWARD).value[0, 0], [7 / 3, 11 / 3])
    without = replace(c, count_include_pad=False)
    np.testing.assert_allclose(avg_pool.reference(without, fill(c), Pass.FORWARD).value[0, 0], [7 / 3, 11 / 2])


def test_a_window_of_padding_alone_is_zero():
    c = case(rank=1, input=5, kernel=2, stride=2, padding=[[2, 1]], count_include_pad=False, passes=("forward",))
    expected = avg_pool.reference(c, fill(c), Pass.FORWARD)
    assert expected.value[0, 0, 0] == expected.magnitude[0, 0, 0] == 0


def test_cropped_values_are_not_seen_where_a_window_hangs_over():
    c = case(
        rank=1,
        input={"values": [1, 2, 4, 8]},
        kernel=2,
        stride=2,
        padding=[[0, -1]],
        ceil_mode=True,
        passes=("forward",),
    )
    np.testing.assert_array_equal(avg_pool.reference(c, fill(c), Pass.FORWARD).value[0, 0], [1.5, 4])


def test_gate_1_is_where_no_quotient_is_rounded():
    c = case(rank=1, input=9, kernel=4, stride=3, padding=1, count_include_pad=False)
    x, grad = fill(c)
    forward, back = (avg_pool.reference(c, (x, grad), p) for p in c.passes)
    assert avg_pool.divisors(c).tolist() == [3, 4, 4]
    assert np.asarray(forward.integral).tolist() == [False, True, True]
    assert np.asarray(back.integral).tolist() == [False] * 3 + [True] * 6


def test_a_sum_may_overflow_where_its_average_does_not():
    c = case(rank=1, input={"values": [60000, 60000, 1, 3]}, kernel=2, dtype="float16", passes=("forward",))
    expected = avg_pool.reference(c, fill(c), Pass.FORWARD)
    assert judge(np.array([[[60000, 2]]], "float16"), "float16", expected, "float16", FLOAT32).right
    narrow = judge(
        np.array([[[np.inf, 2]]], "float16"), "float16", expected, "float16", Numerics(accumulator="float16")
    )
    assert narrow.right
    assert narrow.unchecked == 1


@pytest.mark.parametrize("pass_", [Pass.FORWARD, Pass.GRAD_INPUT])
@pytest.mark.parametrize("fill_name", ["integers", "normal"])
def test_another_divisor_is_seen(pass_, fill_name):
    """What is counted is seen by the judge: a window that hangs over, divided by its whole size, is a mismatch."""
    c = case(rank=1, input=10, kernel=3, stride=2, padding=1, ceil_mode=True, fill=fill_name)
    arrays = fill(c)
    due = avg_pool.reference(c, arrays, pass_)
    for other in (replace(c, count_include_pad=False), replace(c, divisor=3)):
        wrong = avg_pool.reference(other, arrays, pass_).value.astype("float32")
        assert not judge(wrong, "float32", due, "float32", FLOAT32).right
    assert judge(due.value.astype("float32"), "float32", due, "float32", FLOAT32).right


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"divisor": 0}, "divisor"),
        ({"stride": 0}, "stride"),
        ({"kernel": -1}, "kernel"),
        ({"kernel": 8}, "kernel"),
        ({"dtype": "int32"}, "dtype"),
    ],
)
def test_violations(keys, key):
    broken = avg_pool.violations(case(**{"input": 6, "kernel": 3, "stride": 1, "passes": ("forward",)} | keys))
    assert {error.key for error in broken} == {(key,)}
