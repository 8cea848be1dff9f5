"""The reference of `conv_transpose` against its definition: literal scatter loops, the adjoint identity, refusals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from convsuite import show
from convsuite.case import Numerics, Origin, Pass
from convsuite.errors import CaseError
from convsuite.judge import judge
from convsuite.operands import fill
from convsuite.operations import conv, conv_transpose
from convsuite.operations.common import Common
from convsuite.operations.conv_transpose import ConvTransposeCase, ConvTransposeEntry

Index = tuple[int, ...]
ALL = ("forward", "grad_input", "grad_weight", "grad_bias")
WRITTEN = Common(id="conv_transpose/test/case", origin=Origin(file="test.yaml", line=1))
GEOMETRIES: dict[str, dict[str, Any]] = {
    "1d": {"input": 4, "kernel": 3, "rank": 1, "channels": 2},
    "2d": {"input": [3, 2], "kernel": [2, 3], "channels": {"in": 2, "out": 3}},
    "3d": {"input": [2, 1, 2], "kernel": [2, 1, 2], "channels": {"in": 2, "out": 1}, "batch": 1},
    "stride": {"input": [3, 2], "kernel": [3, 2], "stride": [2, 3], "channels": 1},
    "gaps": {"input": [3], "kernel": [2], "stride": [4], "channels": 2},
    "gaps_added": {"input": [3], "kernel": [2], "stride": [4], "output_padding": 3},
    "dilation": {"input": [3, 2], "kernel": [2, 3], "dilation": [3, 2], "batch": 1},
    "dilation_added": {"input": [3], "kernel": [2], "dilation": [3], "output_padding": 2},
    "stride_dilation": {"input": [4], "kernel": [3], "stride": [2], "dilation": [3], "padding": [[2, 1]]},
    "groups": {"input": [3], "kernel": [2], "channels": {"in": 6, "out": 4}, "groups": 2},
    "depthwise_multiplier": {"input": [2, 3], "kernel": [2, 2], "channels": {"in": 3, "out": 6}, "groups": 3},
    "flip": {"input": [3, 2], "kernel": [3, 2], "flip": True, "channels": {"in": 2, "out": 1}},
    "flip_dilated_groups": {"input": [4], "kernel": [3], "flip": True, "dilation": [2], "channels": 2, "groups": 2},
    "same_upper": {"input": [3, 2], "kernel": [2, 5], "stride": [1, 2], "padding": "same_upper", "batch": 1},
    "same_lower": {"input": [3, 2], "kernel": [2, 5], "stride": [1, 2], "padding": "same_lower", "batch": 1},
    "same_gaps": {"input": [2, 3], "kernel": [2, 1], "stride": [3, 2], "padding": "same"},
    "asymmetric": {"input": [3, 4], "kernel": [3, 2], "padding": [[0, 2], [3, 0]]},
    "uncovered": {"input": [3], "kernel": [3], "stride": [3], "padding": [[1, 2]], "output_padding": 2},
    "extended": {"input": [2, 2], "kernel": [2, 2], "padding": [[-2, -1], [1, -2]]},
    "cropped_inputs": {"input": [4], "kernel": [2], "stride": [2], "padding": [[4, 0]]},
    "one": {"input": [1], "kernel": [1], "batch": 1},
    "no_batch": {"input": [3], "kernel": [2], "batch": 0},
    "no_channels": {"input": [3], "kernel": [2], "channels": {"in": 0, "out": 2}},
}


def case(**keys: Any) -> ConvTransposeCase:
    """Resolve a case from case-file keys: all four passes with a bias, if nothing else is said."""
    written = {"name": "case", "passes": ALL, "bias": True, "batch": 2} | keys
    return conv_transpose.resolve(msgspec.convert(written, ConvTransposeEntry), WRITTEN)


def products(c: ConvTransposeCase) -> Iterator[tuple[Index, Index, Index]]:
    """Every product of the definition that lands inside the output, as (output, input, weight)."""
    n, c_in, *sizes = c.input_shape
    out = conv_transpose.output_shape(c)
    per_group, out_per_group = c_in // c.groups, c.out_channels // c.groups
    for image, i, o in product(range(n), range(c_in), range(out_per_group)):
        channel = i // per_group * out_per_group + o
        for place in product(*map(range, sizes)):
            for tap in product(*map(range, c.kernel)):
                steps = zip(place, c.stride, tap, c.dilation, c.padding.pads, strict=True)
                to = tuple(p * s + t * d - low for p, s, t, d, (low, _) in steps)
                if all(0 <= at < size for at, size in zip(to, out[2:], strict=True)):
                    used = tuple(k - 1 - t for k, t in zip(c.kernel, tap, strict=True)) if c.flip else tap
                    yield (image, channel, *to), (image, i, *place), (i, o, *used)


def literally(c: ConvTransposeCase, arrays: tuple[NDArray[Any], ...]) -> dict[Pass, tuple[Any, Any, Any]]:
    """Value, magnitude and number of products of every element of every pass, by literal loops over fractions."""
    x, w, b, g = ({i: Fraction(float(a[i])) for i in np.ndindex(a.shape)} for a in arrays)
    found: dict[Pass, tuple[Any, Any, Any]] = {p: (defaultdict(int), defaultdict(int), defaultdict(int)) for p in Pass}

    def add(pass_: Pass, at: Index, value: Fraction, counted: int = 1) -> None:
        values, magnitudes, terms = found[pass_]
        values[at] += value
        magnitudes[at] += abs(value)
        terms[at] += counted

    for out, into, tap in products(c):
        add(Pass.FORWARD, out, x[into] * w[tap])
        add(Pass.GRAD_INPUT, into, w[tap] * g[out])
        add(Pass.GRAD_WEIGHT, tap, x[into] * g[out])
    for out, value in g.items():
        add(Pass.FORWARD, out, b[out[1:2]], counted=0)
        add(Pass.GRAD_BIAS, out[1:2], value)
    return found


def shape(c: ConvTransposeCase, pass_: Pass) -> tuple[int, ...]:
    return next((o.shape for o in c.operands if o.role == pass_.role), conv_transpose.output_shape(c))


def check_literally(c: ConvTransposeCase, bits: int) -> None:
    """Hold every pass to the literal loops: value to 2^-bits of the magnitude, magnitude to float64."""
    assert not conv_transpose.violations(c)
    arrays = fill(c)
    due = literally(c, arrays)
    for pass_ in conv_transpose.PASSES:
        got = conv_transpose.reference(c, arrays, pass_)
        values, magnitudes, terms = due[pass_]
        assert got.value.shape == got.magnitude.shape == shape(c, pass_)
        assert got.terms == conv_transpose.terms(c, pass_) >= max(terms.values(), default=0), pass_
        for at in np.ndindex(got.value.shape):
            low = 0 if got.low is None else Fraction(float(got.low[at]))
            error = abs(Fraction(float(got.value[at])) + low - values[at])
            assert error <= magnitudes[at] * Fraction(1, 2**bits), (pass_, at, float(error))
            assert abs(Fraction(float(got.magnitude[at])) - magnitudes[at]) <= magnitudes[at] * Fraction(1, 2**46)


@pytest.mark.parametrize("keys", GEOMETRIES.values(), ids=GEOMETRIES)
def test_is_the_definition(keys):
    check_literally(case(**keys), bits=100)  # integers: exact


@pytest.mark.parametrize("keys", GEOMETRIES.values(), ids=GEOMETRIES)
@pytest.mark.parametrize(("dtype", "bits"), [("float32", 45), ("float64", 90)])
def test_is_the_definition_of_reals(keys, dtype, bits):
    check_literally(case(**keys, dtype=dtype, fill="normal"), bits)


@pytest.mark.parametrize("keys", GEOMETRIES.values(), ids=GEOMETRIES)
def test_most_products_are_counted_exactly(keys):
    c = case(**keys)
    due = literally(c, fill(c))
    most = max(due[Pass.FORWARD][2].values(), default=0)
    assert conv_transpose.terms(c, Pass.FORWARD) == most or not min(c.input_shape)


@pytest.mark.parametrize("keys", GEOMETRIES.values(), ids=GEOMETRIES)
def test_is_the_adjoint_of_conv(keys):
    """⟨conv(y), x⟩ = ⟨y, conv_transpose(x)⟩, exactly on integers; a gradient is an adjoint of its own."""
    c = case(**keys, bias=False, passes=["forward", "grad_input", "grad_weight"])
    x, w, y = fill(c)
    there = conv.reference(conv_transpose.mirror(c), (y, w), Pass.FORWARD).value
    back = conv_transpose.reference(c, (x, w, y), Pass.FORWARD).value
    assert there.shape == x.shape
    assert back.shape == y.shape
    assert np.vdot(there, x) == np.vdot(y, back)
    for pass_, operand in ((Pass.GRAD_INPUT, x), (Pass.GRAD_WEIGHT, w)):
        assert np.vdot(conv_transpose.reference(c, (x, w, y), pass_).value, operand) == np.vdot(y, back)


@pytest.mark.parametrize("kind", ["same_upper", "same_lower"])
def test_same_is_the_adjoint_of_same(kind):
    """Over all remainders: the mirror of n·stride positions has SAME's own pads, a gap or not."""
    for kernel, stride, dilation, n in product(range(1, 6), range(1, 5), (1, 2), (1, 2, 3)):
        c = case(
            rank=1, batch=1, input=n, kernel=kernel, stride=stride, dilation=dilation, padding=kind, passes=["forward"]
        )
        keys = {"rank": 1, "kernel": kernel, "stride": stride, "dilation": dilation, "padding": kind}
        forth = conv.resolve(conv.ConvEntry(name="same", input=n * stride, **keys), WRITTEN)
        assert c.output_sizes == (n * stride,)
        assert conv.output_shape(forth)[2:] == (n,)
        taps = [1.0 + t for t in range(kernel)]
        x, w, y = np.arange(1.0, n + 1), np.array(taps), np.arange(2.0, n * stride + 2)
        arrays = [a.reshape(1, 1, -1) for a in (x, w, y)]
        back = conv_transpose.reference(replace(c, bias=False), arrays[:2], Pass.FORWARD).value
        there = conv.reference(forth, (arrays[2], arrays[1]), Pass.FORWARD).value
        assert np.vdot(back, arrays[2]) == np.vdot(there, arrays[0])


