"""The references of the adaptive pools against literal windows over fractions, and the judge on them."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import ceil, floor
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from convsuite.case import Numerics, Origin, Pass
from convsuite.judge import judge
from convsuite.operands import fill
from convsuite.operations import OPERATIONS, adaptive, pool
from convsuite.operations.common import Common

Index = tuple[int, ...]
SIZES = [(n, o) for n in (1, 2, 3, 5, 7, 8) for o in (1, 2, 3, 4, 7, 9)]


def case(operation: str, **keys: Any) -> Any:
    """Resolve a case from case-file keys: values and gradients of two channels."""
    module = OPERATIONS[operation]
    written = {"name": "case", "channels": 2, "passes": ["forward", "grad_input"]} | keys
    common = Common(id="case", origin=Origin(file="test.yaml", line=1))
    return module.resolve(msgspec.convert(written, module.ENTRY), common)


def windows(c: Any) -> dict[Index, list[Index]]:
    """The positions of the input's plane that each window covers, in row-major order."""
    axes = [
        [range(floor(Fraction(i * n, o)), ceil(Fraction((i + 1) * n, o))) for i in range(o)]
        for n, o in zip(c.input_shape[2:], c.output, strict=True)
    ]
    numbers = product(*(range(o) for o in c.output))
    return {at: list(product(*(axis[i] for axis, i in zip(axes, at, strict=True)))) for at in numbers}


def literally(c: Any, x: NDArray[Any], g: NDArray[Any]) -> dict[Pass, NDArray[Any]]:
    """Value, index and gradient by literal loops, in fractions."""
    out = (*c.input_shape[:2], *c.output)
    value, index, grad = np.zeros(out, object), np.zeros(out, np.int64), np.zeros(c.input_shape, object)
    for plane, (at, seen) in product(np.ndindex(out[:2]), windows(c).items()):
        values = [Fraction(float(x[(*plane, *p)])) for p in seen]
        share = Fraction(float(g[(*plane, *at)]))
        if c.operation == "adaptive_avg_pool":
            value[(*plane, *at)] = sum(values) / len(seen)
            for p in seen:
                grad[(*plane, *p)] += share / len(seen)
        else:
            place = seen[values.index(max(values))]
            value[(*plane, *at)] = max(values)
            index[(*plane, *at)] = np.ravel_multi_index(place, c.input_shape[2:])
            grad[(*plane, *place)] += share
    return {Pass.FORWARD: value, Pass.INDICES: index, Pass.GRAD_INPUT: grad}


def check(c: Any, bits: int) -> None:
    """Hold every pass to the literal loops, to 2^-bits of the magnitude."""
    module = OPERATIONS[c.operation]
    assert not module.violations(c)
    x, g = fill(c)
    due = literally(c, x, g)
    for pass_ in c.passes:
        got = module.reference(c, (x, g), pass_)
        low = np.zeros_like(got.value) if got.low is None else got.low
        assert got.value.shape == due[pass_].shape
        for at in np.ndindex(got.value.shape):
            error = abs(Fraction(float(got.value[at])) + Fraction(float(low[at])) - Fraction(due[pass_][at]))
            assert error <= Fraction(float(got.magnitude[at])) / 2**bits, (pass_, at)


@pytest.mark.parametrize("operation", ["adaptive_avg_pool", "adaptive_max_pool"])
@pytest.mark.parametrize(("size", "output"), SIZES)
def test_every_residue(operation: str, size: int, output: int) -> None:
    check(case(operation, rank=1, input=size, output=output), bits=46)


@pytest.mark.parametrize(("operation", "bits"), [("adaptive_avg_pool", 99), ("adaptive_max_pool", 10_000)])
@pytest.mark.parametrize("keys", [{"input": [5, 4], "output": [3, 6]}, {"input": [3, 4, 5], "output": [2, 1, 4]}])
def test_several_axes(operation: str, bits: int, keys: dict[str, Any]) -> None:
    """Means are double-double in float64; gradients of maxima are exact on integers."""
    check(case(operation, dtype="float64", fill="integers" if bits > 99 else "wide", **keys), bits)


def test_indices_are_the_first_of_equal_maxima() -> None:
    c = case(
        "adaptive_max_pool", rank=1, channels=1, input={"values": [5, 5, 5, 1, 7, 7]}, output=3, passes=["indices"]
    )
    assert OPERATIONS[c.operation].reference(c, fill(c), Pass.INDICES).value.tolist() == [[[0, 2, 4]]]


