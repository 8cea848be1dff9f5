"""Winograd's filtering gives what the plain engine gives, within its bound; a fault in it is beyond, and is found."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from convsuite import algorithms
from convsuite.case import Pass
from convsuite.judge import judge
from convsuite.operands import fill
from convsuite.operations import of
from convsuite_backends.numpy_im2col import NumpyIm2col, NumpyIm2colWinograd, gradients, paths, winograd
from convsuite_backends.numpy_im2col.geometry import geometry

RNG = np.random.default_rng(0)
ENGINE = SimpleNamespace(forward=paths.forward, input_gradient=gradients.input_gradient)
PADS = (0, 1, ((2, 0), (1, 3)), ((-1, 2), (0, -2)), ((4, 5), (3, 3)))
PLANES = ((8, 8), (5, 13), (3, 30), (11, 6), (4, 4))
WINOGRAD, PLAIN = NumpyIm2colWinograd(), NumpyIm2col()


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Take it for small planes as well, so that tests are quick."""
    monkeypatch.setattr(winograd, "LEAST_POSITIONS", 1)


def real(*shape, dtype="float64"):
    return RNG.standard_normal(shape).astype(dtype)


def problem(channels=(16, 16), plane=(8, 8), batch=1, dtype="float64", **options):
    """Return (x, weight, bias, geometry)."""
    options = {"groups": 1, "stride": 1, "dilation": 1, "padding": 1, "padding_mode": "zeros", "flip": False} | options
    (c_in, c_out), groups = channels, options["groups"]
    x, weight = real(batch, c_in * groups, *plane, dtype=dtype), real(c_out * groups, c_in, 3, 3, dtype=dtype)
    g = geometry(x.shape, weight.shape, None, **options)
    return x, weight, real(groups, c_out, 1, dtype=dtype), g


def room(g, x):
    return np.empty(g.out_shape, x.dtype)


def both(x, weight, bias, g):
    """Return the answers of both engines, forward and to the input."""
    grad = real(*g.out_shape, dtype=x.dtype)
    for module in (winograd, ENGINE):
        with np.errstate(all="ignore"):
            y, gradient = (
                module.forward(x, weight, bias, g, x.dtype, room(g, x)),
                module.input_gradient(weight, grad, g, x.dtype),
            )
        yield y, gradient


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("flip", [False, True])
def test_it_is_the_plain_engine(groups, batch, flip):
    taken = set()
    for padding, plane in product(PADS, PLANES):
        if min(n + low + high for n, (low, high) in zip(plane, spread(padding), strict=True)) < 3:
            continue
        x, weight, bias, g = problem((17, 18), plane, batch, groups=groups, padding=padding, flip=flip)
        (y, gradient), (due, gradient_due) = both(x, weight, bias, g)
        np.testing.assert_allclose(y, due, rtol=0, atol=1e-11)
        np.testing.assert_allclose(gradient, gradient_due, rtol=0, atol=1e-11)
        how = winograd.plan(g, 8)
        taken.add(how and how.m)
    assert {2, 4} <= taken


def spread(padding):
    return ((padding, padding),) * 2 if isinstance(padding, int) else padding


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes(mode):
    x, weight, bias, g = problem(plane=(9, 7), padding=((2, 1), (0, 3)), padding_mode=mode)
    y, due = (module.forward(x, weight, bias, g, x.dtype, room(g, x)) for module in (winograd, paths))
    np.testing.assert_allclose(y, due, rtol=0, atol=1e-11)
    assert gradients.as_convolution(g) is None


