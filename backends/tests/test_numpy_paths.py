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
    tiled,
)
from convsuite_backends.numpy_im2col.geometry import geometry
from convsuite_backends.numpy_im2col.padding import pad
from convsuite_backends.numpy_im2col.paths import path_of
from convsuite_backends.numpy_im2col.workspace import Workspace

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


def test_a_long_stride_of_a_depthwise_window_costs_no_more_than_its_taps():
    x, weight = integers(1, 2, 3, 3), integers(2, 1, 2, 2)
    assert conv(x, weight, stride=10**6, groups=2).shape == (1, 2, 1, 1)


@pytest.mark.parametrize("tile_bytes", [1 << 20, 3000, 1])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_columns_are_what_the_windows_of_the_padded_input_see(rank, mode, tile_bytes, monkeypatch):
    monkeypatch.setattr(columns, "TILE_BYTES", tile_bytes)
    monkeypatch.setattr(columns, "LEAST_POSITIONS", 1)
    for x, weight, options in geometries(rank, 2, 3, 2):
        g = geometry(x.shape, weight.shape, None, **(options | {"padding_mode": mode}))
        due, lowered = columns.windows(pad(x, g), g), columns.Columns(x, g, FLOAT, Workspace())
        for tile in lowered.tiles:
            index = (tile.groups, ..., tile.batch, *tile.out)
            plain = due[index].reshape(tile.groups.stop - tile.groups.start, g.terms, -1)
            np.testing.assert_array_equal(lowered.of(tile), plain)


def test_how_columns_are_read():
    def read(kernel, stride, dilation=1, padding=1):
        x = integers(1, 1, 20, 20)
        g = geometry(x.shape, (1, 1, *kernel), None, stride=stride, dilation=dilation, padding=padding,
                     padding_mode="zeros", groups=1, flip=False)  # fmt: skip
        found = columns.Columns(x, g, FLOAT, Workspace())
        return found._taken_apart, found._read == found._tap_by_tap, found._buffer.size

    assert read((3, 3), 1) == (False, False, 22 * 22)
    assert read((3, 3), 2) == (True, False, 11 * 11)  # the remainder 0, of 2 taps
    assert read((3, 3), 1, padding=0) == (False, False, 0)
    assert read((1, 1), 2, padding=0) == (False, False, 0)
    assert read((2, 2), 1, dilation=9) == (False, False, 22 * 22)
    assert read((2, 2), 4, dilation=9) == (False, True, 0)  # the buffer would be larger than the columns


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


@pytest.mark.parametrize(
    ("mode", "box_bytes"),
    [("zeros", 1 << 20), ("zeros", 2000), ("reflect", 2000), ("replicate", 2000), ("circular", 2000)],
)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_channels_last_is_im2col(rank, mode, box_bytes, monkeypatch):
    monkeypatch.setattr(depthwise, "BOX_BYTES", box_bytes)
    monkeypatch.setattr(depthwise, "MOST_CHANNELS", 34)
    taken = 0
    for outputs, stride, dilation, pads in product((1, 2), (1, 2), (1, 2), ((0, 0), (2, 1), (-1, 2))):
        x, weight = integers(2, 37, *(7, 6, 5)[:rank]), integers(37 * outputs, 1, *(3, 1, 2)[:rank])
        g = geometry(x.shape, weight.shape, None, stride=(stride, 1, 2)[:rank], dilation=dilation,
                     padding=[pads] * rank, padding_mode=mode, groups=37, flip=False)  # fmt: skip
        if not depthwise.suits(g):
            continue
        shift = integers(g.groups, g.c_out, 1)
        found, due = np.full(g.out_shape, np.nan, FLOAT), np.empty(g.out_shape, FLOAT)
        depthwise.forward(x, weight, shift, g, FLOAT, found)
        tiled.forward(x, weight, shift, g, FLOAT, due)
        np.testing.assert_array_equal(found, due)
        taken += 1
    assert taken > 10


def test_when_channels_are_last():
    def name(channels, size, kernel=3, groups=None, stride=1, dilation=1):
        shapes = (1, channels, size, size), (channels, channels // (groups or channels), kernel, kernel)
        pads = dilation * (kernel // 2)
        g = geometry(*shapes, None, stride=stride, dilation=dilation, padding=pads, padding_mode="zeros",
                     groups=groups or channels, flip=False)  # fmt: skip
        return path_of(g).name

    assert name(512, 14) == name(96, 14, stride=2) == name(64, 14, kernel=5) == "channels last"
    assert (
        name(16, 7)
        == name(64, 28)
        == name(512, 56)
        == name(512, 14, groups=256)
        == name(64, 9, dilation=40)
        == "im2col"
    )
    assert name(64, 60, kernel=2, stride=20) == "im2col"
    assert name(64, 7, kernel=1) == "matrix product"


def test_more_axes_than_einsum_has_names_for():
    x, weight = np.ones((1, 32, *(1,) * 25, 3), FLOAT), np.ones((32, 1, *(1,) * 25, 2), FLOAT)
    assert (conv(x, weight, groups=32) == 2).all()


@pytest.mark.parametrize(
    ("batch", "channels", "size", "kernel"), [(2, 33, 14, 3), (2, 512, 14, 3), (256, 256, 7, 7), (64, 64, 31, 31)]
)
def test_the_workspace_of_channels_last_is_what_it_may_be(batch, channels, size, kernel):
    x, weight = integers(batch, channels, size, size), integers(channels, 1, kernel, kernel)
    assert depthwise.suits(geometry(x.shape, weight.shape, None, stride=1, dilation=1, padding=0, padding_mode="zeros",
                                    groups=channels, flip=False))  # fmt: skip
    assert NumpyIm2col().workspace_bytes(lambda: conv(x, weight, groups=channels)) <= 8 << 20


def test_what_a_call_holds_beyond_its_result_is_counted():
    def call():
        held = np.empty(1 << 20, np.uint8)
        held[:] = 1
        return np.zeros(1 << 10, np.uint8)

    counted = NumpyIm2col().workspace_bytes(call)
    assert 1 << 20 <= counted < (1 << 20) + (64 << 10)


@pytest.mark.parametrize(("kernel", "groups"), [(1, 1), (3, 2), (3, 4)])  # product, im2col, depthwise
def test_a_result_is_written_into_a_given_array_of_any_strides(kernel, groups):
    x, weight = integers(2, 4, 6, 5), integers(4, 4 // groups, kernel, kernel)
    due = conv(x, weight, groups=groups)
    shape = due.shape
    for out in (
        np.empty(shape, FLOAT),
        np.empty(shape[::-1], FLOAT).T,
        np.empty((*shape[:-1], 2 * shape[-1]), FLOAT)[..., ::2],
    ):
        assert conv(x, weight, groups=groups, out=out) is out
        np.testing.assert_array_equal(out, due)


@pytest.mark.parametrize(
    ("out", "error"),
    [(np.empty((1, 4, 4, 3), FLOAT), ValueError), (np.empty((2, 4, 4, 3)), TypeError)],
)
def test_an_array_that_no_result_fits_is_refused(out, error):
    with pytest.raises(error, match="out must have"):
        conv(integers(2, 4, 6, 5), integers(4, 4, 3, 3), out=out)
