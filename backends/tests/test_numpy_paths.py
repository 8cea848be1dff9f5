"""Every path of the engine gives what the plainest one gives, to the bit for integers, wherever it may be taken."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from convsuite import casefile
from convsuite.case import Pass
from convsuite.operands import fill
from convsuite_backends.numpy_im2col import (
    NumpyIm2col,
    columns,
    conv,
    conv_gradients,
    depthwise,
    gradients,
    shifted,
    tiled,
)
from convsuite_backends.numpy_im2col.geometry import geometry
from convsuite_backends.numpy_im2col.padding import pad

RNG = np.random.default_rng(0)
FLOAT = np.dtype("float32")


def integers(*shape):
    return RNG.integers(-4, 5, shape).astype(np.float32)


def geometries(rank, c_in, c_out, groups):
    """Yield (x, weight, options) of all kinds of windows."""
    kernels, strides, dilations = ((3, 1, 2), (2, 5, 1)), (1, 2, 3), (1, 2)
    for kernel, stride, dilation, pads in product(kernels, strides, dilations, ((0, 0), (2, 1), (-1, 2))):
        x = integers(2, c_in * groups, *(13, 12, 11)[:rank])
        weight = integers(c_out * groups, c_in, *kernel[:rank])
        options = {"stride": stride, "dilation": dilation, "padding": [pads] * rank, "padding_mode": "zeros"}
        yield x, weight, options | {"groups": groups, "flip": False}


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_depthwise_gives_what_products_give(rank, monkeypatch):
    for multiplier, block in product((1, 3), (128 << 10, 1)):
        monkeypatch.setattr(depthwise, "BLOCK_BYTES", block)
        for x, weight, options in geometries(rank, 1, multiplier, 4):
            g = geometry(x.shape, weight.shape, None, **options)
            bias = integers(4, multiplier, 1)
            assert depthwise.suits(g)
            plain = tiled.forward(x, weight, bias, g, FLOAT, FLOAT)
            np.testing.assert_array_equal(depthwise.forward(x, weight, bias, g, FLOAT, FLOAT), plain)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_shifted_columns_give_what_im2col_gives(rank, monkeypatch):
    for tile_bytes, dtype in product((1 << 20, 1), ("float32", "float16")):
        monkeypatch.setattr(shifted, "TILE_BYTES", tile_bytes)
        for x, weight, options in geometries(rank, 2, 3, 2):
            g = geometry(x.shape, weight.shape, None, **options)
            x, bias = x.astype(dtype), integers(2, 3, 1)
            plain = tiled.forward(x, weight, bias, g, FLOAT, np.dtype(dtype))
            np.testing.assert_array_equal(shifted.forward(x, weight, bias, g, FLOAT, np.dtype(dtype)), plain)


def test_a_long_stride_of_a_depthwise_window_costs_no_more_than_its_taps():
    x, weight = integers(1, 2, 3, 3), integers(2, 1, 2, 2)
    assert conv(x, weight, stride=10**6, groups=2).shape == (1, 2, 1, 1)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_strided_windows_in_parts_are_the_windows(rank):
    for x, weight, options in geometries(rank, 2, 3, 2):
        g = geometry(x.shape, weight.shape, None, **options)
        padded, room = pad(x, g), columns.workspace(g, FLOAT)
        whole = columns.Part((slice(None),) * rank, columns.windows(padded, g))
        for tile in columns.tiles(g, 4):
            plain = columns.im2col((whole,), tile, g, room).copy()
            np.testing.assert_array_equal(columns.im2col(columns.parts(padded, g), tile, g, room), plain)


def test_parts_are_made_where_they_pay():
    def made(kernel, stride, dilation=1):
        x = integers(1, 1, 20, 20)
        g = geometry(x.shape, (1, 1, *kernel), None, stride=stride, dilation=dilation, padding=0, padding_mode="zeros",
                     groups=1, flip=False)  # fmt: skip
        return len(columns.parts(x, g))

    assert [made((3, 3), 2), made((1, 1), 2), made((3, 3), 1), made((7, 7), 3), made((3, 3), 2, 2)] == [4, 1, 1, 9, 1]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_dense_gradient_is_the_scattered_one(rank):
    taken = 0
    for x, weight, options in geometries(rank, 2, 3, 2):
        g = geometry(x.shape, weight.shape, None, **options)
        if not gradients._dense_suits(g):
            continue
        grad = integers(*g.out_shape)
        dense, scattered = (
            f(weight, grad, g, FLOAT) for f in (gradients._dense_gradient, gradients._scattered_gradient)
        )
        np.testing.assert_array_equal(dense, scattered)
        taken += 1
    assert taken > 4


@pytest.mark.parametrize("case_id", ["conv/bench_smoke/strided_1x1", "depthwise_conv/bench_smoke/mobilenet_3x3"])
def test_one_gradient_at_a_time_is_that_of_all(case_id):
    (case,) = (case for case in casefile.builtin(globs=(case_id,)).cases if case.id == case_id)
    operands, backend = fill(case), NumpyIm2col()
    all_of_them = conv_gradients(operands[0], operands[1], operands[-1], stride=case.stride,
                               padding=case.padding.pads, groups=case.groups)  # fmt: skip
    for pass_, due in ((Pass.GRAD_INPUT, all_of_them.x), (Pass.GRAD_WEIGHT, all_of_them.weight)):
        found = backend.gradient_of(case, pass_)(operands[:-1], operands[-1])()
        np.testing.assert_array_equal(found, due)


def test_distances_that_no_memory_has_are_those_of_one_window():
    x, weight = integers(1, 2, 5, 4), integers(3, 2, 1, 1)
    np.testing.assert_array_equal(conv(x, weight, stride=2**62, dilation=2**62), conv(x[..., :1, :1], weight))


def test_what_a_call_holds_beyond_its_result_is_counted():
    def call():
        held = np.empty(1 << 20, np.uint8)
        held[:] = 1
        return np.zeros(1 << 10, np.uint8)

    counted = NumpyIm2col().workspace_bytes(call)
    assert 1 << 20 <= counted < (1 << 20) + (64 << 10)
