"""A convolution made ready once: what it answers, what it keeps, what it refuses."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from convsuite_backends.numpy_im2col import conv, fourier, prepare, winograd
from convsuite_backends.numpy_im2col.geometry import geometry

RNG = np.random.default_rng(0)


def drawn(*shape: int, dtype: str = "float32"):
    return RNG.integers(-9, 9, shape).astype(dtype)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1},
        {"padding": [(2, -1), (0, 1)], "dilation": 2},
        {"padding": 1, "padding_mode": "circular", "flip": True},
        {"groups": 2, "padding": 1},
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "int8"])
@pytest.mark.parametrize("biased", [True, False])
def test_answers_as_conv_does(options, dtype, biased):
    x, w = drawn(2, 4, 9, 8, dtype=dtype), drawn(6, 4 // options.get("groups", 1), 3, 2, dtype=dtype)
    bias = drawn(6, dtype=dtype) if biased else None
    layer = prepare(w, bias, **options)
    due = conv(x, w, bias, **options)
    for _ in range(2):
        assert np.array_equal(layer(x), due)
    assert layer(x).dtype == due.dtype
    assert np.array_equal(layer(x[:1, :, 2:]), conv(x[:1, :, 2:], w, bias, **options))  # another size


# a layer that each algorithm computes
FAST = {"winograd": (winograd, (16, 16, 3, 3), (30, 27)), "fft": (fourier, (2, 2, 15, 15), (60, 50))}


@pytest.mark.parametrize("algorithm", FAST)
@pytest.mark.parametrize("options", [{}, {"flip": True}, {"groups": 2}])
def test_a_fast_algorithm_answers_as_it_does_anew(algorithm, options):
    module, (c_out, c_in, *kernel), size = FAST[algorithm]
    groups = options.get("groups", 1)
    x, w = RNG.standard_normal((2, c_in * groups, *size)), RNG.standard_normal((c_out * groups, c_in, *kernel))
    x, w, bias = x.astype(np.float32), w.astype(np.float32), drawn(c_out * groups)
    layer = prepare(w, bias, padding=1, algorithm=algorithm, **options)
    keys = {"stride": 1, "dilation": 1, "padding": 1, "padding_mode": "zeros", "groups": 1, "flip": False} | options
    g = geometry(x.shape, w.shape, bias.shape, **keys)
    assert module.plan(g, 4) is not None
    due = module.forward(x, w, bias.reshape(groups, c_out, 1), g, x.dtype, np.empty(g.out_shape, x.dtype))
    assert np.allclose(layer(x), due, rtol=1e-5, atol=1e-3)
    assert not np.array_equal(layer(x), prepare(w, bias, padding=1, **options)(x))  # it was computed by the algorithm


@pytest.mark.parametrize("algorithm", FAST)
def test_a_fast_algorithm_transforms_its_weight_once(algorithm, monkeypatch):
    module, (c_out, c_in, *kernel), size = FAST[algorithm]
    made = []
    kept = module.ALGORITHM.kept
    fake = type(module.ALGORITHM)(
        module.ALGORITHM.plan, module.ALGORITHM.anew, lambda *a: made.append(1) or kept(*a), module.ALGORITHM.convolve
    )
    monkeypatch.setitem(prepare.__globals__["_ALGORITHMS"], algorithm, fake)
    layer = prepare(drawn(c_out, c_in, *kernel), padding=1, algorithm=algorithm)
    for batch in (1, 2, 1):
        layer(drawn(batch, c_in, *size))
    assert len(made) == 1


@pytest.mark.parametrize("algorithm", FAST)
def test_what_is_not_finite_stands_where_it_belongs(algorithm):
    _, (c_out, c_in, *kernel), size = FAST[algorithm]
    x, w = drawn(1, c_in, *size), drawn(c_out, c_in, *kernel)
    x[0, 0, 20, 20] = np.nan
    assert np.array_equal(prepare(w, algorithm=algorithm)(x), conv(x, w), equal_nan=True)


@pytest.mark.parametrize("algorithm", FAST)
def test_integers_stay_exact(algorithm):
    _, (c_out, c_in, *kernel), size = FAST[algorithm]
    x, w = drawn(1, c_in, *size, dtype="int32"), drawn(c_out, c_in, *kernel, dtype="int32")
    assert np.array_equal(prepare(w, algorithm=algorithm)(x), conv(x, w))


def test_its_weight_is_its_own():
    w, bias, x = drawn(3, 2, 3), drawn(3), drawn(1, 2, 9)
    layer = prepare(w, bias)
    due = conv(x, w, bias)
    w[...] = bias[...] = 0
    assert np.array_equal(layer(x), due)
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[...] = 0


def test_writes_where_it_is_told():
    w, x = drawn(3, 2, 3), drawn(1, 2, 9)
    out = np.empty((1, 7, 3), np.float32).swapaxes(1, 2)
    assert prepare(w)(x, out=out) is out
    assert np.array_equal(out, conv(x, w))
    with pytest.raises(ValueError, match="out must have the result's shape"):
        prepare(w)(x, out=out[..., 1:])


def test_from_several_threads():
    _, (c_out, c_in, *kernel), size = FAST["winograd"]
    layer, inputs = (
        prepare(drawn(c_out, c_in, *kernel), algorithm="winograd"),
        [drawn(1, c_in, *size) for _ in range(4)],
    )
    found: dict[int, np.ndarray] = {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: layer(inputs[i])})) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, x in enumerate(inputs):
        assert np.array_equal(found[i], layer(x))


def test_what_it_was_given_stays_the_callers():
    stride, pads = [1, 2], [(1, 0), [0, 1]]
    layer, x = prepare(drawn(3, 2, 2, 2), stride=stride, padding=pads), drawn(1, 2, 6, 6)
    due = layer(x)
    stride[0], pads[1] = 2, (3, 3)
    assert np.array_equal(layer(x), due)


def test_what_it_refuses():
    w = drawn(3, 2, 3)
    with pytest.raises(ValueError, match="algorithm must be one of im2col, winograd, fft, not 'fastest'"):
        prepare(w, algorithm="fastest")
    with pytest.raises(TypeError, match="operands must have one dtype"):
        prepare(w, drawn(3, dtype="float64"))
    with pytest.raises(TypeError, match="operands must have one dtype"):
        prepare(w)(drawn(1, 2, 9, dtype="float64"))
    with pytest.raises(ValueError, match="channels"):
        prepare(w)(drawn(1, 4, 9))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"stride": 0}, "stride must be at least 1"),
        ({"dilation": (1, 1)}, "dilation has 2 numbers for 1 spatial axes"),
        ({"padding": [(1, 2, 3)]}, "padding must be"),
        ({"padding_mode": "mirror"}, "padding_mode 'mirror' is none of"),
        ({"groups": 2}, "3 output channels do not divide into 2 groups"),
        ({"bias": drawn(2)}, r"bias must have shape \(3,\)"),
    ],
)
def test_what_no_input_suits_is_refused_at_once(options, text):
    with pytest.raises(ValueError, match=text):
        prepare(drawn(3, 2, 3), **options)


def test_what_some_input_suits_is_not_refused():
    for options in ({"padding": -5}, {"padding": 40, "padding_mode": "reflect"}, {"dilation": 2**62}):
        prepare(drawn(3, 2, 3), **options)


def test_a_weight_of_one_axis_is_refused():
    with pytest.raises(ValueError, match="must be"):
        prepare(drawn(3))


def test_each_size_of_tile_has_a_transform_of_its_own():
    x, w = drawn(1, 16, 48, 48), drawn(16, 16, 3, 3)
    for algorithm in FAST:
        layer = prepare(w, padding=1, algorithm=algorithm)
        for size in (48, 14, 10, 48):  # Winograd's tiles of 4 × 4, of 2 × 2, …
            some = x[..., :size, :size]
            np.testing.assert_allclose(layer(some), conv(some, w, padding=1), atol=1e-2)


PARTS = {  # of a kept weight, more than one: (workspace in bytes, x, weight, groups)
    "winograd": (winograd, 8 << 20, (1, 160, 30, 30), (160, 160, 3, 3), 1),
    "fft of outputs": (fourier, 500_000, (1, 2, 60, 50), (4, 2, 21, 21), 1),
    "fft of groups": (fourier, 300_000, (1, 9, 60, 50), (9, 1, 15, 15), 9),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_kept_weight_in_parts(name, monkeypatch):
    module, room, of_x, of_w, groups = PARTS[name]
    monkeypatch.setattr(module, "WORKSPACE_BYTES", room)
    x, w = drawn(*of_x), drawn(*of_w)
    keys = {"stride": 1, "dilation": 1, "padding": 1, "padding_mode": "zeros", "groups": groups, "flip": False}
    g = geometry(x.shape, w.shape, None, **keys)
    how = module.plan(g, 4)
    assert how.outputs < g.c_out or getattr(how, "groups", groups) < groups
    layer = prepare(w, padding=1, groups=groups, algorithm=name.split()[0])
    due = conv(x, w, padding=1, groups=groups)
    out = np.empty_like(due)
    assert layer(x, out=out) is out
    assert layer._kept
    np.testing.assert_allclose(out, due, atol=2e-5 * np.abs(due).max())


def test_is_shown_without_its_weight():
    assert "array" not in repr(prepare(drawn(6, 4, 3, 3), drawn(6), stride=2))