def test_a_wrong_tap_a_wrong_crop_and_a_lost_product_are_seen():
    c = case(input=[3, 4], kernel=3, stride=2, padding=1, channels=2)
    arrays = fill(c)
    expected = conv_transpose.reference(c, arrays, Pass.FORWARD)
    right = expected.value.astype(np.float32)
    numerics = Numerics(accumulator="float32")
    assert judge(right, "float32", expected, "float32", numerics).right
    flipped = conv_transpose.reference(replace(c, flip=True), arrays, Pass.FORWARD).value.astype(np.float32)
    shifted = np.roll(right, 1, axis=-1)
    lost = right.copy()
    lost[1, 1, 2, 3] -= arrays[0][1, 0, 1, 2] * arrays[1][0, 1, 1, 0]
    for wrong in (flipped, shifted, lost):
        assert not judge(wrong, "float32", expected, "float32", numerics).right


def test_what_is_cropped_says_nothing_of_a_nan():
    """A NaN scattered out of the output: its product with a zero may be in the weight's gradient, or not."""
    c = case(rank=1, input={"values": [float("nan"), 1, 2]}, batch=1, kernel=2, padding=[[1, 0]], bias=False)
    c = replace(c, passes=(Pass.GRAD_WEIGHT,))
    x, w, g = fill(case(rank=1, input=3, kernel=2, padding=[[1, 0]], bias=False, batch=1, passes=["grad_weight"]))
    x = x.copy()
    x[0, 0, 0] = np.nan
    expected = conv_transpose.reference(c, (x, w, g), Pass.GRAD_WEIGHT)
    assert np.isinf(expected.magnitude[0, 0, 0])  # the first tap of the NaN is cut off
    assert np.isnan(expected.magnitude[0, 0, 1])  # the second is not: NaN is due
    assert np.isnan(expected.value[0, 0, 1])


