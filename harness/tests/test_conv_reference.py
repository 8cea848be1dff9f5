"""The reference of `conv` against its definition: literal loops over fractions, SciPy, the adjoint identity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from convsuite.case import Expected, Origin, Pass
from convsuite.entry import ArrayEntry, BiasEntry, ChannelsEntry, KernelEntry
from convsuite.errors import CaseError
from convsuite.operands import fill
from convsuite.operations import conv
from convsuite.operations.common import Common
from convsuite.operations.conv import ConvCase, ConvEntry

Index = tuple[int, ...]
ALL = ("forward", "grad_input", "grad_weight", "grad_bias")
WRITTEN = Common(id="conv/test/case", origin=Origin(file="test.yaml", line=1))


def case(**keys: Any) -> ConvCase:
    """Resolve a case from case-file keys: all four passes with a bias, if nothing else is said."""
    keys = {"name": "case", "passes": ALL, "bias": True, "batch": 2} | keys
    if isinstance(keys.get("channels"), tuple):
        keys["channels"] = ChannelsEntry(in_=keys["channels"][0], out=keys["channels"][1])
    return conv.resolve(ConvEntry(**keys), WRITTEN)


def shape(c: ConvCase, pass_: Pass) -> tuple[int, ...]:
    """The shape of a pass's result: the output's, or that of the operand that the gradient is to."""
    return next((o.shape for o in c.operands if o.role == pass_.role), conv.output_shape(c))


def shown(position: int, size: int, mode: str) -> int | None:
    """The input position that a padded axis shows at `position`, step by step; None for a zero."""
    while not 0 <= position < size:
        if mode == "zeros":
            return None
        if mode == "replicate":
            position += 1 if position < 0 else -1
        elif mode == "circular":
            position += size if position < 0 else -size
        else:
            position = -position if position < 0 else 2 * (size - 1) - position
    return position


def products(c: ConvCase) -> Iterator[tuple[Index, Index | None, Index]]:
    """Every product of the definition, as (output, input or None for a zero of the padding, weight)."""
    n, c_in, *sizes = c.input_shape
    per_group, out_per_group = c_in // c.groups, c.out_channels // c.groups
    spatial = [
        len(range(0, size + low + high - (k - 1) * d, s))
        for size, (low, high), k, d, s in zip(sizes, c.padding.pads, c.kernel, c.dilation, c.stride, strict=True)
    ]
    for image, o, i in product(range(n), range(c.out_channels), range(per_group)):
        channel = o // out_per_group * per_group + i
        for place in product(*map(range, spatial)):
            for tap in product(*map(range, c.kernel)):
                seen = [
                    shown(p * s + t * d - low, size, c.padding.mode)
                    for p, s, t, d, (low, _), size in zip(
                        place, c.stride, tap, c.dilation, c.padding.pads, sizes, strict=True
                    )
                ]
                where = None if None in seen else (image, channel, *(p for p in seen if p is not None))
                used = tuple(k - 1 - t for k, t in zip(c.kernel, tap, strict=True)) if c.flip else tap
                yield (image, o, *place), where, (o, i, *used)


def literally(c: ConvCase, arrays: tuple[NDArray[Any], ...]) -> dict[Pass, dict[str, dict[Index, Any]]]:
    """Value, magnitude and number of products of every element of every pass, by literal loops over fractions."""
    x, w, b, g = ({i: Fraction(float(a[i])) for i in np.ndindex(a.shape)} for a in arrays)
    result = {p: {what: defaultdict(int) for what in ("value", "magnitude", "terms")} for p in conv.PASSES}

    def accumulate(pass_: Pass, at: Index, a: Fraction | int, b: Fraction | int = 1) -> None:
        result[pass_]["value"][at] += a * b
        result[pass_]["magnitude"][at] += abs(a * b)
        result[pass_]["terms"][at] += 1

    for out, into, tap in products(c):
        accumulate(Pass.FORWARD, out, x[into] if into else 0, w[tap])
        accumulate(Pass.GRAD_WEIGHT, tap, x[into] if into else 0, g[out])
        if into:
            accumulate(Pass.GRAD_INPUT, into, w[tap], g[out])
    for out, value in g.items():
        accumulate(Pass.GRAD_BIAS, out[1:2], value)
        result[Pass.FORWARD]["value"][out] += b[out[1:2]]
        result[Pass.FORWARD]["magnitude"][out] += abs(b[out[1:2]])
    return result


def check_literally(c: ConvCase, bits: int) -> None:
    """Hold every pass to the literal loops: value to 2^-bits of the magnitude, magnitude to float64, terms exactly."""
    assert not conv.violations(c)
    arrays = fill(c)
    due = literally(c, arrays)
    for pass_ in conv.PASSES:
        got = conv.reference(c, arrays, pass_)
        assert got.value.shape == got.magnitude.shape == shape(c, pass_)
        if got.value.size:
            assert got.terms == conv.terms(c, pass_) == max(due[pass_]["terms"].values(), default=0), pass_
        for at in np.ndindex(got.value.shape):
            value, size = due[pass_]["value"][at], due[pass_]["magnitude"][at]
            low = 0 if got.low is None else Fraction(float(got.low[at]))
            error = abs(Fraction(float(got.value[at])) + low - value)
            assert error <= size * Fraction(1, 2**bits), (pass_, at, float(error))
            assert abs(Fraction(float(got.magnitude[at])) - size) <= size * Fraction(1, 2**46), (pass_, at)


GEOMETRIES: dict[str, dict[str, Any]] = {
    "1d": {"input": 7, "kernel": 3, "rank": 1, "channels": 2},
    "2d": {"input": [4, 5], "kernel": [2, 3], "channels": (2, 3)},
    "3d": {"input": [3, 2, 3], "kernel": [2, 1, 2], "channels": (2, 1), "batch": 1},
    "stride": {"input": [7, 6], "kernel": [3, 2], "stride": [2, 3], "channels": 1},
    "stride_past_kernel": {"input": [8], "kernel": [2], "stride": [3], "channels": 2},
    "dilation": {"input": [7, 6], "kernel": [2, 3], "dilation": [3, 2], "batch": 1},
    "stride_dilation": {"input": [9], "kernel": [3], "stride": [2], "dilation": [3], "padding": [[2, 1]]},
    "groups": {"input": [5], "kernel": [2], "channels": (6, 4), "groups": 2},
    "depthwise_multiplier": {"input": [4, 3], "kernel": [2, 2], "channels": (3, 6), "groups": 3, "batch": 1},
    "flip": {"input": [4, 4], "kernel": [3, 2], "flip": True, "channels": (2, 1)},
    "flip_dilated_groups": {"input": [6], "kernel": [3], "flip": True, "dilation": [2], "channels": 2, "groups": 2},
    "same_upper": {"input": [5, 4], "kernel": [2, 4], "stride": [2, 1], "padding": "same_upper", "batch": 1},
    "same_lower": {"input": [5, 4], "kernel": [2, 4], "stride": [2, 1], "padding": "same_lower", "batch": 1},
    "full": {"input": [3, 2], "kernel": [2, 3], "padding": "full"},
    "causal": {"input": [6], "kernel": [3], "dilation": [2], "padding": "causal"},
    "asymmetric": {"input": [4, 3], "kernel": [2, 2], "padding": [[0, 2], [3, 1]]},
    "crop": {"input": [7, 6], "kernel": [2, 2], "padding": [[-2, -1], [1, -2]]},
    "crop_all": {"input": [3], "kernel": [2], "padding": [[-3, 4]]},
    "reflect": {"input": [4, 5], "kernel": [3, 3], "padding": [[3, 1], [2, 4]], "padding_mode": "reflect", "batch": 1},
    "replicate": {"input": [3, 4], "kernel": [3, 2], "padding": [[5, 0], [1, 3]], "padding_mode": "replicate"},
    "circular": {"input": [4, 3], "kernel": [3, 2], "padding": [[4, 2], [1, 1]], "padding_mode": "circular"},
    "circular_stride": {"input": [5], "kernel": [3], "stride": [2], "padding": 2, "padding_mode": "circular"},
    "reflect_crop": {"input": [6], "kernel": [3], "padding": [[-2, 3]], "padding_mode": "reflect", "dilation": [2]},
    "replicate_3d": {"input": [2, 2, 2], "kernel": [2, 2, 1], "padding": 1, "padding_mode": "replicate", "batch": 1},
    "kernel_of_input": {"input": [3, 2], "kernel": [3, 2], "channels": 2},
    "kernel_past_input": {"input": [2], "kernel": [4], "padding": 1},
    "one": {"input": [1], "kernel": [1], "batch": 1},
    "no_batch": {"input": [4], "kernel": [2], "batch": 0},
    "no_space": {"input": [0], "kernel": [2], "padding": 1},
    "no_channels": {"input": [4], "kernel": [2], "channels": (0, 2)},
    "no_output_channels": {"input": [4], "kernel": [2], "channels": (2, 0)},
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_integers_are_the_literal_loops_exactly(name: str) -> None:
    check_literally(case(**GEOMETRIES[name]), bits=10_000)


@pytest.mark.parametrize("values", ["normal", "wide", "cancelling", "ramp", "impulse"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_every_dtype_and_fill(dtype: str, values: str) -> None:
    """Double-double agrees with fractions to 2^-100 of the magnitude, float64 to 2^-46."""
    keys = GEOMETRIES["groups"] | {"padding": [[2, 1]], "padding_mode": "circular", "batch": 3}
    check_literally(case(dtype=dtype, fill=values, **keys), bits=100 if dtype == "float64" else 46)


@pytest.mark.parametrize("values", ["wide", "cancelling"])
@pytest.mark.parametrize("name", ["2d", "replicate", "stride_dilation", "3d"])
def test_float64_in_every_rank(name: str, values: str) -> None:
    check_literally(case(dtype="float64", fill=values, **GEOMETRIES[name]), bits=100)


@pytest.mark.parametrize("dtype", ["int32", "int8"])
def test_integer_dtypes(dtype: str) -> None:
    c = case(dtype=dtype, passes=("forward",), **GEOMETRIES["2d"])
    arrays = fill(c)
    due = literally(c, (*arrays, np.zeros(conv.output_shape(c))))[Pass.FORWARD]["value"]
    got = conv.reference(c, arrays, Pass.FORWARD)
    assert got.integral
    assert {at: got.value[at] for at in np.ndindex(got.value.shape)} == due


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("flip", [False, True])
def test_scipy_agrees(rank: int, flip: bool) -> None:
    sizes = [9, 8, 7][:rank]
    c = case(input=sizes, kernel=[4, 3, 2][:rank], flip=flip, dtype="float64", fill="normal", batch=1, padding="full")
    x, w, b, _ = fill(c)
    method = signal.convolve if flip else signal.correlate
    due = method(x[0, 0], w[0, 0], mode="full", method="direct") + b[0]
    np.testing.assert_allclose(conv.reference(c, fill(c), Pass.FORWARD).value[0, 0], due, rtol=0, atol=1e-12)


def full(expected: Expected) -> NDArray[np.object_]:
    """The expected values, all their parts, as fractions."""
    parts = [expected.value] if expected.low is None else [expected.value, expected.low]
    return sum(np.frompyfunc(Fraction, 1, 1)(p.astype(object)) for p in parts)  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["stride_dilation", "reflect", "circular_stride", "groups", "flip", "crop", "3d"])
def test_gradients_are_adjoints(name: str) -> None:
    """⟨conv(x; w), y⟩ = ⟨x, grad_input(y)⟩ = ⟨w, grad_weight(y)⟩, exactly, and ⟨b, grad_bias(y)⟩ is the bias' part."""
    c = case(**GEOMETRIES[name])
    x, w, b, y = (np.frompyfunc(Fraction, 1, 1)(a.astype(np.float64).astype(object)) for a in fill(c))
    forward, to_x, to_w, to_b = (full(conv.reference(c, fill(c), p)) for p in conv.PASSES)
    of_bias = (b * to_b).sum()
    assert (forward * y).sum() - of_bias == (x * to_x).sum() == (w * to_w).sum()
    assert of_bias == (y.sum(axis=(0, *range(2, y.ndim))) * b).sum()


