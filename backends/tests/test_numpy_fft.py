"""Fourier transforms give what the plain engine gives, within their bound; a fault in them is beyond, and is found."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import product
from math import inf, prod
from types import SimpleNamespace

import numpy as np
import pytest

from convsuite import algorithms
from convsuite.case import Pass
from convsuite.judge import judge
from convsuite.operands import fill
from convsuite.operations import of
from convsuite_backends.numpy_im2col import NumpyIm2colFft, fourier, gradients, paths
from convsuite_backends.numpy_im2col.geometry import geometry

RNG = np.random.default_rng(0)
ENGINE = SimpleNamespace(forward=paths.forward, input_gradient=gradients.input_gradient)
FFT = NumpyIm2colFft()


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Take it for small kernels as well, so that tests are quick."""
    monkeypatch.setattr(fourier, "plain_cost", lambda g: inf if prod(g.kernel) > 10 else 0.0)


def real(*shape, dtype="float64"):
    return RNG.standard_normal(shape).astype(dtype)


def problem(kernel, plane, channels=(3, 2), batch=1, dtype="float64", **options):
    """Return (x, weight, bias, geometry)."""
    options = {"groups": 1, "stride": 1, "dilation": 1, "padding": 1, "padding_mode": "zeros", "flip": False} | options
    (c_in, c_out), groups = channels, options["groups"]
    x, weight = real(batch, c_in * groups, *plane, dtype=dtype), real(c_out * groups, c_in, *kernel, dtype=dtype)
    return x, weight, real(groups, c_out, 1, dtype=dtype), geometry(x.shape, weight.shape, None, **options)


def room(g, x):
    return np.empty(g.out_shape, x.dtype)


def both(x, weight, bias, g):
    """Return the answers of both engines, forward and to the input."""
    grad = real(*g.out_shape, dtype=x.dtype)
    for module in (fourier, ENGINE):
        with np.errstate(all="ignore"):
            y, gradient = (
                module.forward(x, weight, bias, g, x.dtype, room(g, x)),
                module.input_gradient(weight, grad, g, x.dtype),
            )
        yield y, gradient


@pytest.mark.parametrize(
    ("kernel", "plane"),
    [((13,), (50,)), ((4, 3), (9, 14)), ((5, 7), (40, 33)), ((3, 2, 3), (9, 5, 8)), ((1, 13), (3, 60))],
)
@pytest.mark.parametrize(("channels", "groups"), [((3, 2), 1), ((2, 3), 2), ((1, 1), 4), ((1, 2), 3)])
@pytest.mark.parametrize("flip", [False, True])
def test_it_is_the_plain_engine(kernel, plane, channels, groups, flip):
    for pads, batch in product((0, 2, ((1, 3),) * len(plane), ((-1, 2),) * len(plane)), (1, 2)):
        if any(n + 2 * min(0, -1) < k for n, k in zip(plane, kernel, strict=True)):
            continue
        x, weight, bias, g = problem(kernel, plane, channels, batch, groups=groups, padding=pads, flip=flip)
        for mine, due in zip(*both(x, weight, bias, g), strict=True):
            np.testing.assert_allclose(mine, due, rtol=0, atol=1e-11)


def test_the_cheapest_tile_is_taken():
    assert fourier.plan(problem((5, 7), (12, 24))[3], 4) == fourier.Plan(size=(16, 32), groups=1, outputs=2)
    g = problem((5, 7), (4000, 33))[3]
    how = fourier.plan(g, 4)
    assert how.size[0] < 4000
    assert how.cost(g) == min(each.cost(g) for spare in fourier.SPARE if (each := fourier._cut(g, spare, 4)))