@pytest.mark.parametrize(
    ("keys", "key", "numbers"),
    [
        ({"stride": 0}, "stride", "[0, 0]"),
        ({"dilation": [1, 0]}, "dilation", "[1, 0]"),
        ({"kernel": 0}, "kernel", "[0, 0]"),
        ({"groups": 0}, "groups", "not 0"),
        ({"groups": 3, "channels": {"in": 4, "out": 6}}, "groups", "(3) does not divide the input channels (4)"),
        ({"kernel": {"size": 3, "channels": 5}, "channels": 4}, "channels", "takes 5 input channels, the input has 4"),
        ({"stride": 2, "output_padding": 2}, "output_padding", "from 0 to 1, less than the larger of stride 2"),
        ({"output_padding": -1}, "output_padding", "not -1"),
        ({"padding": 3}, "padding", "of 6 positions 3 + 3 are cropped"),
        ({"input": 0}, "input", "[0, 0]"),
    ],
)
def test_rules_name_the_numbers(keys, key, numbers):
    broken = conv_transpose.violations(case(**{"input": 4, "kernel": 3, "passes": ["forward"]} | keys))
    assert [rule.key[0] for rule in broken][:1] == [key]
    assert numbers in str(broken[0])


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"padding": "same", "output_padding": 1, "stride": 2}, "says the output's size"),
        ({"padding": "full"}, "no padding full"),
        ({"padding": ["valid", "causal"]}, "no padding causal"),
        ({"groups": 3, "channels": {"in": 3, "out": 4}}, "does not divide the output channels (4)"),
        ({"output_padding": [1]}, "1 numbers for 2 spatial axes"),
    ],
)
def test_what_means_nothing_is_refused(keys, words):
    with pytest.raises(CaseError) as refused:
        case(**{"input": 4, "kernel": 3} | keys)
    assert words in str(refused.value)


def test_show_says_what_it_draws():
    text = show.describe(case(input=[3, 2], kernel=3, stride=2, padding=1, output_padding=[1, 0]))
    assert "output H          (3 - 1) * 2 + 3 - 1 - 1 + 1 = 6" in text
    assert "C_in=1 C_out/groups=1" in text
    assert "adjoint" in text
    assert "1 cut off before, 1 cut off after" in text
    assert "output padding    1 × 0" in text