def test_computed_by_hand() -> None:
    """Worked on paper: [[0 1 2] [3 4 5] [6 7 8]] with [[0 1] [2 3]], and the gradients of the sum of its output."""
    c = case(
        input=ArrayEntry(values=[[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
        kernel=KernelEntry(values=[[0, 1], [2, 3]]),
        bias=BiasEntry(values=0.5),
        batch=None,
    )
    arrays = (*fill(c)[:3], np.ones((1, 1, 2, 2)))
    values = [conv.reference(c, arrays, p).value for p in conv.PASSES]
    np.testing.assert_array_equal(values[0], [[[[19.5, 25.5], [37.5, 43.5]]]])
    np.testing.assert_array_equal(values[1], [[[[0, 1, 1], [2, 6, 4], [2, 5, 3]]]])
    np.testing.assert_array_equal(values[2], [[[[8, 12], [20, 24]]]])
    np.testing.assert_array_equal(values[3], [4])


def test_magnitude_by_hand() -> None:
    """x = [1 −2 3], w = [−1 2], b = −4: y = [−9 4], B = [1 + 4 + 4, 2 + 6 + 4]."""
    c = case(input=ArrayEntry(values=[1, -2, 3]), kernel=KernelEntry(values=[-1, 2]), bias=BiasEntry(values=[-4]),
             batch=1, rank=1, passes=("forward",))  # fmt: skip
    got = conv.reference(c, fill(c), Pass.FORWARD)
    np.testing.assert_array_equal(got.value, [[[-9, 4]]])
    np.testing.assert_array_equal(got.magnitude, [[[9, 12]]])
    assert got.integral
    assert got.low is None


def test_specials_stay_where_ieee_arithmetic_puts_them() -> None:
    """x = [∞ 1 1 NaN −∞ −∞], w = [1 −1]: NaN from ∞ − ∞ and from NaN, an infinity elsewhere, finite apart."""
    inf, nan = np.inf, np.nan
    for dtype in ("float32", "float64"):
        c = case(input=[7], kernel=[2], bias=False, batch=1, dtype=dtype, passes=("forward",), rank=1)
        x = np.array([[[inf, 1, 1, nan, -inf, -inf, 2]]])
        got = conv.reference(c, (x, np.array([[[1.0, -1.0]]])), Pass.FORWARD)
        np.testing.assert_array_equal(got.value, [[[inf, 0, nan, nan, nan, -inf]]])
        np.testing.assert_array_equal(got.magnitude, [[[nan, 2, nan, nan, nan, nan]]])
        assert np.asarray(got.integral).tolist() == [[[False, True, False, False, False, False]]]


def test_overflow_of_float64_is_told_from_an_infinite_operand() -> None:
    c = case(input=[1], kernel=[1], bias=False, batch=1, dtype="float64", passes=("forward",), rank=1)
    got = conv.reference(c, (np.array([[[1.5e300]]]), np.array([[[1e300]]])), Pass.FORWARD)
    assert np.isposinf(got.magnitude).all()


def test_work() -> None:
    """2·(N·C_out·∏output)·K FLOPs, and every array once: 2·3·6·7 outputs of K = 4·2·3."""
    c = case(input=[7, 9], kernel=[2, 3], channels=(4, 3), dtype="bfloat16")
    outputs = 2 * 3 * 6 * 7
    work = conv.work(c)
    assert work.flops == 2 * outputs * 24
    assert work.bytes == 2 * (2 * 4 * 7 * 9 + 3 * 4 * 2 * 3 + outputs + 3)


def test_operands_come_in_order_with_their_shapes() -> None:
    c = case(input=[5, 6], kernel=[2, 3], channels=(4, 6), groups=2, stride=2)
    assert [(o.role, o.shape) for o in c.operands] == [
        ("input", (2, 4, 5, 6)),
        ("weight", (6, 2, 2, 3)),
        ("bias", (6,)),
        ("grad_output", (2, 6, 2, 2)),
    ]
    assert conv.output_shape(c) == (2, 6, 2, 2)


def test_forward_alone_takes_no_output_gradient() -> None:
    c = case(input=[5], kernel=[2], passes=("forward",), bias=False)
    assert [o.role for o in c.operands] == ["input", "weight"]


def test_shapes_follow_written_values() -> None:
    c = case(
        input=ArrayEntry(values=[[[1, 2, 3], [4, 5, 6]]]), kernel=KernelEntry(values=[[[1, 0]], [[0, 1]]]),
        groups=2, batch=None, rank=1,
    )  # fmt: skip
    assert c.input_shape == (1, 2, 3)
    assert c.weight_shape == (2, 1, 2)
    assert not conv.violations(c)
    np.testing.assert_array_equal(
        conv.reference(c, fill(c), Pass.FORWARD).value - fill(c)[2].reshape(1, 2, 1), [[[1, 2], [5, 6]]]
    )


VIOLATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "groups_zero": ({"groups": 0}, "groups must be at least 1, not 0"),
    "groups_in": ({"groups": 2, "channels": (3, 2)}, r"groups \(2\) does not divide the input channels \(3\)"),
    "groups_out": ({"groups": 2, "channels": (2, 3)}, r"groups \(2\) does not divide the output channels \(3\)"),
    "stride": ({"stride": 0}, r"stride must be at least 1 on every axis, not \[0\]"),
    "dilation": ({"dilation": -1}, r"dilation must be at least 1 on every axis, not \[-1\]"),
    "kernel": ({"kernel": [0]}, r"kernel must be at least 1 on every axis, not \[0\]"),
    "span": ({"kernel": [3], "dilation": 4}, r"axis 0: the kernel spans 9, the padded input is 5 \(5 \+ 0 \+ 0\)"),
    "reflect": ({"padding": 5, "padding_mode": "reflect"}, "axis 0: reflect padding of 5, 5 positions give at most 4"),
    "circular": (
        {"padding": 6, "padding_mode": "circular"},
        "axis 0: circular padding of 6, 5 positions give at most 5",
    ),
    "integers": ({"dtype": "int8"}, "int8 has no gradients"),
    "bias": ({"bias": False}, "grad_bias needs `bias: true`"),
    "channels": ({"kernel": KernelEntry(size=2, channels=3)}, "takes 3 input channels, the input has 1 a group"),
    "values": (
        {"input": ArrayEntry(values=[[[1, 2, 3], [4, 5, 6]]]), "kernel": KernelEntry(values=[[[1, 2]]]), "batch": None},
        "takes 1 input channels, the input has 2 a group",
    ),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_broken_rule_is_named_with_its_numbers(name: str) -> None:
    keys, rule = VIOLATIONS[name]
    broken = conv.violations(case(**{"input": [5], "kernel": [2], "rank": 1} | keys))
    assert len(broken) == 1
    with pytest.raises(CaseError, match=rule):
        raise broken[0]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no_input": ({"input": None}, "input is missing"),
    "no_size": ({"input": ArrayEntry()}, "input needs a `size` or `values`"),
    "both": ({"input": ArrayEntry(size=3, values=[1, 2, 3])}, "input has both `size` and `values`"),
    "strides": ({"stride": [1, 2, 3]}, "stride has 3 numbers for 1 spatial axes"),
    "paddings": ({"padding": ["valid", "same"]}, "padding has 2 entries for 1 spatial axes"),
    "batch": ({"input": ArrayEntry(values=[1, 2, 3]), "batch": 2}, "batch is 2, the values written out have 1"),
    "channels": (
        {"input": ArrayEntry(values=[[1, 2], [3, 4]]), "channels": 3, "batch": 1},
        "channels are 3 and 3, the values written out have 2 and 3",
    ),
    "bias": ({"bias": BiasEntry(values=[1, 2])}, "bias has 2 values for 1 output channels"),
    "ragged": ({"input": ArrayEntry(values=[[1, 2], [3]]), "batch": 1}, "ragged: a row of 2 was due, not 1"),
    "text": ({"input": ArrayEntry(values=[1, "2"]), "batch": 1}, "values must be numbers, not '2'"),
    "truth": ({"input": ArrayEntry(values=[1, True]), "batch": 1}, "values must be numbers, not True"),
    "deep": ({"input": ArrayEntry(values=[[[[1]]]]), "batch": 1}, "nested 4 deep; rank 1 takes 1, 2 or 3"),
    "rank": ({"rank": None, "kernel": [1, 1, 1, 1]}, "kernel has 4 spatial axes; 1, 2 or 3 are known"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_entry_without_a_meaning_is_refused(name: str) -> None:
    keys, rule = REFUSED[name]
    with pytest.raises(CaseError, match=rule):
        case(**{"input": [5], "kernel": [2], "rank": 1} | keys)


def test_a_fault_in_one_tap_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above can fail: the first tap reads what the last one reads."""
    honest = conv._taps
    c = case(**GEOMETRIES["stride"])

    def shifted(c: ConvCase, axes: list[Any]) -> Iterator[tuple[Any, Any]]:
        (tap, _), *rest = honest(c, axes)
        yield from [(tap, rest[-1][1]), *rest]

    check_literally(c, bits=10_000)
    monkeypatch.setattr(conv, "_taps", shifted)
    with pytest.raises(AssertionError):
        check_literally(c, bits=10_000)


def test_a_lost_low_part_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Double-double without the rounding error of its products is no better than float64."""
    from convsuite import arithmetic

    monkeypatch.setattr(arithmetic, "_two_product", lambda a, b: (a * b, 0 * a * b))
    with pytest.raises(AssertionError):
        check_literally(case(dtype="float64", fill="normal", **GEOMETRIES["2d"]), bits=100)


def test_terms_bound_a_large_case() -> None:
    """224 × 224, 3 × 3 same, 64 channels each: as many products as the textbook says."""
    c = case(input=[224, 224], kernel=[3, 3], padding="same", channels=64)
    assert [conv.terms(c, p) for p in conv.PASSES] == [576, 576, 2 * 224 * 224, 2 * 224 * 224]
    assert prod(conv.output_shape(c)) == 2 * 64 * 224 * 224


@pytest.mark.parametrize("pass_", [Pass.FORWARD, Pass.GRAD_INPUT, Pass.GRAD_WEIGHT])
@pytest.mark.parametrize("dilation", [400, 2**40])
def test_a_huge_dilation_reads_few_positions(pass_: Pass, dilation: int) -> None:
    """Only the middle tap meets the data, so the answer is that of a kernel of 1; 2^41 zeros are not written down."""
    huge = case(rank=2, batch=1, input=5, kernel=3, dilation=dilation, padding="same", bias=False, passes=ALL[:3])
    arrays = fill(huge)
    weight = arrays[1].copy()
    weight[..., 1, 1] = 7
    got = conv.reference(huge, (arrays[0], weight, arrays[2]), pass_).value
    if pass_ is Pass.GRAD_WEIGHT:
        assert got[0, 0, 1, 1] == (arrays[0].astype(float) * arrays[2]).sum()
        assert np.count_nonzero(got) == 1
    else:
        assert np.array_equal(got, 7.0 * arrays[0 if pass_ is Pass.FORWARD else 2])


def test_a_pass_is_exact_where_its_own_operands_are_integers() -> None:
    """Special values are in the input, which the gradients of the input and of the bias do not read."""
    c = case(
        input=[5, 5],
        kernel=[3, 3],
        fill="special",
        bias=True,
        passes=("forward", "grad_input", "grad_weight", "grad_bias"),
    )
    arrays = fill(c)
    exact = {p: np.asarray(conv.reference(c, arrays, p).integral) for p in c.passes}
    assert exact[Pass.GRAD_INPUT].all()
    assert exact[Pass.GRAD_BIAS].all()
    assert exact[Pass.FORWARD].any() != exact[Pass.FORWARD].all()
