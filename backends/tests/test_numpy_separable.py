"""The NumPy engine's separable convolution: literal loops, one dense convolution, PyTorch, adjoints, refusals."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from convsuite_backends.numpy_im2col import conv, separable_conv, separable_conv_gradients

CASES = [  # x, depthwise, C_out, arguments
    ((2, 3, 6), (3, 1, 2), 2, {}),
    ((2, 2, 5, 4), (6, 1, 2, 3), 4, {"stride": [2, 1], "padding": [(1, 0), (0, 2)]}),  # multiplier 3
    ((1, 3, 6, 6), (6, 1, 3, 2), 1, {"dilation": [1, 2], "padding": 2, "padding_mode": "circular"}),
    ((2, 2, 3, 4, 3), (2, 1, 2, 2, 1), 3, {"stride": [1, 2, 1]}),
]


def integers(*shape, seed=1, dtype=float):
    """From −3 to 3, none of them 0."""
    rng = np.random.default_rng(seed)
    return (rng.integers(1, 4, shape) * rng.choice([-1, 1], shape)).astype(dtype)


def operands(case, dtype=float):
    x, depthwise, c_out, _ = case
    point = (c_out, depthwise[0], *(1,) * (len(x) - 2))
    shapes = (x, depthwise, point, (c_out,))
    return [integers(*shape, seed=seed, dtype=dtype) for seed, shape in enumerate(shapes)]


def test_by_hand():
    x = np.array([[[1.0, 2, 3], [4, 5, 6]]])
    depthwise = np.array([[[1.0, 1]], [[1, -1]], [[1, 0]], [[0, 2]]])  # two for each channel
    each = [[3, 5], [-1, -1], [4, 5], [10, 12]]
    pointwise = np.array([[1.0, 10, 100, 1000], [0, 0, 0, 1]])[..., None]
    due = [[each[0][p] + 10 * each[1][p] + 100 * each[2][p] + 1000 * each[3][p] for p in (0, 1)], each[3]]
    np.testing.assert_array_equal(separable_conv(x, depthwise, pointwise)[0], due)
    np.testing.assert_array_equal(separable_conv(x, depthwise, pointwise, np.array([1.0, 2]))[0, 1], [12, 14])


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "int8"])
def test_is_the_dense_convolution_of_the_product_kernel(case, dtype):
    x, depthwise, pointwise, bias = operands(case, dtype)
    multiplier = len(depthwise) // x.shape[1]
    dense = np.zeros((len(pointwise), x.shape[1], *depthwise.shape[2:]))
    for o, row in product(range(len(pointwise)), range(len(depthwise))):
        dense[o, row // multiplier] += pointwise[o, row].item() * depthwise[row, 0].astype(float)
    due = conv(x.astype(float), dense, bias.astype(float), **case[3])
    got = separable_conv(x, depthwise, pointwise, bias, **case[3])
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, due.astype(int).astype(dtype))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_adjoints(case):
    x, depthwise, pointwise, bias = operands(case)
    y = separable_conv(x, depthwise, pointwise, **case[3])
    grad = integers(*y.shape, seed=9)
    found = separable_conv_gradients(x, depthwise, pointwise, grad, **case[3])
    assert [a.shape for a in found] == [a.shape for a in (x, depthwise, pointwise, bias)]
    due = np.vdot(y, grad)
    assert due == np.vdot(x, found.x) == np.vdot(depthwise, found.depthwise) == np.vdot(pointwise, found.pointwise) != 0
    assert np.vdot(separable_conv(x, depthwise, pointwise, bias, **case[3]), grad) == due + np.vdot(bias, found.bias)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_those_of_differences(case):
    arrays = operands(case)
    y = separable_conv(*arrays, **case[3])
    grad = integers(*y.shape, seed=9)
    found = separable_conv_gradients(*arrays[:3], grad, **case[3])
    for which, at in product(range(4), (0, 3, -1)):
        changed = [a.copy() for a in arrays]
        at = at % changed[which].size
        changed[which].ravel()[at] += 1  # linear in each: a step of 1 is exact
        step = np.vdot(separable_conv(*changed, **case[3]) - y, grad)
        assert step == found[which].ravel()[at]


def test_agrees_with_torch():
    torch = pytest.importorskip("torch")
    x, depthwise, pointwise, bias = operands(((2, 3, 6, 5), (6, 1, 3, 2), 4, {}))
    native = [torch.tensor(a, requires_grad=True) for a in (x, depthwise, pointwise, bias)]
    each = torch.nn.functional.conv2d(native[0], native[1], None, 2, 1, 1, 3)
    due = torch.nn.functional.conv2d(each, native[2], native[3])
    np.testing.assert_array_equal(separable_conv(x, depthwise, pointwise, bias, stride=2, padding=1), due.detach())
    grad = integers(*due.shape, seed=9)
    found = separable_conv_gradients(x, depthwise, pointwise, grad, stride=2, padding=1)
    for got, wanted in zip(found, torch.autograd.grad(due, native, torch.tensor(grad)), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_nothing_is_rounded_between_the_two():
    x, depthwise = np.array([[[2048, 1]]], np.float16), np.ones((1, 1, 2), np.float16)
    pointwise, bias = np.ones((1, 1, 1), np.float16), np.ones(1, np.float16)
    assert separable_conv(x, depthwise, pointwise, bias).item() == 2050  # 2048 + 1 is no float16
    found = separable_conv_gradients(x, depthwise, pointwise, np.ones((1, 1, 1), np.float16))
    assert {a.dtype.name for a in found} == {"float16"}
    x = np.full((1, 1, 3), 100, np.int8)
    assert separable_conv(x, x, np.full((1, 1, 1), 3, np.int8)).item() == np.int64(90000).astype(np.int8)


def test_writes_into_no_operand():
    arrays = operands(CASES[1])
    kept = [a.copy() for a in arrays]
    y = separable_conv(*arrays)
    separable_conv_gradients(*arrays[:3], y)
    for array, before in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize(
    ("keys", "numbers"),
    [
        ({"depthwise": (4, 2, 2, 2)}, "weight takes 2 channels in each of 4 groups, 8 in all; x has 4"),
        ({"depthwise": (6, 1, 2, 2)}, "6 output channels do not divide into 4 groups"),
        ({"pointwise": (2, 4, 1, 2)}, "pointwise must have kernel 1 on every axis, not (1, 2)"),
        ({"pointwise": (2, 3, 1, 1)}, "3 in all; x has 4"),
        ({"bias": (3,)}, "(2,), one value per output channel, not (3,)"),
        ({"stride": 0}, "stride must be at least 1 on every axis, not [0, 0]"),
        ({"dilation": 6}, "axis 0: the kernel spans 7, the padded input is 6 (6 + 0 + 0)"),
        ({"padding_mode": "mirror"}, "'mirror'"),
        ({"x": (4,)}, "x (4,) must be (N, C, *spatial)"),
    ],
)
def test_refusals_name_the_numbers(keys, numbers):
    keys = dict(keys)
    shapes = {"x": (1, 4, 6, 6), "depthwise": (4, 1, 2, 2), "pointwise": (2, 4, 1, 1), "bias": (2,)}
    arrays = {name: np.zeros(keys.pop(name, shape)) for name, shape in shapes.items()}
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the text is compared below
        separable_conv(**arrays, **keys)
    assert numbers in str(refusal.value)


def test_refuses_other_dtypes_and_shapes():
    x, depthwise, pointwise, _ = operands(CASES[0])
    with pytest.raises(TypeError, match="one dtype"):
        separable_conv(x, depthwise, pointwise.astype(np.float32))
    with pytest.raises(ValueError, match=r"\(2, 2, 5\), not \(2, 3, 6\)"):
        separable_conv_gradients(x, depthwise, pointwise, x)
