"""The NumPy engine's pools: hand-computed numbers, literal loops, PyTorch, gradients, special values, refusals."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from convsuite_backends.numpy_im2col import (
    avg_pool,
    avg_pool_gradient,
    lp_pool,
    lp_pool_gradient,
    max_pool,
    max_pool_gradient,
    max_pool_indices,
    sliding,
)

INF, NAN = np.inf, np.nan
X3 = np.arange(9.0).reshape(1, 1, 3, 3)
X4 = np.arange(16.0).reshape(1, 1, 4, 4)
WINDOWS = [  # size, kernel, stride, dilation, (low, high), ceil_mode
    ([5], [2], [1], [1], [(0, 0)], False),
    ([6], [3], [2], [2], [(1, 2)], True),
    ([5, 4], [2, 3], [2, 1], [1, 1], [(1, 0), (2, 1)], False),
    ([6, 5], [3, 2], [2, 3], [1, 2], [(0, 1), (1, 1)], True),
    ([6, 7], [2, 2], [3, 2], [2, 1], [(-1, 1), (2, -2)], True),
    ([4, 5, 3], [2, 3, 2], [1, 2, 2], [2, 1, 1], [(1, 1), (0, 2), (1, 0)], True),
    ([3, 2], [5, 1], [1, 1], [1, 1], [(4, 4), (3, 0)], False),  # windows that see only padding
]


def integers(*shape, seed=1, dtype=float):
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype)


def options(window, dilated=True):
    keys = ("kernel", "stride", "dilation", "padding", "ceil_mode")
    chosen = dict(zip(keys, window[1:], strict=True))
    return chosen if dilated else {k: v for k, v in chosen.items() if k != "dilation"}


def count(n, k, s, d, low, high, ceil_mode):
    """Windows of an axis, by counting: those that fit, or with ceil_mode those that begin in input or low padding."""
    n, low, high = n + min(low, 0) + min(high, 0), max(low, 0), max(high, 0)
    padded, span = n + low + high, d * (k - 1) + 1
    fit = sum(1 for i in range(99) if i * s + span <= padded)
    overhangs = ceil_mode and (fit - 1) * s + span < padded and fit * s < n + low
    return fit + overhangs


def seen(window, dilation=True):
    """For each output the positions that it sees: a list of (output, [input positions in row-major order])."""
    sizes, kernel, stride, dilations, pads, ceil_mode = window
    axes = list(zip(sizes, kernel, stride, dilations if dilation else [1] * len(sizes), pads, strict=True))
    outs = [count(n, k, s, d, low, high, ceil_mode) for n, k, s, d, (low, high) in axes]
    for out in product(*map(range, outs)):
        taps = product(*(range(k) for k in kernel))
        at = [
            tuple(o * s + t * d - low for o, t, (_, _, s, d, (low, _)) in zip(out, tap, axes, strict=True))
            for tap in taps
        ]
        yield (
            out,
            [p for p in at if all(0 <= i < min(n, n + high) for i, (n, *_, (_, high)) in zip(p, axes, strict=True))],
        )


def loops(x, window, of, dilation=True):
    """of(values that a window sees, their flat indices) for each window, (N, C, *out)."""
    found = dict(enumerate_outputs(x, window, of, dilation))
    shape = tuple(max(i) + 1 for i in zip(*found, strict=True))
    return np.array(list(found.values())).reshape(shape)


def enumerate_outputs(x, window, of, dilation):
    for n, c in np.ndindex(x.shape[:2]):
        for out, at in seen(window, dilation):
            yield (n, c, *out), of([x[(n, c, *p)] for p in at], [np.ravel_multi_index(p, x.shape[2:]) for p in at])


# Hand-computed


def test_worked_examples():
    np.testing.assert_array_equal(max_pool(X3, kernel=2, stride=1)[0, 0], [[4, 5], [7, 8]])
    np.testing.assert_array_equal(avg_pool(X3, kernel=2, stride=1)[0, 0], [[2, 3], [5, 6]])
    np.testing.assert_array_equal(max_pool(X4, kernel=3)[0, 0], [[10]])
    np.testing.assert_array_equal(max_pool(X4, kernel=3, stride=(2, 1))[0, 0], [[10, 11]])
    same = {"kernel": 3, "stride": 2, "padding": [(0, 1), (0, 1)]}
    np.testing.assert_array_equal(max_pool(X4, **same)[0, 0], [[10, 11], [14, 15]])
    np.testing.assert_array_equal(max_pool_indices(X4, **same)[0, 0], [[10, 11], [14, 15]])
    two = np.concatenate([X4, X4 + 1], axis=1)
    due = [[[10, 11], [14, 15]], [[11, 12], [15, 16]]]
    np.testing.assert_array_equal(max_pool(two, kernel=3, stride=1)[0], due)


def test_norms_by_hand():
    x = np.array([[[3.0, -4, 0, 0, -2]]])
    np.testing.assert_array_equal(lp_pool(x, power=2, kernel=2, ceil_mode=True)[0, 0], [5, 0, 2])
    np.testing.assert_array_equal(lp_pool(x, power=1, kernel=2, stride=1)[0, 0], [7, 4, 0, 2])
    ones = np.ones((1, 1, 3))
    found = lp_pool_gradient(x, ones, power=2, kernel=2, ceil_mode=True)
    np.testing.assert_allclose(found[0, 0], [0.6, -0.8, 0, 0, -1], rtol=1e-15)


def test_the_count_leaves_out_what_overhangs():
    x = np.arange(1.0, 5).reshape(1, 1, 4)
    keys = {"kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True}
    np.testing.assert_array_equal(avg_pool(x, **keys)[0, 0], [1, 3, 2])  # the last window covers 4 and one zero
    np.testing.assert_array_equal(avg_pool(x, **keys, count_include_pad=False)[0, 0], [1.5, 3, 4])
    np.testing.assert_array_equal(avg_pool(x, **keys, divisor=2)[0, 0], [1.5, 4.5, 2])


# Against loops


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "int8"])
def test_maxima_are_those_of_loops(window, dtype):
    x = integers(2, 3, *window[0], dtype=dtype)
    bottom = -INF if np.dtype(dtype).kind == "f" else np.iinfo(dtype).min
    values = max_pool(x, **options(window))
    assert values.dtype == dtype
    np.testing.assert_array_equal(values, loops(x, window, lambda v, _: max(v, default=bottom)))
    first = loops(x, window, lambda v, at: at[v.index(max(v))] if v else -1)
    np.testing.assert_array_equal(max_pool_indices(x, **options(window)), first)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_averages_and_norms_are_those_of_loops(window, dtype):
    x = integers(2, 2, *window[0], dtype=dtype)
    keys = options(window, dilated=False)
    sums = loops(x, window, lambda v, _: sum(map(float, v)), dilation=False)
    counts = loops(x, window, lambda v, _: len(v), dilation=False)
    real = avg_pool(x, **keys, count_include_pad=False)
    assert real.dtype == dtype
    np.testing.assert_array_equal(real, (sums / np.maximum(counts, 1)).astype(dtype))
    np.testing.assert_array_equal(avg_pool(x, **keys, divisor=7), (sums / 7).astype(dtype))
    norms = loops(x, window, lambda v, _: sum(abs(float(a)) ** 3 for a in v) ** (1 / 3), dilation=False)
    np.testing.assert_allclose(lp_pool(x, power=3, **keys), norms, rtol=np.finfo(dtype).eps)


@pytest.mark.parametrize("limit", [1, 100, 1 << 20])
def test_blocks_change_nothing(limit, monkeypatch):
    monkeypatch.setattr(sliding, "BLOCK_BYTES", limit)
    test_maxima_are_those_of_loops(WINDOWS[3], "float32")
    test_averages_and_norms_are_those_of_loops(WINDOWS[3], "float16")


# Against PyTorch


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, 2, 0), (2, 3, 1), (3, 1, 1), (3, 2, 1), (4, 3, 2), (5, 5, 2)]
)
def test_every_residue_agrees_with_torch(kernel, stride, padding, ceil_mode):
    torch = pytest.importorskip("torch")
    keys = {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    for n in range(kernel, kernel + 2 * stride + 1):
        x = np.random.default_rng(n).permutation(2 * n * n).astype(float).reshape(1, 2, n, n)  # no ties
        native = torch.tensor(x, requires_grad=True)
        spatial = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        y, at = torch.nn.functional.max_pool2d(native, **spatial, return_indices=True)
        np.testing.assert_array_equal(max_pool(x, **keys), y.detach())
        np.testing.assert_array_equal(max_pool_indices(x, **keys), at)
        grad = integers(*y.shape)
        (due,) = torch.autograd.grad(y, native, torch.tensor(grad))
        np.testing.assert_array_equal(max_pool_gradient(x, grad, **keys), due)
        for include, divisor in product([False, True], [None, 7]):
            counted = {"count_include_pad": include}
            y = torch.nn.functional.avg_pool2d(native, **spatial, **counted, divisor_override=divisor)
            np.testing.assert_allclose(avg_pool(x, **keys, **counted, divisor=divisor), y.detach(), rtol=1e-15)
            (due,) = torch.autograd.grad(y, native, torch.tensor(grad))
            got = avg_pool_gradient(x, grad, **keys, **counted, divisor=divisor)
            np.testing.assert_allclose(got, due, rtol=1e-14, atol=1e-15)


def test_norms_agree_with_torch():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, 3, 7, 8))
    native = torch.tensor(x, requires_grad=True)
    for power, window in product([2.0, 4.0], [(2, 2), (3, 2)]):  # of odd powers PyTorch adds x^p, not |x|^p
        y = torch.nn.functional.lp_pool2d(native, power, *window)
        keys = {"power": power, "kernel": window[0], "stride": window[1]}
        np.testing.assert_allclose(lp_pool(x, **keys), y.detach(), rtol=1e-13)
        grad = integers(*y.shape)
        (due,) = torch.autograd.grad(y, native, torch.tensor(grad))
        np.testing.assert_allclose(lp_pool_gradient(x, grad, **keys), due, rtol=1e-12, atol=1e-14)


# Gradients


def differences(function, x, step=1e-6):
    """Central differences of a scalar function at x, element by element."""
    found = np.empty_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        found[i] = (function(up) - function(down)) / (2 * step)
    return found


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_gradients_are_those_of_differences(window):
    x = np.random.default_rng(2).permutation(np.prod(window[0]) * 2).reshape(1, 2, *window[0]) * 0.1 - 0.95
    plain = options(window, dilated=False)
    for pool, gradient, keys in [
        (max_pool, max_pool_gradient, options(window)),
        (avg_pool, avg_pool_gradient, {**plain, "count_include_pad": False}),
        (avg_pool, avg_pool_gradient, {**plain, "divisor": -2}),
        (lp_pool, lp_pool_gradient, {**plain, "power": 3}),
        (lp_pool, lp_pool_gradient, {**plain, "power": 1.5}),
    ]:
        y = pool(x, **keys)
        grad = np.where(np.isfinite(y), integers(*y.shape), 5)
        due = differences(lambda a, p=pool, k=keys, g=grad: np.sum(np.where(np.isfinite(o := p(a, **k)), o, 0) * g), x)
        np.testing.assert_allclose(gradient(x, grad, **keys), due, rtol=1e-6, atol=1e-6, err_msg=str(keys))


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_adjoint_identity(window):
    x, plain = integers(2, 3, *window[0]), options(window, dilated=False)
    y = avg_pool(x, **plain, divisor=1)
    grad = integers(*y.shape, seed=2)
    assert np.vdot(y, grad) == np.vdot(x, avg_pool_gradient(x, grad, **plain, divisor=1)) != 0
    y = max_pool(x, **options(window))
    grad = np.where(np.isfinite(y), integers(*y.shape, seed=2), 0)
    reached = np.vdot(np.where(np.isfinite(y), y, 0), grad)
    assert reached == np.vdot(x, max_pool_gradient(x, grad, **options(window))) != 0


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "int32"])
def test_gradients_keep_the_dtype_and_sum_wide(dtype):
    x, grad = np.array([[[0, 9, 0]]], dtype), np.array([[[100, 27]]], dtype)
    found = max_pool_gradient(x, grad, kernel=2, stride=1)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found[0, 0], [0, 127, 0])


def test_half_precision_is_summed_wide_and_rounded_once():
    x = np.array([[[2048, 1, 1, 1]]], np.float16)
    assert avg_pool(x, kernel=4, divisor=1).item() == 2052  # 2051, a tie; summed in float16 it would be 2048
    assert avg_pool(np.float16([[[60000, 60000]]]), kernel=2).item() == 60000
    assert lp_pool(np.float16([[[24000, 32000]]]), power=2, kernel=2).item() == 40000
    found = avg_pool_gradient(x, np.full((1, 1, 1), 2048, np.float16), kernel=4, divisor=1)
    assert (found.dtype, found.max()) == (np.float16, 2048)


# Special values


def test_nan_propagates_from_every_place_and_the_first_is_named():
    x = np.array([[[1, NAN, 2, NAN, 3]]])
    keys = {"kernel": 3, "stride": 1}
    np.testing.assert_array_equal(max_pool(x, **keys)[0, 0], [NAN] * 3)
    np.testing.assert_array_equal(max_pool_indices(x, **keys)[0, 0], [1, 1, 3])
    np.testing.assert_array_equal(max_pool_gradient(x, np.array([[[1.0, 2, 4]]]), **keys)[0, 0], [0, 3, 0, 4, 0])
    plane = np.array([[[[0, 1, 2], [INF, 5, NAN], [NAN, 7, 8]]]])
    assert max_pool_indices(plane, kernel=3).item() == 5


def test_nan_counts_as_padding_where_it_is_ignored():
    x = np.array([[[NAN, NAN, -INF, NAN, 3, NAN, NAN]]])
    keys = {"kernel": 2, "stride": 1, "nan": "ignore"}
    np.testing.assert_array_equal(max_pool(x, **keys)[0, 0], [-INF, -INF, -INF, 3, 3, -INF])
    np.testing.assert_array_equal(max_pool_indices(x, **keys)[0, 0], [-1, 2, 2, 4, 4, -1])
    np.testing.assert_array_equal(max_pool_gradient(x, np.ones((1, 1, 6)), **keys)[0, 0], [0, 0, 2, 0, 2, 0, 0])


def test_padding_is_never_chosen():
    x = np.full((1, 1, 2), -INF)
    keys = {"kernel": 2, "stride": 1, "padding": 2}
    np.testing.assert_array_equal(max_pool_indices(x, **keys)[0, 0], [-1, 0, 0, 1, -1])
    np.testing.assert_array_equal(max_pool_gradient(x, np.full((1, 1, 5), NAN), **keys)[0, 0], [NAN, NAN])
    low = np.full((1, 1, 2), -128, np.int8)
    np.testing.assert_array_equal(max_pool_indices(low, **keys)[0, 0], [-1, 0, 0, 1, -1])
    np.testing.assert_array_equal(max_pool(low - np.int8(-128), **keys)[0, 0], [-128, 0, 0, 0, -128])


def test_nothing_seen_averages_to_zero():
    x = np.ones((1, 1, 1))
    for include in (False, True):
        keys = {"kernel": 1, "padding": 1, "count_include_pad": include}
        np.testing.assert_array_equal(avg_pool(x, **keys)[0, 0], [0, 1, 0])
        np.testing.assert_array_equal(avg_pool_gradient(x, np.full((1, 1, 3), 7.0), **keys)[0, 0], [7])


def test_one_infinity_or_nan_does_not_spread():
    for value in (INF, -INF, NAN):
        x = np.ones((1, 1, 7, 7))
        x[0, 0, 3, 3] = value
        near = np.zeros((6, 6), bool)
        near[2:4, 2:4] = True
        assert (np.isfinite(avg_pool(x, kernel=2, stride=1)[0, 0]) == ~near).all()
        assert (np.isfinite(lp_pool(x, power=2, kernel=2, stride=1)[0, 0]) == ~near).all()
    both = np.array([[[INF, -INF, 1]]])
    np.testing.assert_array_equal(avg_pool(both, kernel=2, stride=1)[0, 0], [NAN, -INF])


def test_the_gradient_of_a_norm_of_zeros_is_zero():
    for power in (0.5, 1, 2, 3):
        found = lp_pool_gradient(np.zeros((1, 1, 4)), np.ones((1, 1, 2)), power=power, kernel=2)
        np.testing.assert_array_equal(found, 0)


# Boundaries and refusals


@pytest.mark.parametrize("shape", [(0, 2, 4), (2, 0, 4), (1, 1, 0)])
def test_empty_inputs(shape):
    x, keys = np.zeros(shape, np.float32), {"kernel": 2, "stride": 1, "padding": 1}
    y = max_pool(x, **keys)
    assert y.shape == (*shape[:2], shape[2] + 1)
    assert max_pool_gradient(x, y, **keys).shape == shape
    np.testing.assert_array_equal(avg_pool(x, **keys), np.zeros(y.shape))
    assert avg_pool_gradient(x, y, **keys).shape == lp_pool_gradient(x, y, power=2, **keys).shape == shape


def test_any_strides_and_any_number_of_axes():
    x = np.asfortranarray(integers(2, 3, 8, 6))[:, ::-1, ::2, ::-1]
    np.testing.assert_array_equal(max_pool(x, kernel=2), max_pool(np.ascontiguousarray(x), kernel=2))
    x = np.arange(81.0).reshape(1, 1, 3, 3, 3, 3)
    assert (max_pool(x, kernel=3).item(), avg_pool(x, kernel=3).item()) == (80, 40)
    assert max_pool_indices(x, kernel=2, stride=1).ravel()[0] == 27 + 9 + 3 + 1


def test_writes_into_no_operand():
    x, grad = X4.copy(), np.ones((1, 1, 4, 4))
    for gradient in (max_pool_gradient, avg_pool_gradient):
        gradient(x, grad, kernel=1)
    assert not np.shares_memory(max_pool(x, kernel=1), x)
    np.testing.assert_array_equal(x, X4)
    np.testing.assert_array_equal(grad, 1)


@pytest.mark.parametrize(
    ("pool", "keys", "numbers"),
    [
        (max_pool, {"kernel": 0}, "kernel must be at least 1 on every axis, not [0, 0]"),
        (max_pool, {"kernel": [2, 2, 2]}, "3 numbers for 2"),
        (max_pool, {"kernel": 2, "stride": [1, 0]}, "stride must be at least 1 on every axis, not [1, 0]"),
        (max_pool, {"kernel": 2, "dilation": -1}, "dilation must be at least 1 on every axis, not [-1, -1]"),
        (max_pool, {"kernel": 3, "dilation": 2}, "axis 0: the window spans 5, the padded input is 4 (4 + 0 + 0)"),
        (
            max_pool,
            {"kernel": 2, "padding": [0, (0, -3)]},
            "axis 1: the window spans 2, the padded input is 1 (4 + 0 + -3)",
        ),
        (max_pool, {"kernel": 2, "padding": [(1, 2, 3), 0]}, "(low, high)"),
        (max_pool, {"kernel": 6, "stride": 1, "ceil_mode": True}, "spans 6, the padded input is 4"),
        (max_pool, {"kernel": 2, "nan": "omit"}, "nan 'omit' is none of propagate, ignore"),
        (avg_pool, {"kernel": 2, "divisor": 0}, "divisor must not be 0"),
        (lp_pool, {"kernel": 2, "power": 0}, "power must be positive and finite, not 0"),
        (lp_pool, {"kernel": 2, "power": INF}, "power must be positive and finite, not inf"),
    ],
)
def test_refusals_name_the_numbers(pool, keys, numbers):
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the text is compared below
        pool(X4, **keys)
    assert numbers in str(refusal.value)


def test_refuses_other_shapes_and_dtypes():
    with pytest.raises(ValueError, match=r"\(1, 1\) must be \(N, C, \*spatial\)"):
        max_pool(np.zeros((1, 1)), kernel=2)
    for gradient, keys in [(max_pool_gradient, {}), (avg_pool_gradient, {}), (lp_pool_gradient, {"power": 2})]:
        with pytest.raises(ValueError, match=r"\(1, 1, 2, 2\), not \(1, 1, 4, 4\)"):
            gradient(X4, X4, kernel=2, **keys)
        with pytest.raises(TypeError, match="one dtype"):
            gradient(X4, np.ones((1, 1, 2, 2), np.float32), kernel=2, **keys)
    with pytest.raises(TypeError, match="complex128 is none of"):
        max_pool(X4.astype(complex), kernel=2)
    for pool, keys in [(avg_pool, {}), (lp_pool, {"power": 2})]:
        with pytest.raises(TypeError, match="int32 has no averages"):
            pool(X4.astype(np.int32), kernel=2, **keys)
    with pytest.raises(TypeError):
        max_pool(X4, kernel=1.5)