def test_in_many_parts_it_is_the_same(monkeypatch):
    x, weight, bias, g = problem((20, 200), (23, 30), 2)
    whole = winograd.forward(x, weight, bias, g, x.dtype, room(g, x))
    monkeypatch.setattr(winograd, "WORKSPACE_BYTES", 1 << 20)
    monkeypatch.setattr(winograd, "GATHERED_BYTES", 32 << 10)
    how = winograd.plan(g, 8)
    assert how is not None
    assert how.outputs < 200
    assert how.tiles < 2 * 6 * 8
    assert how.gathered < 20
    np.testing.assert_allclose(winograd.forward(x, weight, bias, g, x.dtype, room(g, x)), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("channels", "plane", "batch"),
    [((16, 16), (40, 4000), 1), ((512, 512), (14, 14), 1), ((512, 512), (7, 7), 9), ((64, 64), (112, 112), 1)],
)
def test_its_workspace_is_bounded(channels, plane, batch, dtype):
    x, weight, _, g = problem(channels, plane, batch, dtype)
    assert winograd.plan(g, x.itemsize) is not None
    used = PLAIN.workspace_bytes(lambda: winograd.forward(x, weight, None, g, x.dtype, room(g, x)))
    assert used <= winograd.WORKSPACE_BYTES
    assert used > winograd.WORKSPACE_BYTES / 8


def test_what_it_does_not_do_is_left_to_the_plain_engine():
    def made(**keys):
        return winograd.plan(problem(**keys)[3], 4)

    assert made() is not None
    for keys in ({"stride": 2}, {"dilation": 2}, {"channels": (3, 64)}, {"channels": (64, 3)}, {"stride": (1, 2)}):
        assert made(**keys) is None
    for kernel in ((3,), (3, 1), (2, 2), (5, 5), (3, 3, 3)):
        rank = len(kernel)
        g = geometry((1, 32, *(9,) * rank), (32, 32, *kernel), None, stride=1, dilation=1, padding=1,
                     padding_mode="zeros", groups=1, flip=False)  # fmt: skip
        assert winograd.plan(g, 4) is None
    assert made(batch=0) is None
    assert made(channels=(100_000, 16)) is None  # one tile of all channels is beyond the workspace


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("fill", ["integers", "normal", "wide", "cancelling", "impulse", "special", "ramp"])
@pytest.mark.parametrize("plane", [[9, 10], [6, 5]])
def test_the_judge_finds_it_right(write, wrong, dtype, fill, plane):
    for more in ({}, {"layout": "channels_last", "bias": True}, {"groups": 2, "flip": True}):
        case = write(input=plane, kernel=[3, 3], padding=1, channels={"in": 32, "out": 32}, batch=2, dtype=dtype,
                     fill=fill, passes=["forward", "grad_input", "grad_weight"], **more)  # fmt: skip
        assert WINOGRAD.numerics(case, Pass.FORWARD).fast is not None
        assert WINOGRAD.numerics(case, Pass.GRAD_INPUT).fast is not None
        assert WINOGRAD.numerics(case, Pass.GRAD_WEIGHT).fast is None
        assert wrong(WINOGRAD, case) == {}


def test_the_rule(monkeypatch):
    monkeypatch.undo()

    def made(channels, plane, batch=1):
        how = winograd.plan(problem(channels, plane, batch)[3], 4)
        return how and how.m

    assert made((64, 64), (56, 56)) == made((512, 512), (28, 28)) == made((64, 64), (7, 7), 8) == 4
    assert made((512, 512), (14, 14)) == made((64, 64), (10, 10)) == 2  # tiles of 4 would compute 16 × 16, and 12 × 12
    assert made((512, 512), (7, 7)) is made((3, 64), (224, 224)) is None


def test_what_is_declared_is_what_is_done(write):
    def declared(pass_=Pass.FORWARD, **keys):
        case = write(**{"input": [12, 9], "kernel": [3, 3], "channels": {"in": 16, "out": 32}, "padding": 1} | keys)
        return WINOGRAD.numerics(case, pass_).fast

    assert declared() == algorithms.Winograd(tile=(4, 4), kernel=(3, 3), channels=16)
    assert declared(Pass.GRAD_INPUT) == algorithms.Winograd(tile=(4, 4), kernel=(3, 3), channels=32)
    assert declared(input=[6, 9]) == algorithms.Winograd(tile=(2, 2), kernel=(3, 3), channels=16)
    for keys in ({"dtype": "int32"}, {"stride": 2}, {"kernel": [3, 2]}, {"channels": {"in": 4, "out": 32}}):
        assert declared(**keys) is None
    assert declared(Pass.GRAD_INPUT, padding_mode="circular") is None
    assert declared(Pass.GRAD_BIAS) is None


