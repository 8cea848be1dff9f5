"""The references of `depthwise_conv` and `separable_conv` against literal loops over fractions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from convsuite.case import Numerics, Origin, Pass
from convsuite.dtypes import round_to
from convsuite.errors import CaseError
from convsuite.judge import judge
from convsuite.operands import fill
from convsuite.operations import OPERATIONS, conv, depthwise_conv, separable_conv
from convsuite.operations.common import Common
from convsuite.operations.depthwise_conv import DepthwiseCase
from convsuite.operations.separable_conv import SeparableCase

Index = tuple[int, ...]
Sums = dict[Index, Any]
DEPTHWISE = ("forward", "grad_input", "grad_weight", "grad_bias")
SEPARABLE = ("forward", "grad_input", "grad_depthwise", "grad_pointwise", "grad_bias")
GEOMETRIES: dict[str, dict[str, Any]] = {
    "1d": {"input": 6, "kernel": 3, "rank": 1, "channels": 2, "multiplier": 2},
    "2d": {"input": [4, 5], "kernel": [2, 3], "channels": 2, "multiplier": 2},
    "3d": {"input": [3, 2, 3], "kernel": [2, 1, 2], "channels": 2},
    "stride_dilation": {"input": [7, 6], "kernel": [3, 2], "stride": [2, 1], "dilation": [2, 3], "channels": 3},
    "padding": {"input": [5], "kernel": [2], "padding": [[2, 1]], "channels": 2, "multiplier": 3},
    "same": {"input": [5, 4], "kernel": [2, 3], "stride": 2, "padding": "same", "channels": 1},
    "crop": {"input": [6], "kernel": [2], "padding": [[-1, 2]], "channels": 3},
    "no_batch": {"input": [4], "kernel": [2], "batch": 0},
}


def case(operation: str, passes: tuple[str, ...], **keys: Any) -> Any:
    """Resolve a case from case-file keys: all passes, with a bias."""
    module = OPERATIONS[operation]
    written = {"name": "case", "passes": passes, "bias": True, "batch": 2} | keys
    return module.resolve(
        msgspec.convert(written, module.ENTRY), Common(id="case", origin=Origin(file="test.yaml", line=1))
    )


def depthwise(**keys: Any) -> DepthwiseCase:
    resolved: DepthwiseCase = case("depthwise_conv", DEPTHWISE, **keys)
    return resolved


def separable(**keys: Any) -> SeparableCase:
    keys["channels"] = {"in": keys.get("channels", 1), "out": 2}
    resolved: SeparableCase = case("separable_conv", SEPARABLE, **keys)
    return resolved


def meetings(c: DepthwiseCase | SeparableCase) -> Iterator[tuple[Index, Index, Index]]:
    """Every product of the depthwise sum whose input is no zero of the padding, as (output, input, weight)."""
    n, channels, *sizes = c.input_shape
    axes = list(zip(sizes, c.padding.pads, c.kernel, c.dilation, c.stride, strict=True))
    out = [len(range(0, size + low + high - (k - 1) * d, s)) for size, (low, high), k, d, s in axes]
    for image, channel, j in product(range(n), range(channels), range(c.multiplier)):
        for place, tap in product(product(*map(range, out)), product(*map(range, c.kernel))):
            at = tuple(p * s + t * d - low for p, t, (_, (low, _), _, d, s) in zip(place, tap, axes, strict=True))
            if all(0 <= position < size for position, size in zip(at, sizes, strict=True)):
                o = channel * c.multiplier + j
                yield (image, o, *place), (image, channel, *at), (o, 0, *tap)


def fractions(array: NDArray[Any]) -> Sums:
    return {at: Fraction(float(array[at])) for at in np.ndindex(array.shape)}


def literal_depthwise(c: DepthwiseCase, x: Sums, w: Sums, b: Sums, g: Sums) -> dict[str, Sums]:
    due: dict[str, Sums] = {name: defaultdict(int) for name in DEPTHWISE}
    for out, into, tap in meetings(c):
        due["forward"][out] += x[into] * w[tap]
        due["grad_input"][into] += g[out] * w[tap]
        due["grad_weight"][tap] += g[out] * x[into]
    for out, value in g.items():
        due["forward"][out] += b[out[1:2]]
        due["grad_bias"][out[1:2]] += value
    return due


def literal_separable(c: SeparableCase, x: Sums, d: Sums, p: Sums, b: Sums, g: Sums) -> dict[str, Sums]:
    due: dict[str, Sums] = {name: defaultdict(int) for name in SEPARABLE}
    between: Sums = defaultdict(int)
    ones = (0,) * c.rank
    for out, into, tap in meetings(c):
        between[out] += x[into] * d[tap]
    for (n, o, *place), value in g.items():
        due["forward"][n, o, *place] += b[(o,)]
        due["grad_bias"][(o,)] += value
        for i in range(c.input_shape[1] * c.multiplier):
            due["forward"][n, o, *place] += p[(o, i, *ones)] * between[n, i, *place]
            due["grad_pointwise"][(o, i, *ones)] += value * between[n, i, *place]
    for (n, i, *place), into, tap in meetings(c):
        for o in range(c.out_channels):
            share = p[(o, i, *ones)] * g[n, o, *place]
            due["grad_input"][into] += share * d[(i, *tap[1:])]
            due["grad_depthwise"][tap] += share * x[into]
    return due


def check(c: Any, literally: Any, bits: int) -> None:
    """Hold every pass to the literal loops: the value to 2^-bits of the magnitude, and that to float64."""
    module = OPERATIONS[c.operation]
    assert not module.violations(c)
    arrays = fill(c)
    exact = [fractions(a) for a in arrays]
    due = literally(c, *exact)
    sizes = literally(c, *({at: abs(v) for at, v in a.items()} for a in exact))
    for pass_ in c.passes:
        got = module.reference(c, arrays, pass_)
        shape = next((o.shape for o in c.operands if o.role == pass_.role), module.output_shape(c))
        assert got.value.shape == got.magnitude.shape == shape
        for at in np.ndindex(shape):
            value, size = due[pass_.value][at], sizes[pass_.value][at]
            low = 0 if got.low is None else Fraction(float(got.low[at]))
            assert abs(Fraction(float(got.value[at])) + low - value) <= size * Fraction(1, 2**bits), (pass_, at)
            assert abs(Fraction(float(got.magnitude[at])) - size) <= size * Fraction(1, 2**46), (pass_, at)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_depthwise_integers_are_the_literal_loops_exactly(name: str) -> None:
    check(depthwise(**GEOMETRIES[name]), literal_depthwise, bits=10_000)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_separable_integers_are_the_literal_loops_exactly(name: str) -> None:
    check(separable(**GEOMETRIES[name]), literal_separable, bits=10_000)


@pytest.mark.parametrize("values", ["normal", "wide", "cancelling"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_separable_numbers(dtype: str, values: str) -> None:
    """Nothing is rounded between the two sums: double-double stays at 2^-99 of the magnitude, float64 at 2^-45."""
    c = separable(dtype=dtype, fill=values, **GEOMETRIES["2d"])
    check(c, literal_separable, bits=99 if dtype == "float64" else 45)


def test_separable_is_one_convolution_after_the_other() -> None:
    c = separable(**GEOMETRIES["stride_dilation"])
    x, d, p, b, _ = fill(c)
    between = conv.reference(c.depth, (x, d), Pass.FORWARD).value
    due = conv.reference(c.point, (between, p, b), Pass.FORWARD).value
    np.testing.assert_array_equal(separable_conv.reference(c, fill(c), Pass.FORWARD).value, due)


def test_separable_terms_are_those_of_both_sums() -> None:
    c = separable(input=[6, 5], kernel=[3, 2], channels=3, multiplier=2)
    assert separable_conv.terms(c, Pass.FORWARD) == 3 * 2 + 6
    assert separable_conv.terms(c, Pass.GRAD_INPUT) == 2 + 3 * 2 * 2  # both outputs, then every tap of both multiples
    assert separable_conv.terms(c, Pass.GRAD_DEPTHWISE) == 2 + 2 * 4 * 4
    assert separable_conv.terms(c, Pass.GRAD_POINTWISE) == 6 + 2 * 4 * 4
    assert separable_conv.terms(c, Pass.GRAD_BIAS) == 2 * 4 * 4


def test_separable_work_counts_both_convolutions() -> None:
    c = separable(input=[6, 5], kernel=[3, 2], channels=3, multiplier=2, batch=1)
    work = separable_conv.work(c)
    assert work.flops == 2 * 6 * 16 * 6 + 2 * 2 * 16 * 6
    assert work.bytes == 4 * (3 * 30 + 6 * 6 + 2 * 6 + 2 + 2 * 16)


@pytest.mark.parametrize("pass_", [Pass.FORWARD, Pass.GRAD_INPUT, Pass.GRAD_DEPTHWISE, Pass.GRAD_POINTWISE])
@pytest.mark.parametrize(("dtype", "scale"), [("float16", 0), ("float16", -20), ("bfloat16", 0), ("bfloat16", -130)])
def test_what_is_between_may_be_rounded_to_16_bits(dtype: str, scale: int, pass_: Pass) -> None:
    """The bound holds for one rounding between the two sums, also of numbers below the normal range."""
    keys = {"dtype": dtype, "fill": "normal", "input": [6, 5], "kernel": 3, "multiplier": 2, "bias": False}
    c = case("separable_conv", SEPARABLE[:4], channels={"in": 3, "out": 2}, **keys)
    scales = {"input": scale, "grad_output": scale, "pointwise": 2 if scale else 0}
    drawn = [np.ldexp(a.astype(np.float64), scales.get(o.role, 0)) for a, o in zip(fill(c), c.operands, strict=True)]
    arrays = tuple(round_to(a, dtype) for a in drawn)
    expected = separable_conv.reference(c, arrays, pass_)
    declared = Numerics(accumulator="float32", intermediate=dtype, intermediate_roundings=1)
    verdict = judge(in_two_steps(c, arrays, pass_), dtype, expected, dtype, declared)
    assert verdict.wrong == 0, verdict.message


def in_two_steps(c: SeparableCase, arrays: tuple[NDArray[Any], ...], pass_: Pass) -> NDArray[Any]:
    """What a backend of two convolutions gives in 16 bits: each sum exact, and then rounded."""
    (first, of_first), (second, of_second) = separable_conv.steps(c, pass_)
    x, d, p, g = arrays
    operands = (x, d) if of_first is Pass.FORWARD else (x, p, g)
    between = round_to(conv.reference(first, operands, of_first).value, c.dtype)
    operands = (x, d, between) if second is c.depth else (between, p, g)
    return round_to(conv.reference(second, operands, of_second).value, c.dtype)


def test_the_judge_sees_a_multiplier_that_comes_first() -> None:
    """Outputs in the order (multiplier, channel) have the right shape and are wrong."""
    c = depthwise(input=[5, 4], kernel=2, channels=3, multiplier=2)
    expected = depthwise_conv.reference(c, fill(c), Pass.FORWARD)
    right = expected.value.astype(np.float32)
    swapped = right.reshape(2, 3, 2, 4, 3).swapaxes(1, 2).reshape(right.shape)
    assert judge(right, "float32", expected, "float32", Numerics(accumulator="float32")).right
    assert not judge(swapped, "float32", expected, "float32", Numerics(accumulator="float32")).right


@pytest.mark.parametrize(
    ("keys", "broken"),
    [
        ({"stride": 0}, "stride"),
        ({"dilation": 0}, "dilation"),
        ({"kernel": 0}, "kernel"),
        ({"kernel": 9}, "kernel"),
        ({"kernel": {"size": 3, "channels": 5}}, "channels"),
        ({"channels": 0}, "channels"),
        ({"dtype": "int32"}, "passes"),
    ],
)
@pytest.mark.parametrize("make", [depthwise, separable])
def test_what_is_broken_is_named(make: Any, keys: dict[str, Any], broken: str) -> None:
    c = make(**({"input": [6, 6], "kernel": 3, "channels": 2} | keys))
    assert OPERATIONS[c.operation].violations(c)[0].key[0] == broken


def test_a_pointwise_weight_for_other_channels_is_named() -> None:
    c = separable(input=[6, 6], kernel=3, channels=2, pointwise={"channels": 3})
    assert [str(e) for e in separable_conv.violations(c)] == [
        "the pointwise weight takes 3 channels, the depthwise convolution gives 2"
    ]


@pytest.mark.parametrize(
    ("make", "keys"),
    [
        (depthwise, {"kernel": {"values": [[[1], [2]]]}, "rank": 1}),  # two input channels in a depthwise weight
        (depthwise, {"kernel": {"values": [[[1]], [[2]], [[3]]]}, "rank": 1, "multiplier": 2}),
        (separable, {"kernel": 1, "pointwise": {"values": [[1], [2, 3]]}}),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Any, keys: dict[str, Any]) -> None:
    with pytest.raises(CaseError):
        make(**({"input": 4} | keys))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_where_what_is_between_may_overflow_nothing_is_said(dtype: str) -> None:
    """300 * 300 is beyond float16, the half of it is not: what is rounded between the two sums is infinite."""
    scale = 1.0 if dtype == "float16" else 2.0**112
    c = separable(
        rank=1, batch=1, dtype=dtype, input={"values": [[300 * scale, 200 * scale, 1]]}, kernel={"values": [[[300]]]},
        pointwise={"values": [[0.5], [2]]}, bias=False,
    )  # fmt: skip
    magnitude = separable_conv.reference(c, fill(c), Pass.FORWARD).magnitude
    assert np.isinf(magnitude).tolist() == [[[True, False, False]] * 2]
