"""The NumPy engine's adaptive pools: worked windows, literal loops, PyTorch, gradients, refusals."""

from __future__ import annotations

from itertools import product
from math import ceil, floor

import numpy as np
import pytest

from convsuite_backends.numpy_im2col import (
    adaptive_avg_pool,
    adaptive_avg_pool_gradient,
    adaptive_max_pool,
    adaptive_max_pool_gradient,
    adaptive_max_pool_indices,
    avg_pool,
    max_pool,
)
from convsuite_backends.numpy_im2col.adaptive import Adaptive

NAN = np.nan
CASES = [  # x, output_size
    ((2, 2, 7), 3),
    ((2, 1, 6, 5), [4, 2]),
    ((1, 2, 4, 6), [6, 3]),  # more windows than positions
    ((2, 2, 3, 4, 5), [2, 1, 5]),
    ((1, 3, 4, 4), 1),
]


def integers(*shape, seed=1, dtype=float):
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype)


def covered(n, o):
    return [range(floor(i * n / o), ceil((i + 1) * n / o)) for i in range(o)]


def loops(x, size, of):
    """of(values that a window sees, their flat indices) for each window."""
    sizes = size if isinstance(size, list) else [size] * (x.ndim - 2)
    y = np.empty((*x.shape[:2], *sizes))
    windows = list(product(*(covered(n, o) for n, o in zip(x.shape[2:], sizes, strict=True))))
    for n, c in np.ndindex(x.shape[:2]):
        for out, window in zip(np.ndindex(*sizes), windows, strict=True):
            at = list(product(*window))
            y[(n, c, *out)] = of([x[(n, c, *p)] for p in at], [np.ravel_multi_index(p, x.shape[2:]) for p in at])
    return y


def test_by_hand():
    x = np.array([[[1.0, 5, 2, 4, 3]]])  # 0 to 2, 1 to 4, 3 to 5
    np.testing.assert_array_equal(adaptive_max_pool(x, output_size=3)[0, 0], [5, 5, 4])
    np.testing.assert_array_equal(adaptive_max_pool_indices(x, output_size=3)[0, 0], [1, 1, 3])
    np.testing.assert_array_equal(adaptive_avg_pool(x, output_size=3)[0, 0], [3, 11 / 3, 3.5])
    grad = np.array([[[1.0, 2, 4]]])
    np.testing.assert_array_equal(adaptive_max_pool_gradient(x, grad, output_size=3)[0, 0], [0, 3, 0, 4, 0])
    grad = np.array([[[2.0, 3, 4]]])
    np.testing.assert_array_equal(adaptive_avg_pool_gradient(x, grad, output_size=3)[0, 0], [1, 2, 1, 3, 2])


def test_windows_cover_what_the_definition_says():
    for n, o in product(range(1, 13), range(1, 13)):
        axis = Adaptive(size=n, count=o)
        for meetings in (axis.taps(), axis.windows()):
            seen = [[] for _ in range(o)]
            for out, met in meetings:
                places = range(o)[out]
                positions = range(n)[met]
                for i, at in zip(places, positions, strict=True) if len(places) > 1 else product(places, positions):
                    seen[i].append(at)
            assert seen == [list(window) for window in covered(n, o)]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "int8"])
def test_is_what_loops_give(case, dtype):
    x, size = integers(*case[0], dtype=dtype), case[1]
    values = adaptive_max_pool(x, output_size=size)
    assert values.dtype == dtype
    np.testing.assert_array_equal(values, loops(x, size, lambda v, _: max(v)))
    first = loops(x, size, lambda v, at: at[v.index(max(v))])
    np.testing.assert_array_equal(adaptive_max_pool_indices(x, output_size=size), first)
    if values.dtype.kind == "f":
        due = loops(x, size, lambda v, _: sum(map(float, v)) / len(v)).astype(dtype)
        np.testing.assert_array_equal(adaptive_avg_pool(x, output_size=size), due)