def test_it_is_taken_where_it_pays(monkeypatch):
    monkeypatch.undo()
    for kernel, plane, channels, groups, due in (
        ((31, 31), (128, 128), (1, 1), 1, True), ((9, 9), (128, 128), (4, 4), 1, False),
        ((15, 15), (56, 56), (64, 64), 1, False), ((15, 15), (56, 56), (1, 1), 64, True),
        ((3, 3), (56, 56), (1, 1), 64, False), ((1024,), (16384,), (8, 8), 1, True), ((3,), (16384,), (8, 8), 1, False),
    ):  # fmt: skip
        g = problem(kernel, plane, channels, groups=groups, padding=kernel[0] // 2)[3]
        assert (fourier.plan(g, 4) is not None) == due, (kernel, plane)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes(mode):
    x, weight, bias, g = problem((4, 5), (9, 20), padding=((2, 1), (0, 3)), padding_mode=mode)
    assert fourier.plan(g, 8) is not None
    for mine, due in zip(*both(x, weight, bias, g), strict=True):
        np.testing.assert_allclose(mine, due, rtol=0, atol=1e-11)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_what_lies_behind_the_padding_is_nothing(mode):
    """The bound is of what windows see: a tile that hangs over the end must not hold more."""
    x, weight, _, g = problem((61, 61), (265, 265), padding=((1, 0), (1, 0)), padding_mode=mode, channels=(1, 1))
    assert fourier.plan(g, 4) is not None
    x[:], x[..., -1, -1] = 0, 1
    worst = []
    for padding_mode in ("zeros", mode):
        of = replace(g, mode=padding_mode)
        single = fourier.forward(x.astype("f"), weight.astype("f"), None, of, np.dtype("f"), room(g, x.astype("f")))
        worst.append(np.abs(single - paths.forward(x, weight, None, of, x.dtype, room(g, x))).max())
    assert worst[1] < 10 * worst[0]


def test_in_many_parts_it_is_the_same(monkeypatch):
    x, weight, bias, g = problem((4, 5), (70, 80), (2, 5), 2, groups=6)
    whole = fourier.forward(x, weight, bias, g, x.dtype, room(g, x))
    monkeypatch.setattr(fourier, "WORKSPACE_BYTES", 200 << 10)
    how = fourier.plan(g, 8)
    assert how is not None
    assert (how.groups, how.outputs) < (6, 5)
    np.testing.assert_allclose(fourier.forward(x, weight, bias, g, x.dtype, room(g, x)), whole, rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("kernel", "plane", "channels", "groups"),
    [((31, 31), (200, 300), (4, 8), 1), ((15, 15), (56, 56), (1, 1), 64), ((2000,), (100_000,), (2, 3), 1)],
)
def test_its_workspace_is_bounded(kernel, plane, channels, groups, dtype):
    x, weight, _, g = problem(kernel, plane, channels, dtype=dtype, groups=groups, padding=0)
    assert fourier.plan(g, x.itemsize) is not None
    tracemalloc.start()
    y = fourier.forward(x, weight, None, g, x.dtype, room(g, x))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - y.nbytes <= fourier.WORKSPACE_BYTES


def test_what_it_does_not_do_is_left_to_the_plain_engine():
    def made(kernel=(5, 5), plane=(20, 20), **keys):
        return fourier.plan(problem(kernel, plane, **keys)[3], 4)

    assert made() is not None
    for keys in ({"stride": 2}, {"dilation": 2}, {"kernel": (3, 3)}, {"batch": 0}):
        assert made(**keys) is None
    assert made(channels=(100_000, 1)) is None  # one tile of all channels is beyond the workspace


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("fill_", ["integers", "normal", "wide", "cancelling", "impulse", "special", "ramp"])
def test_the_judge_finds_it_right(write, wrong, dtype, fill_):
    for more in ({}, {"layout": "channels_last", "bias": True}, {"groups": 2, "flip": True}):
        case = write(input=[14, 19], kernel=[4, 5], padding=2, channels={"in": 4, "out": 6}, batch=2, dtype=dtype,
                     fill=fill_, passes=["forward", "grad_input", "grad_weight"], **more)  # fmt: skip
        declared = FFT.numerics(case, Pass.FORWARD).fast
        assert declared == algorithms.Fft(size=declared.size, kernel=(4, 5), channels=4 // more.get("groups", 1))
        assert FFT.numerics(case, Pass.GRAD_INPUT).fast is not None
        assert FFT.numerics(case, Pass.GRAD_WEIGHT).fast is None
        assert wrong(FFT, case) == {}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_depthwise(write, wrong, dtype):
    case = write("depthwise_conv", input=[14, 19], kernel=[3, 5], padding=1, channels=4, multiplier=2, dtype=dtype,
                 fill="normal", passes=["forward", "grad_input", "grad_weight"])  # fmt: skip
    assert FFT.numerics(case, Pass.FORWARD).fast is not None
    assert wrong(FFT, case) == {}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_place(value):
    x, weight, bias, g = problem((4, 4), (20, 20), dtype="float32")
    for operand in (x, weight):
        kept, operand[..., 1, 1] = operand[..., 1, 1].copy(), value
        for mine, due in zip(*both(x, weight, bias, g), strict=True):
            np.testing.assert_array_equal(np.isnan(mine), np.isnan(due))
            np.testing.assert_array_equal(np.isinf(mine), np.isinf(due))
        operand[..., 1, 1] = kept


def verdict(write, fill_="normal"):
    case = write(input=[30, 30], kernel=[5, 5], padding=2, channels={"in": 8, "out": 2}, fill=fill_)
    arrays, numerics = fill(case), FFT.numerics(case, Pass.FORWARD)
    assert numerics.fast is not None
    due = of(case).reference(case, arrays, Pass.FORWARD)
    return judge(FFT.forward(case)(*arrays), "float32", due, "float32", numerics)


def test_a_wrong_frequency_is_caught(write, monkeypatch):
    assert verdict(write).right
    weights = fourier._weights

    def planted(*arguments):
        found = weights(*arguments)
        found[..., 3, 4] *= 1.25
        return found

    monkeypatch.setattr(fourier, "_weights", planted)
    assert not verdict(write).right


def test_a_wrapped_position_is_caught(write, monkeypatch):
    made = fourier._made
    monkeypatch.setattr(fourier, "_made", lambda *a: np.roll(made(*a), 1, axis=-1))
    assert not verdict(write).right


def test_half_precision_in_a_transform_is_caught(write, monkeypatch):
    spectrum = fourier._spectrum

    def rough(*arguments):
        found = spectrum(*arguments)
        return found.real.astype(np.float16) + 1j * found.imag.astype(np.float16)

    monkeypatch.setattr(fourier, "_spectrum", rough)
    assert not verdict(write).right