@pytest.mark.parametrize(("size", "output"), SIZES)
def test_no_two_windows_meet_a_position_with_the_same_tap(size: int, output: int) -> None:
    c = case("adaptive_avg_pool", rank=1, input=size, output=output)
    for at in pool.taps(c):
        met = at[at >= 0]
        assert len(set(met.tolist())) == len(met)


@pytest.mark.parametrize(("size", "output"), SIZES)
def test_terms_are_the_longest_window_and_the_most_windows_over_a_position(size: int, output: int) -> None:
    c = case("adaptive_avg_pool", rank=1, input=size, output=output)
    covered = list(windows(c).values())
    assert OPERATIONS[c.operation].terms(c, Pass.FORWARD) == max(map(len, covered)) == c.kernel[0]
    most = max(sum((p,) in seen for seen in covered) for p in range(size))
    assert OPERATIONS[c.operation].terms(c, Pass.GRAD_INPUT) == most == c.most_met
    assert OPERATIONS[c.operation].work(c).flops == 2 * sum(map(len, covered))


def test_gate_1_holds_where_every_divisor_is_a_power_of_two() -> None:
    even, uneven = (case("adaptive_avg_pool", rank=1, input=8, output=o) for o in (2, 3))
    for c, gate in ((even, "exact"), (uneven, "guaranteed")):
        expected = OPERATIONS[c.operation].reference(c, fill(c), Pass.FORWARD)
        answer = expected.value.astype(np.float32)
        verdict = judge(answer, "float32", expected, "float32", Numerics(accumulator="float32"))
        assert (verdict.right, verdict.gate) == (True, gate)
        off = judge(answer + np.float32(0.01), "float32", expected, "float32", Numerics(accumulator="float32"))
        assert not off.right


def test_windows_of_one_length_are_wrong() -> None:
    """Windows of ceil(n / o) that step by floor(n / o), as one may think, have the right shape and are wrong."""
    values = [0, 9, 1, 2, 3]
    c = case("adaptive_max_pool", rank=1, channels=1, input={"values": values}, output=3, passes=["forward"])
    expected = OPERATIONS[c.operation].reference(c, fill(c), Pass.FORWARD)
    thought = np.array([[[max(values[i : i + 2]) for i in range(3)]]], np.float32)  # [9, 9, 2]
    due = np.array([[[9, 9, 3]]], np.float32)
    assert judge(due, "float32", expected, "float32", Numerics(accumulator="float32")).right
    assert not judge(thought, "float32", expected, "float32", Numerics(accumulator="float32")).right


@pytest.mark.parametrize(
    ("keys", "broken"),
    [
        ({"output": 0}, "output"),
        ({"output": [2, -1]}, "output"),
        ({"input": 0}, "input"),
        ({"input": [6], "expect": {"error": "rank"}}, "rank"),
        ({"dtype": "int32"}, "passes"),
    ],
)
@pytest.mark.parametrize("operation", ["adaptive_avg_pool", "adaptive_max_pool"])
def test_what_is_broken_is_named(operation: str, keys: dict[str, Any], broken: str) -> None:
    c = case(operation, **({"rank": 2, "input": 6, "output": 2} | keys))
    assert OPERATIONS[operation].violations(c)[0].key[0] == broken


def test_an_average_of_integers_is_none() -> None:
    c = case("adaptive_avg_pool", rank=1, input=6, output=2, dtype="int32", passes=["forward"])
    assert [e.key[0] for e in OPERATIONS["adaptive_avg_pool"].violations(c)] == ["dtype"]


def test_even_windows_are_drawn() -> None:
    picture = OPERATIONS["adaptive_avg_pool"].picture
    even, uneven = (case("adaptive_avg_pool", input=[6, 4], output=o) for o in ([3, 2], [4, 2]))
    drawn = picture(even)
    assert drawn is not None
    assert (drawn.kernel, drawn.stride) == ((2, 2), (2, 2))
    assert picture(uneven) is None


def test_the_longest_window_is_that_of_the_literal_definition() -> None:
    for n, o in product(range(1, 25), repeat=2):
        assert adaptive._longest(n, o) == max(-(-(i + 1) * n // o) - i * n // o for i in range(o)), (n, o)
    assert adaptive._longest(8, 10**12 + 1) == 2


@pytest.mark.parametrize(("n", "o"), [(1, 1), (5, 3), (3, 5), (2, 9), (7, 7), (4, 10)])
def test_the_taps_that_are_bounded_are_those_of_the_table(n: int, o: int) -> None:
    c = case("adaptive_avg_pool", rank=1, input=n, output=o)
    (table,) = c.meetings()
    assert len(table) <= c.taps[0]
    assert table.nbytes <= c.held
