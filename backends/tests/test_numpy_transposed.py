"""The NumPy engine's transposed convolution: literal loops, PyTorch, the adjoint of the convolution, refusals."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest

from convsuite_backends.numpy_im2col import columns, conv, conv_transpose, conv_transpose_gradients

X = np.arange(1.0, 5).reshape(1, 1, 2, 2)
K = np.arange(4.0).reshape(1, 1, 2, 2)
CASES = [  # x, weight, arguments
    ((2, 2, 4), (2, 3, 3), {}),
    ((1, 2, 3), (2, 1, 2), {"stride": 3, "output_padding": 2}),  # gaps that no input reaches
    ((2, 4, 3, 4), (4, 3, 3, 2), {"stride": [2, 1], "padding": [(1, 0), (0, 1)], "groups": 2}),
    ((2, 3, 3, 3), (3, 2, 3, 2), {"stride": [1, 2], "dilation": [3, 1], "output_padding": [2, 1], "groups": 3}),
    ((1, 2, 4, 3), (2, 2, 2, 3), {"stride": 2, "padding": [(-1, 2), (1, -2)], "output_padding": 1, "flip": True}),
    ((2, 4, 2, 3, 2), (4, 1, 2, 2, 3), {"stride": [2, 1, 2], "dilation": [1, 2, 1], "padding": 1, "groups": 2}),
    ((2, 3, 1, 1), (3, 4, 1, 1), {}),
    ((1, 1, 3), (1, 1, 1), {"padding": [(1, 1)]}),
]


def integers(*shape, seed=1, dtype=float):
    """From −4 to 4, none of them 0."""
    rng = np.random.default_rng(seed)
    return (rng.integers(1, 5, shape) * rng.choice([-1, 1], shape)).astype(dtype)


def operands(x, weight, keys, dtype=float):
    groups = keys.get("groups", 1)
    return (
        integers(*x, dtype=dtype),
        integers(*weight, seed=2, dtype=dtype),
        integers(weight[1] * groups, seed=3, dtype=dtype),
    )


def per_axis(value, rank):
    return value if isinstance(value, list) else [value] * rank


def loops(x, w, b, *, stride=1, dilation=1, padding=0, output_padding=0, groups=1, flip=False):
    """Every product added where it belongs, if that is in the output."""
    rank = x.ndim - 2
    stride, dilation, extra = (per_axis(v, rank) for v in (stride, dilation, output_padding))
    pads = [p if isinstance(p, tuple) else (p, p) for p in per_axis(padding, rank)]
    axes = zip(x.shape[2:], w.shape[2:], stride, dilation, pads, extra, strict=True)
    out = [(n - 1) * s - sum(p) + d * (k - 1) + e + 1 for n, k, s, d, p, e in axes]
    w = np.flip(w, tuple(range(2, w.ndim))) if flip else w
    y = np.zeros((x.shape[0], w.shape[1] * groups, *out)) + b.reshape(-1, *[1] * rank)
    for n, c, o in product(range(x.shape[0]), range(x.shape[1]), range(w.shape[1])):
        to = c // (x.shape[1] // groups) * w.shape[1] + o
        for p, t in product(np.ndindex(x.shape[2:]), np.ndindex(w.shape[2:])):
            at = tuple(i * s + j * d - low for i, j, s, d, (low, _) in zip(p, t, stride, dilation, pads, strict=True))
            if all(0 <= i < size for i, size in zip(at, out, strict=True)):
                y[(n, to, *at)] += x[(n, c, *p)] * w[(c, o, *t)]
    return y


def test_by_hand():
    # each input times [[0,1],[2,3]], one step apart and two steps apart
    np.testing.assert_array_equal(conv_transpose(X, K)[0, 0], [[0, 1, 2], [2, 10, 10], [6, 17, 12]])
    apart = [[0, 1, 0, 2], [2, 3, 4, 6], [0, 3, 0, 4], [6, 9, 8, 12]]
    np.testing.assert_array_equal(conv_transpose(X, K, stride=2)[0, 0], apart)
    np.testing.assert_array_equal(conv_transpose(X, K, stride=2, padding=1)[0, 0], [[3, 4], [3, 0]])
    more = conv_transpose(X, K, np.array([100.0]), stride=2, output_padding=[1, 0], padding=[0, (1, 2)])[0, 0]
    np.testing.assert_array_equal(more, [[101], [103], [103], [109], [100]])
    np.testing.assert_array_equal(conv_transpose(X, K, flip=True)[0, 0], [[3, 8, 4], [10, 20, 8], [3, 4, 0]])


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "int8"])
def test_is_what_loops_give(case, dtype):
    x, w, b = operands(*case, dtype=dtype)
    due = loops(x.astype(float), w.astype(float), b.astype(float), **case[2])
    got = conv_transpose(x, w, b, **case[2])
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, due.astype(int).astype(dtype))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_is_the_adjoint_of_conv(case):
    (x, w, _), keys = operands(*case), case[2]
    y = conv_transpose(x, w, **keys)
    there = integers(*y.shape, seed=4)
    forth = {k: v for k, v in keys.items() if k not in ("output_padding", "padding")}
    rank = x.ndim - 2
    pads = [p if isinstance(p, tuple) else (p, p) for p in per_axis(keys.get("padding", 0), rank)]
    extra = per_axis(keys.get("output_padding", 0), rank)
    pads = [(low, high - more) for (low, high), more in zip(pads, extra, strict=True)]
    assert np.vdot(y, there) == np.vdot(x, conv(there, w, **forth, padding=pads)) != 0


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_adjoints(case):
    (x, w, b), keys = operands(*case), case[2]
    y = conv_transpose(x, w, **keys)
    grad = integers(*y.shape, seed=4)
    found = conv_transpose_gradients(x, w, grad, **keys)
    assert [a.shape for a in found] == [x.shape, w.shape, b.shape]
    assert np.vdot(y, grad) == np.vdot(x, found.x) == np.vdot(w, found.weight) != 0
    assert np.vdot(conv_transpose(x, w, b, **keys), grad) == np.vdot(y, grad) + np.vdot(b, found.bias)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_those_of_differences(case):
    (x, w, b), keys = operands(*case), case[2]
    grad = integers(*conv_transpose(x, w, **keys).shape, seed=4)
    found = conv_transpose_gradients(x, w, grad, **keys)
    for which, at in product(range(3), (0, -1)):
        arrays = [x.copy(), w.copy(), b.copy()]
        arrays[which].ravel()[at] += 1  # linear in each: a step of 1 is exact
        step = np.vdot(conv_transpose(*arrays, **keys) - conv_transpose(x, w, b, **keys), grad)
        assert step == found[which].ravel()[at]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("stride", "dilation", "padding", "extra"), [(1, 1, 0, 0), (2, 1, 1, 1), (3, 2, 2, 2), (1, 3, 1, 2)]
)
def test_agrees_with_torch(rank, groups, stride, dilation, padding, extra):
    torch = pytest.importorskip("torch")
    x, w, b = integers(2, 4, *[5, 4, 3][:rank]), integers(4, 3, *[3, 2, 3][:rank], seed=2), integers(3 * groups, seed=3)
    native = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
    call = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    due = call(*native, stride, padding, extra, groups, dilation)
    keys = {"stride": stride, "padding": padding, "output_padding": extra, "groups": groups, "dilation": dilation}
    np.testing.assert_array_equal(conv_transpose(x, w, b, **keys), due.detach())
    grad = integers(*due.shape, seed=4)
    gradients = torch.autograd.grad(due, native, torch.tensor(grad))
    for got, wanted in zip(conv_transpose_gradients(x, w, grad, **keys), gradients, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("limit", [1, 500, 4000])
def test_tiles_change_nothing(limit, monkeypatch):
    monkeypatch.setattr(columns, "TILE_BYTES", limit)
    monkeypatch.setattr(columns, "LEAST_POSITIONS", 1)
    for case in CASES:
        test_is_what_loops_give(case, "float32")
        test_gradients_are_adjoints(case)


def test_half_precision_is_summed_in_float32_and_rounded_once():
    x, w, b = (np.array(a, np.float16) for a in ([[[2048], [1]]], [[[1]], [[1]]], [1]))
    assert conv_transpose(x, w, b).item() == 2050  # 2049 is no float16: rounded before the bias it would be 2048


def test_integers_wrap():
    x = np.full((1, 1, 3), 100, np.int8)
    np.testing.assert_array_equal(conv_transpose(x, x)[0, 0], (np.array([1, 2, 3, 2, 1]) * 10000).astype(np.int8))


def test_one_infinity_does_not_spread():
    x = np.ones((1, 1, 5))
    x[0, 0, 2] = np.inf
    y = conv_transpose(x, np.ones((1, 1, 2)), stride=2, dilation=3)[0, 0]
    np.testing.assert_array_equal(np.flatnonzero(np.isinf(y)), [4, 7])
    assert not np.isnan(y).any()


@pytest.mark.parametrize(("x", "weight"), [((0, 2, 3), (2, 3, 2)), ((2, 0, 3), (0, 3, 2)), ((2, 2, 3), (2, 0, 2))])
def test_empty_operands(x, weight):
    y = conv_transpose(np.zeros(x), np.zeros(weight), np.ones(weight[1]))
    assert y.shape == (x[0], weight[1], 4)
    assert (y == 1).all()
    assert [a.shape for a in conv_transpose_gradients(np.zeros(x), np.zeros(weight), y)] == [x, weight, weight[1:2]]


def test_any_strides_and_any_number_of_axes_and_no_writes():
    x, w = integers(2, 3, 4, 4), integers(3, 2, 2, 2)
    odd = np.asfortranarray(np.repeat(x, 2, axis=3))[..., ::2]
    kept = odd.copy()
    y = conv_transpose(odd, np.asfortranarray(w), stride=2)
    np.testing.assert_array_equal(y, conv_transpose(x, w, stride=2))
    conv_transpose_gradients(odd, w, y, stride=2)
    np.testing.assert_array_equal(odd, kept)
    four = conv_transpose(np.ones((1, 1, 2, 2, 2, 2)), np.ones((1, 1, 2, 2, 2, 2)))
    assert four.shape == (1, 1, 3, 3, 3, 3)
    assert (four.sum(), four.max()) == (prod([4] * 4), 16)


@pytest.mark.parametrize(
    ("keys", "numbers"),
    [
        ({"stride": 0}, "stride must be at least 1 on every axis, not [0, 0]"),
        ({"dilation": [1, 0]}, "dilation must be at least 1 on every axis, not [1, 0]"),
        ({"groups": 0}, "groups must be at least 1, not 0"),
        ({"groups": 3}, "4 input channels do not divide into 3"),
        ({"weight": (3, 2, 2, 2)}, "weight takes 3 channels, x has 4"),
        ({"weight": (4, 2, 0, 2)}, "kernel must be at least 1 on every axis, not [0, 2]"),
        ({"weight": (4, 2, 2)}, "4 axes, weight (4, 2, 2) has 3"),
        ({"bias": (2,), "groups": 2}, "(4,), one value per output channel, not (2,)"),
        (
            {"stride": 2, "output_padding": 2},
            "axis 0: output_padding must be from 0 to below 2, the larger of stride 2 and dilation 1, not 2",
        ),
        (
            {"stride": 2, "dilation": [1, 3], "output_padding": [1, 3]},
            "axis 1: output_padding must be from 0 to below 3",
        ),
        ({"output_padding": -1}, "not -1"),
        ({"output_padding": [0]}, "output_padding has 1 numbers for 2"),
        ({"padding": [0, (3, 4)]}, "axis 1: 6 inputs spread over 7 positions; with output_padding 0 and padding 3 + 4"),
        ({"x": (1, 4, 0, 6)}, "axis 0: 0 inputs spread over 0 positions"),
        ({"padding": [(1, 2, 3), 0]}, "(low, high)"),
    ],
)
def test_refusals_name_the_numbers(keys, numbers):
    keys = dict(keys)
    x, weight, bias = keys.pop("x", (1, 4, 6, 6)), keys.pop("weight", (4, 2, 2, 2)), keys.pop("bias", None)
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the text is compared below
        conv_transpose(np.zeros(x), np.zeros(weight), None if bias is None else np.zeros(bias), **keys)
    assert numbers in str(refusal.value)


def test_refuses_other_dtypes_and_shapes():
    with pytest.raises(TypeError, match="one dtype"):
        conv_transpose(X, K.astype(np.float32))
    with pytest.raises(TypeError, match="complex128 is none of"):
        conv_transpose(X.astype(complex), K.astype(complex))
    with pytest.raises(ValueError, match=r"\(1, 1, 3, 3\), not \(1, 1, 2, 2\)"):
        conv_transpose_gradients(X, K, X)