def test_even_division_is_a_pool_of_that_kernel():
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 8))
    np.testing.assert_array_equal(adaptive_max_pool(x, output_size=[2, 4]), max_pool(x, kernel=[3, 2]))
    np.testing.assert_array_equal(adaptive_avg_pool(x, output_size=[2, 4]), avg_pool(x, kernel=[3, 2]))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_torch(case):
    torch = pytest.importorskip("torch")
    shape, size = case
    x = np.random.default_rng(2).permutation(np.prod(shape)).reshape(shape).astype(float)  # no ties
    native, rank = torch.tensor(x, requires_grad=True), len(shape) - 2
    y, at = getattr(torch.nn.functional, f"adaptive_max_pool{rank}d")(native, size, return_indices=True)
    np.testing.assert_array_equal(adaptive_max_pool(x, output_size=size), y.detach())
    np.testing.assert_array_equal(adaptive_max_pool_indices(x, output_size=size), at)
    grad = integers(*y.shape)
    (due,) = torch.autograd.grad(y, native, torch.tensor(grad))
    np.testing.assert_array_equal(adaptive_max_pool_gradient(x, grad, output_size=size), due)
    y = getattr(torch.nn.functional, f"adaptive_avg_pool{rank}d")(native, size)
    np.testing.assert_allclose(adaptive_avg_pool(x, output_size=size), y.detach(), rtol=1e-15)
    (due,) = torch.autograd.grad(y, native, torch.tensor(grad))
    np.testing.assert_allclose(adaptive_avg_pool_gradient(x, grad, output_size=size), due, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_those_of_differences(case):
    shape, size = case
    x = np.random.default_rng(2).permutation(np.prod(shape)).reshape(shape).astype(float)  # no ties, 1 apart
    for pool, gradient in [
        (adaptive_max_pool, adaptive_max_pool_gradient),
        (adaptive_avg_pool, adaptive_avg_pool_gradient),
    ]:
        grad = integers(*pool(x, output_size=size).shape, seed=2)
        due = np.empty(shape)
        for i in np.ndindex(shape):
            step = np.zeros(shape)
            step[i] = 0.25  # piecewise linear, and too short to change a maximum
            due[i] = np.vdot(pool(x + step, output_size=size) - pool(x - step, output_size=size), grad) / 0.5
        np.testing.assert_allclose(gradient(x, grad, output_size=size), due, atol=1e-10)


def test_adjoint_identity():
    x = integers(2, 2, 10, 6) * 36
    y = adaptive_avg_pool(x, output_size=[4, 4])  # windows of 3 × 2 positions, so nothing is rounded
    grad = integers(*y.shape, seed=2) * 6
    assert np.vdot(y, grad) == np.vdot(x, adaptive_avg_pool_gradient(x, grad, output_size=[4, 4])) != 0


def test_half_precision_is_summed_wide_and_rounded_once():
    assert adaptive_avg_pool(np.float16([[[60000, 60000]]]), output_size=1).item() == 60000
    x = np.array([[[2048, 1, 1, 2]]], np.float16)
    assert adaptive_avg_pool(x, output_size=1).item() == 513
    found = adaptive_avg_pool_gradient(x, np.ones((1, 1, 3), np.float16), output_size=3)
    assert (found.dtype, found.tolist()) == (np.float16, [[[0.5, 1, 1, 0.5]]])


def test_nan():
    x = np.array([[[1, NAN, NAN, 2]]])
    np.testing.assert_array_equal(adaptive_max_pool(x, output_size=2)[0, 0], [NAN, NAN])
    np.testing.assert_array_equal(adaptive_max_pool_indices(x, output_size=2)[0, 0], [1, 2])
    np.testing.assert_array_equal(adaptive_max_pool_indices(x, output_size=1)[0, 0], [1])
    np.testing.assert_array_equal(adaptive_max_pool(x, output_size=4, nan="ignore")[0, 0], [1, -np.inf, -np.inf, 2])
    np.testing.assert_array_equal(adaptive_max_pool_indices(x, output_size=4, nan="ignore")[0, 0], [0, -1, -1, 3])
    np.testing.assert_array_equal(adaptive_avg_pool(x, output_size=4)[0, 0], [1, NAN, NAN, 2])


@pytest.mark.parametrize("shape", [(0, 2, 4), (2, 0, 4)])
def test_empty_inputs(shape):
    x = np.zeros(shape)
    y = adaptive_max_pool(x, output_size=3)
    assert y.shape == adaptive_avg_pool(x, output_size=3).shape == (*shape[:2], 3)
    assert adaptive_max_pool_gradient(x, y, output_size=3).shape == shape
    assert adaptive_avg_pool_gradient(x, y, output_size=3).shape == shape


def test_refusals_name_the_numbers():
    for pool in (adaptive_max_pool, adaptive_max_pool_indices, adaptive_avg_pool):
        for shape, size, numbers in [
            ((1, 1, 4, 4), 0, r"output_size must be at least 1 on every axis, not \[0, 0\]"),
            ((1, 1, 4, 4), [2], "output_size has 1 numbers for 2"),
            ((1, 1, 4, 0), 2, "axis 1: 0 positions cannot be pooled to 2"),
            ((1, 1), 2, r"\(1, 1\) must be \(N, C, \*spatial\)"),
        ]:
            with pytest.raises(ValueError, match=numbers):
                pool(np.zeros(shape), output_size=size)
    with pytest.raises(TypeError, match="int32 has no averages"):
        adaptive_avg_pool(np.zeros((1, 1, 4), np.int32), output_size=2)
    with pytest.raises(ValueError, match=r"\(1, 1, 2\), not \(1, 1, 3\)"):
        adaptive_avg_pool_gradient(np.zeros((1, 1, 4)), np.zeros((1, 1, 3)), output_size=2)