@pytest.mark.parametrize("m", [2, 4])
def test_its_matrices_are_those_of_the_bound(m):
    for ours, name in zip(winograd.MATRICES[m], "AGB", strict=True):
        exact = getattr(algorithms.matrices(m, 3), name)
        np.testing.assert_array_equal(ours, [[float(v) for v in row] for row in exact])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_place(value):
    x, weight, bias, g = problem(plane=(12, 12), dtype="float32")
    for operand in (x, weight):
        kept, operand[..., 1, 1] = operand[..., 1, 1].copy(), value
        for mine, due in zip(*both(x, weight, bias, g), strict=True):
            np.testing.assert_array_equal(np.isnan(mine), np.isnan(due))
            np.testing.assert_array_equal(np.isinf(mine), np.isinf(due))
        operand[..., 1, 1] = kept


def test_what_overflows_in_a_transform_only_is_right():
    x, weight, bias, g = problem(plane=(12, 12), dtype="float32")
    x, weight = x * np.float32(1e37), weight * np.float32(1e-30)
    with np.errstate(all="ignore"):
        y, due = (module.forward(x, weight, bias, g, x.dtype, room(g, x)) for module in (winograd, paths))
    np.testing.assert_array_equal(y, due)


def verdict(write, m, dtype="float32", fill_="normal"):
    """Return what the judge says of a case that tiles of m × m compute."""
    plane = [12, 12] if m == 4 else [6, 6]
    case = write(input=plane, kernel=[3, 3], padding=1, channels={"in": 32, "out": 16}, dtype=dtype, fill=fill_)
    arrays = fill(case)
    numerics = WINOGRAD.numerics(case, Pass.FORWARD)
    assert numerics.fast.tile == (m, m)
    return judge(
        WINOGRAD.forward(case)(*arrays), dtype, of(case).reference(case, arrays, Pass.FORWARD), dtype, numerics
    )


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("which", range(3))
def test_a_wrong_coefficient_is_caught(write, monkeypatch, m, which):
    assert verdict(write, m).right
    right = winograd.MATRICES[m]
    for at in zip(*np.nonzero(right[which]), strict=True):
        planted = [matrix.astype(float) for matrix in right]
        for twice in (False, True):
            planted[which][at] *= 1.25 if not twice else 1.6
            monkeypatch.setitem(winograd.MATRICES, m, tuple(planted))
            winograd._of_both_axes.cache_clear()
            found = verdict(write, m)
            assert not found.right or (found.suspect and not twice), (at, twice, found.guaranteed_share)
            monkeypatch.setitem(winograd.MATRICES, m, right)
            winograd._of_both_axes.cache_clear()


@pytest.mark.parametrize("m", [2, 4])
def test_half_precision_in_a_transform_is_caught(write, monkeypatch, m):
    transformed = winograd._Room.transformed
    monkeypatch.setattr(winograd._Room, "transformed",
                        lambda *a: transformed(*a).astype(np.float16).astype(np.float32))  # fmt: skip
    found = verdict(write, m)
    assert not found.right or found.suspect


def test_f2_is_exact_on_integers(write):
    assert verdict(write, 2, fill_="integers").gate == "exact"
    assert verdict(write, 4, fill_="integers").gate == "normwise"


def test_it_refuses_what_the_engine_refuses(write):
    case = write(input=[9, 9], kernel=[3, 3], channels={"in": 16, "out": 16})
    x, weight = real(1, 16, 9, 9), real(16, 16, 3, 3)
    with pytest.raises(ValueError, match="channels"):
        WINOGRAD.conv(replace(case, groups=3), x, weight)
    with pytest.raises(ValueError, match="grad_output"):
        WINOGRAD.conv_grad_input(case, x, weight, real(1, 16, 6, 7))
    with pytest.raises(TypeError, match="one dtype"):
        WINOGRAD.conv(case, x, weight.astype(np.float32))


def test_other_dtypes_are_the_plain_engine_s(write):
    case = write(input=[9, 9], kernel=[3, 3], channels={"in": 16, "out": 16}, dtype="int32", fill="integers")
    arrays = fill(case)
    np.testing.assert_array_equal(WINOGRAD.forward(case)(*arrays), PLAIN.forward(case)(*arrays))
