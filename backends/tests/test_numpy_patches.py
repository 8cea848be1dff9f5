"""The NumPy engine's patches and fold: worked examples, literal loops, PyTorch, each the other's adjoint, refusals."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest

from convsuite_backends.numpy_im2col import conv, fold, patches

ORDERS = ["channel_first", "channel_last"]
X5 = np.arange(25.0).reshape(1, 1, 5, 5)
SAME = {"kernel": 3, "padding": 1}
CASES = [  # x, arguments
    ((2, 3, 5), {"kernel": 2}),
    ((2, 2, 5, 4), {"kernel": [2, 3], "stride": [2, 1], "padding": [(1, 0), (2, 1)]}),
    ((1, 3, 6, 7), {"kernel": [3, 2], "stride": [1, 3], "dilation": [2, 1], "padding": [(0, 1), (-1, 2)]}),
    ((2, 2, 7, 6), {"kernel": 1, "stride": 3}),  # positions that no window sees
    ((2, 2, 3, 4, 3), {"kernel": [2, 1, 3], "dilation": [1, 2, 1], "padding": 1}),
]


def integers(*shape, seed=1, dtype=float):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def per_axis(value, rank):
    return value if isinstance(value, list) else [value] * rank


def seen(shape, *, kernel, stride=1, dilation=1, padding=0, order):
    """Each element of the patches and the input position that it shows, or None: (index, position)."""
    rank = len(shape) - 2
    kernel, stride, dilation = (per_axis(v, rank) for v in (kernel, stride, dilation))
    pads = [p if isinstance(p, tuple) else (p, p) for p in per_axis(padding, rank)]
    axes = list(zip(shape[2:], kernel, stride, dilation, pads, strict=True))
    out = [(n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, d, p in axes]
    for n, c, t, o in product(range(shape[0]), range(shape[1]), np.ndindex(*kernel), np.ndindex(*out)):
        row = np.ravel_multi_index((c, *t), (shape[1], *kernel))
        if order == "channel_last":
            row = np.ravel_multi_index((*t, c), (*kernel, shape[1]))
        at = tuple(i * s + j * d - low for i, j, (_, _, s, d, (low, _)) in zip(o, t, axes, strict=True))
        inside = all(
            max(0, -low) <= i < size + min(0, high) for i, (size, *_, (low, high)) in zip(at, axes, strict=True)
        )
        yield (n, row, *o), (n, c, *at) if inside else None


# Hand-computed


def test_worked_example():
    y = patches(X5, **SAME)[0]
    assert y.shape == (9, 5, 5)
    for at, due in {
        (0, 0): [0, 0, 0, 0, 0, 1, 0, 5, 6],
        (0, 1): [0, 0, 0, 0, 1, 2, 5, 6, 7],
        (2, 2): [6, 7, 8, 11, 12, 13, 16, 17, 18],
        (4, 4): [18, 19, 0, 23, 24, 0, 0, 0, 0],
    }.items():
        np.testing.assert_array_equal(y[(slice(None), *at)], due)
    np.testing.assert_array_equal(patches(X5, kernel=2, stride=2, dilation=2)[0, :, 1, 0], [10, 12, 20, 22])


def test_order_of_channel_and_taps():
    x = np.stack([np.arange(4), np.arange(4) + 10])[None]  # two channels
    np.testing.assert_array_equal(patches(x.astype(float), kernel=2)[0, :, 0], [0, 1, 10, 11])
    np.testing.assert_array_equal(patches(x.astype(float), kernel=2, order="channel_last")[0, :, 0], [0, 10, 1, 11])


def test_convolution_is_patches_times_weights():
    """Channels last as TensorFlow writes it: (25, 27) @ (27, 64), the difference exactly 0."""
    x, w = np.arange(75.0).reshape(1, 5, 5, 3), np.arange(1728.0).reshape(3, 3, 3, 64)
    rows = np.moveaxis(patches(np.moveaxis(x, -1, 1), **SAME, order="channel_last"), 1, -1).reshape(25, 27)
    due = conv(np.moveaxis(x, -1, 1), np.moveaxis(w, (-1, -2), (0, 1)), padding=1)
    np.testing.assert_array_equal((rows @ w.reshape(27, 64)).reshape(1, 5, 5, 64), np.moveaxis(due, 1, -1))


def test_fold_counts_how_often_each_position_is_seen():
    ones = patches(np.ones((1, 1, 3, 3)), kernel=2)
    np.testing.assert_array_equal(fold(ones, output_size=3, kernel=2)[0, 0], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    apart = {"kernel": 2, "stride": 2}
    np.testing.assert_array_equal(fold(patches(X5, **apart), output_size=5, **apart)[0, 0, :4, :4], X5[0, 0, :4, :4])


# Against loops


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "int8"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_both_are_what_loops_give(case, dtype, order):
    shape, keys = case
    x = integers(*shape, dtype=dtype)
    y = patches(x, **keys, order=order)
    columns = integers(*y.shape, seed=2, dtype=dtype)
    back = fold(columns, output_size=shape[2:], **keys, order=order)
    assert y.dtype == back.dtype == dtype
    due, count = np.zeros(shape), 0
    for index, at in seen(shape, **keys, order=order):
        assert y[index] == (0 if at is None else x[at])
        count += 1
        if at is not None:
            due[at] += columns[index]
    assert count == y.size
    np.testing.assert_array_equal(back, due)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_is_the_adjoint_of_the_other(case, order):
    shape, keys = case
    x = integers(*shape)
    y = patches(x, **keys, order=order)
    columns = integers(*y.shape, seed=2)
    assert np.vdot(y, columns) == np.vdot(x, fold(columns, output_size=shape[2:], **keys, order=order)) != 0


@pytest.mark.parametrize(
    "keys", [{"kernel": 3}, {"kernel": (2, 3), "stride": (2, 1), "padding": (1, 2), "dilation": 2}]
)
def test_agrees_with_torch(keys):
    torch = pytest.importorskip("torch")
    x = integers(2, 3, 7, 6)
    due = torch.nn.functional.unfold(torch.tensor(x), **{"kernel_size": keys["kernel"], **_without_kernel(keys)})
    got = patches(x, **keys)
    np.testing.assert_array_equal(got.reshape(2, got.shape[1], -1), due)
    columns = integers(*got.shape, seed=2)
    native = torch.tensor(columns.reshape(due.shape))
    back = torch.nn.functional.fold(native, (7, 6), kernel_size=keys["kernel"], **_without_kernel(keys))
    np.testing.assert_array_equal(fold(columns, output_size=(7, 6), **keys), back)


def _without_kernel(keys):
    return {k: v for k, v in keys.items() if k != "kernel"}


# Arithmetic and interface


def test_half_precision_is_summed_in_float32_and_rounded_once():
    columns = np.array([[[2048, 1, 1]]], np.float16).repeat(3, axis=1)  # 3 taps, each seeing 2048, 1, 1
    assert fold(columns, output_size=5, kernel=3)[0, 0, 2] == 2050
    columns[0, 2, 0] = 2050  # 1 + 1 + 2050 = 2052; 2048 + 1 rounds to 2048
    assert fold(columns, output_size=5, kernel=3)[0, 0, 2] == 2052
    big = np.full((1, 2, 2), 100, np.int8)
    np.testing.assert_array_equal(fold(big, output_size=3, kernel=2)[0, 0], [100, 200 - 256, 100])


def test_one_infinity_does_not_spread():
    x = X5.copy()
    x[0, 0, 2, 2] = np.inf
    assert np.isinf(patches(x, **SAME)).sum() == 9
    back = fold(patches(x, **SAME), output_size=5, **SAME)
    assert np.isinf(back).sum() == 1
    assert not np.isnan(back).any()


@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 0, 3), (1, 1, 0)])
def test_empty_inputs(shape):
    keys = {"kernel": 2, "padding": 1}
    y = patches(np.zeros(shape), **keys)
    assert y.shape == (shape[0], shape[1] * 2, shape[2] + 1)
    assert fold(y, output_size=shape[2], **keys).shape == shape


def test_any_strides_and_any_number_of_axes_and_no_views_of_operands():
    x = integers(2, 3, 4, 6)
    odd = np.asfortranarray(np.repeat(x, 2, axis=3))[..., ::2]
    y = patches(odd, kernel=2)
    np.testing.assert_array_equal(y, patches(x, kernel=2))
    back = fold(np.asfortranarray(y), output_size=(4, 6), kernel=2)
    np.testing.assert_array_equal(back, fold(y, output_size=(4, 6), kernel=2))
    for order in ORDERS:
        assert not np.shares_memory(one := patches(x, kernel=1, order=order), x)
        assert not np.shares_memory(fold(one, output_size=(4, 6), kernel=1, order=order), one)
        assert one.flags.writeable
    four = patches(np.ones((1, 2, 3, 3, 3, 3)), kernel=2)
    assert four.shape == (1, 32, 2, 2, 2, 2)
    assert fold(four, output_size=3, kernel=2).sum() == prod(four.shape)


@pytest.mark.parametrize(
    ("keys", "numbers"),
    [
        ({"kernel": 0}, "kernel must be at least 1 on every axis, not [0, 0]"),
        ({"kernel": [2]}, "kernel has 1 numbers for 2"),
        ({"stride": 0}, "stride must be at least 1 on every axis, not [0, 0]"),
        ({"dilation": [1, 0]}, "dilation must be at least 1 on every axis, not [1, 0]"),
        ({"dilation": 5}, "axis 0: the kernel spans 6, the padded input is 5 (5 + 0 + 0)"),
        ({"padding": [1]}, "1 entries for 2"),
        ({"order": "NCHW"}, "order 'NCHW' is none of channel_first, channel_last"),
    ],
)
def test_refusals_name_the_numbers(keys, numbers):
    keys = {"kernel": 2, **keys}
    for call in (lambda: patches(X5, **keys), lambda: fold(np.zeros((1, 4, 4, 4)), output_size=5, **keys)):
        with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the text is compared below
            call()
        assert numbers in str(refusal.value)


@pytest.mark.parametrize(
    ("shape", "size", "numbers"),
    [
        ((1, 5, 4, 4), 5, "columns has 5 rows, not a multiple of the kernel's 4 taps"),
        ((1, 4, 4, 4), 6, "columns must have (5, 5) windows for output_size (6, 6), not (4, 4)"),
        ((1, 4, 4, 4), [5], "output_size has 1 numbers for 2"),
        ((1, 4), 5, "(1, 4)"),
    ],
)
def test_fold_refuses_columns_of_another_shape(shape, size, numbers):
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the text is compared below
        fold(np.zeros(shape), output_size=size, kernel=2)
    assert numbers in str(refusal.value)


def test_refuses_other_dtypes():
    with pytest.raises(TypeError, match="complex128 is none of"):
        patches(X5.astype(complex), kernel=2)
    with pytest.raises(TypeError, match="bool is none of"):
        fold(np.zeros((1, 4, 4, 4), bool), output_size=5, kernel=2)
