"""The NumPy engine's locally connected convolution: literal loops, patches, shared weights, adjoints, refusals."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest

from convsuite_backends.numpy_im2col import columns, conv, conv_gradients, local_conv, local_conv_gradients, patches

X = np.arange(1.0, 5).reshape(1, 1, 4)
CASES = [  # x, C_out, kernel, arguments
    ((2, 2, 5), 3, [2], {}),
    ((1, 3, 4, 5), 2, [2, 3], {"stride": [1, 2], "padding": [(1, 0), (0, 2)]}),
    ((3, 2, 6, 5), 2, [3, 2], {"stride": 2, "dilation": [2, 1], "padding": [(-1, 1), (2, -1)]}),
    ((2, 2, 3, 4, 3), 2, [2, 3, 1], {"dilation": [2, 1, 1], "padding": [0, 1, (0, 1)]}),
    ((2, 3, 2, 2), 4, [1, 1], {}),
]


def integers(*shape, seed=1, dtype=float):
    """From −4 to 4, none of them 0."""
    rng = np.random.default_rng(seed)
    return (rng.integers(1, 5, shape) * rng.choice([-1, 1], shape)).astype(dtype)


def operands(case, dtype=float):
    x, c_out, kernel, keys = case
    out = conv(np.zeros((1, 1, *x[2:])), np.zeros((1, 1, *kernel)), **keys).shape[2:]
    weight = integers(c_out, x[1], *kernel, *out, seed=2, dtype=dtype)
    return integers(*x, dtype=dtype), weight, integers(c_out, *out, seed=3, dtype=dtype)


def per_axis(value, rank):
    return value if isinstance(value, list) else [value] * rank


def loops(x, w, b, *, stride=1, dilation=1, padding=0):
    rank = x.ndim - 2
    stride, dilation = per_axis(stride, rank), per_axis(dilation, rank)
    pads = [p if isinstance(p, tuple) else (p, p) for p in per_axis(padding, rank)]
    y = np.repeat(b[None].astype(float), len(x), axis=0)
    for (n, o, *p), c in product(np.ndindex(*y.shape), range(x.shape[1])):
        for t in np.ndindex(*w.shape[2 : 2 + rank]):
            at = tuple(i * s + j * d - low for i, j, s, d, (low, _) in zip(p, t, stride, dilation, pads, strict=True))
            limits = zip(at, x.shape[2:], pads, strict=True)
            if all(max(0, -low) <= i < size + min(0, high) for i, size, (low, high) in limits):
                y[(n, o, *p)] += x[(n, c, *at)] * w[(o, c, *t, *p)]
    return y


def test_by_hand():
    w = np.array([[[[1.0, 10, 100], [2, 20, 200]]]])  # (1, 1, tap, position)
    np.testing.assert_array_equal(local_conv(X, w)[0, 0], [1 + 4, 20 + 60, 300 + 800])
    np.testing.assert_array_equal(local_conv(X, w, np.array([[1.0, 2, 3]]))[0, 0], [6, 82, 1103])
    gradients = local_conv_gradients(X, w, np.array([[[1.0, 2, 3]]]))
    np.testing.assert_array_equal(gradients.x[0, 0], [1, 2 + 20, 40 + 300, 600])
    np.testing.assert_array_equal(gradients.weight[0, 0], [[1, 4, 9], [2, 6, 12]])
    np.testing.assert_array_equal(gradients.bias, [[1, 2, 3]])


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "int8"])
def test_is_what_loops_give(case, dtype):
    x, w, b = operands(case, dtype)
    due = loops(x.astype(float), w.astype(float), b.astype(float), **case[3])
    got = local_conv(x, w, b, **case[3])
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, due.astype(int).astype(dtype))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_is_patches_times_weights(case):
    (x, w, _), keys = operands(case), case[3]
    rows = patches(x, kernel=case[2], **keys)
    due = (rows[:, None] * w.reshape(len(w), rows.shape[1], *rows.shape[2:])).sum(axis=2)
    np.testing.assert_array_equal(local_conv(x, w, **keys), due)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_shared_weights_make_it_a_convolution(case):
    (x, w, b), keys = operands(case), case[3]
    rank = x.ndim - 2
    one, shift = w[(..., *(0,) * rank)], b[(..., *(0,) * rank)]
    w, b = (np.broadcast_to(a[(..., *(None,) * rank)], like.shape) for a, like in ((one, w), (shift, b)))
    y = conv(x, one, shift, **keys)
    np.testing.assert_array_equal(local_conv(x, w, b, **keys), y)
    grad = integers(*y.shape, seed=4)
    found, due = local_conv_gradients(x, w, grad, **keys), conv_gradients(x, one, grad, **keys)
    np.testing.assert_array_equal(found.x, due.x)
    outs = tuple(range(-rank, 0))
    np.testing.assert_array_equal(found.weight.sum(axis=outs), due.weight)
    np.testing.assert_array_equal(found.bias.sum(axis=outs), due.bias)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_adjoints(case):
    (x, w, b), keys = operands(case), case[3]
    y = local_conv(x, w, **keys)
    grad = integers(*y.shape, seed=4)
    found = local_conv_gradients(x, w, grad, **keys)
    assert [a.shape for a in found] == [x.shape, w.shape, b.shape]
    assert np.vdot(y, grad) == np.vdot(x, found.x) == np.vdot(w, found.weight) != 0
    assert np.vdot(local_conv(x, w, b, **keys), grad) == np.vdot(y, grad) + np.vdot(b, found.bias)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_those_of_differences(case):
    (x, w, b), keys = operands(case), case[3]
    grad = integers(*local_conv(x, w, **keys).shape, seed=4)
    found = local_conv_gradients(x, w, grad, **keys)
    for which, at in product(range(3), (0, 7, -1)):
        arrays = [x.copy(), w.copy(), b.copy()]
        at = at % arrays[which].size
        arrays[which].ravel()[at] += 1  # linear in each: a step of 1 is exact
        step = np.vdot(local_conv(*arrays, **keys) - local_conv(x, w, b, **keys), grad)
        assert step == found[which].ravel()[at]


@pytest.mark.parametrize("limit", [1, 300, 2000])
def test_tiles_change_nothing(limit, monkeypatch):
    monkeypatch.setattr(columns, "TILE_BYTES", limit)
    monkeypatch.setattr(columns, "LEAST_POSITIONS", 1)
    for case in CASES:
        test_is_what_loops_give(case, "float32")
        test_gradients_are_adjoints(case)


def test_half_precision_is_summed_in_float32_and_rounded_once():
    x, w, b = (np.array(a, np.float16) for a in ([[[2048, 1]]], [[[[1], [1]]]], [[1]]))
    assert local_conv(x, w, b).item() == 2050  # 2049 is no float16: rounded before the bias it would be 2048
    grad = np.array([[[2048]], [[1]], [[1]]], np.float16)
    found = local_conv_gradients(np.ones((3, 1, 1), np.float16), np.ones((1, 1, 1, 1), np.float16), grad)
    assert found.weight.item() == found.bias.item() == 2050


def test_integers_wrap():
    x = np.full((1, 1, 3), 100, np.int8)
    assert local_conv(x, x[..., None]).item() == np.int64(30000).astype(np.int8)


@pytest.mark.parametrize(("x", "c_out"), [((0, 2, 3), 3), ((2, 0, 3), 3), ((2, 2, 3), 0)])
def test_empty_operands(x, c_out):
    w, b = np.zeros((c_out, x[1], 2, 2)), np.ones((c_out, 2))
    y = local_conv(np.zeros(x), w, b)
    assert y.shape == (x[0], c_out, 2)
    assert (y == 1).all()
    assert [a.shape for a in local_conv_gradients(np.zeros(x), w, y)] == [x, w.shape, b.shape]


def test_any_strides_and_any_number_of_axes_and_no_writes():
    x, w, _ = operands(CASES[1])
    keys = CASES[1][3]
    odd = np.asfortranarray(np.repeat(x, 2, axis=3))[..., ::2]
    kept = odd.copy()
    y = local_conv(odd, np.asfortranarray(w), **keys)
    np.testing.assert_array_equal(y, local_conv(x, w, **keys))
    for a, b in zip(
        local_conv_gradients(odd, w, np.asfortranarray(y), **keys), local_conv_gradients(x, w, y, **keys), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(odd, kept)
    four = local_conv(np.ones((1, 1, 3, 3, 3, 3)), np.ones((1, 1, *[2] * 8)))
    np.testing.assert_array_equal(four, np.full((1, 1, 2, 2, 2, 2), prod([2] * 4)))


@pytest.mark.parametrize(
    ("keys", "numbers"),
    [
        ({"stride": 0}, "stride must be at least 1 on every axis, not [0, 0]"),
        ({"stride": 2}, "weight must have kernels for (3, 3) outputs, not (5, 5)"),
        ({"dilation": [0, 1]}, "dilation must be at least 1 on every axis, not [0, 1]"),
        ({"weight": (2, 4, 7, 2, 5, 5)}, "axis 0: the kernel spans 7, the padded input is 6 (6 + 0 + 0)"),
        ({"weight": (2, 4, 2, 2)}, "x (1, 4, 6, 6) has 4 axes, weight (2, 4, 2, 2) has 4"),
        ({"weight": (2, 3, 2, 2, 5, 5)}, "weight takes 3 channels in each of 1 groups, 3 in all; x has 4"),
        ({"weight": (2, 4, 0, 2, 5, 5)}, "kernel must be at least 1 on every axis, not [0, 2]"),
        ({"bias": (2,)}, "bias must have shape (2, 5, 5), one value per output, not (2,)"),
        ({"padding": [1]}, "1 entries for 2"),
    ],
)
def test_refusals_name_the_numbers(keys, numbers):
    keys = dict(keys)
    weight, bias = keys.pop("weight", (2, 4, 2, 2, 5, 5)), keys.pop("bias", None)
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the text is compared below
        local_conv(np.zeros((1, 4, 6, 6)), np.zeros(weight), None if bias is None else np.zeros(bias), **keys)
    assert numbers in str(refusal.value)


def test_refuses_other_dtypes_and_shapes():
    w = np.ones((1, 1, 2, 3))
    with pytest.raises(TypeError, match="one dtype"):
        local_conv(X, w.astype(np.float32))
    with pytest.raises(TypeError, match="complex128 is none of"):
        local_conv(X.astype(complex), w.astype(complex))
    with pytest.raises(ValueError, match=r"\(1, 1, 3\), not \(1, 1, 4\)"):
        local_conv_gradients(X, w, X)
