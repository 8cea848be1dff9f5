"""The NumPy engine: hand-computed numbers, the reference over a broad grid, the adjoint identity, and its refusals."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from math import prod

import numpy as np
import pytest
from allpairspy import AllPairs

from convsuite.case import Origin, Pass
from convsuite.dtypes import round_to
from convsuite.entry import ChannelsEntry, KernelEntry
from convsuite.operands import fill
from convsuite.operations import conv as operation
from convsuite.operations.common import Common
from convsuite_backends.numpy_im2col import NumpyIm2col, columns, conv, conv_gradients, tiled
from convsuite_backends.numpy_im2col.geometry import geometry
from convsuite_backends.numpy_im2col.rounding import to_bfloat16

X = np.arange(9.0).reshape(1, 1, 3, 3)
K = np.arange(4.0).reshape(1, 1, 2, 2)
X2 = np.concatenate([X, X + 1], axis=1)
K2 = np.concatenate([K, K + 1], axis=1)
GRID = {
    "rank": [1, 2, 3],
    "batch": [1, 3],
    "channels": [(1, 1, 1), (4, 6, 1), (4, 6, 2), (3, 3, 3), (3, 6, 3), (6, 3, 3)],  # in, out, groups
    "kernel": [1, 2, 3],
    "stride": [1, 2, 3],
    "dilation": [1, 2],
    "padding": ["valid", "same_upper", "same_lower", "full", "causal", [2, 1], [-1, 1], [-1, -1]],
    "padding_mode": ["zeros", "reflect", "replicate", "circular"],
    "flip": [False, True],
    "bias": [False, True],
    "dtype": ["float64", "float32", "float16", "bfloat16", "int32", "int8"],
    "layout": ["default", "channels_first", "channels_last"],
    "memory_format": ["contiguous", "channels_last", "sliced", "transposed"],
}


def resolved(**keys):
    """A case from the keys of GRID."""
    rank, (c_in, c_out, groups) = keys.pop("rank", 2), keys.pop("channels", (1, 1, 1))
    sizes = keys.pop("input", [8, 7, 6][:rank])
    padding = keys.pop("padding", "valid")
    dtype = keys.setdefault("dtype", "float32")
    passes = ["forward"] if dtype.startswith("int") else ["forward", "grad_input", "grad_weight"]
    bias = keys.setdefault("bias", False)
    entry = operation.ConvEntry(
        name="case",
        rank=rank,
        input=KernelEntry(size=sizes),
        channels=ChannelsEntry(in_=c_in, out=c_out),
        groups=groups,
        kernel=KernelEntry(size=keys.pop("kernel", 2)),
        padding=[padding] * rank if isinstance(padding, list) else padding,
        passes=[*passes, "grad_bias"] if bias and len(passes) > 1 else passes,
        **keys,
    )
    return operation.resolve(entry, Common(id="case", origin=Origin(file="", line=1)))


def answers(backend, case, arrays):
    """Each pass's result in NumPy's order."""
    native = [backend.to_native(a.copy(), o, case) for a, o in zip(arrays, case.operands, strict=True)]
    count = 3 if case.bias else 2
    results = {Pass.FORWARD: backend.forward(case)(*native[:count])}
    if case.wants_gradient:
        results |= dict(zip(operation.PASSES[1:], backend.backward(case)(native[:count], native[-1]), strict=False))
    assert {backend.dtype_name(r, case) for r in results.values()} == {case.dtype}
    return {p: backend.to_numpy(results[p], p.role, case) for p in case.passes}


def check(backend, case):
    """Compare every pass with the reference, rounded once, bit for bit."""
    assert operation.violations(case) == []
    arrays = fill(case)
    for pass_, got in answers(backend, case, arrays).items():
        due = round_to(operation.reference(case, arrays, pass_).value, case.dtype)
        assert got.dtype == due.dtype
        np.testing.assert_array_equal(got, due, err_msg=f"{pass_} of {case}")


def possible(keys):
    return not operation.violations(resolved(**keys))


def pairs():
    rows = [dict(zip(GRID, row, strict=True)) for row in AllPairs(list(GRID.values()))]
    return [row for row in rows if possible(row)]


def named(row):
    return "-".join(str(v).replace(" ", "") for v in row.values())


# Hand-computed


@pytest.mark.parametrize(
    ("x", "weight", "due"),
    [
        (X, K, [[19, 25], [37, 43]]),
        (X2, K2, [[56, 72], [104, 120]]),
        (
            X2,
            np.concatenate([K2, K2 + 1, K2 + 2]),
            [[[56, 72], [104, 120]], [[76, 100], [148, 172]], [[96, 128], [192, 224]]],
        ),
    ],
    ids=["one_channel", "two_in", "three_out"],
)
def test_worked_examples(x, weight, due):
    np.testing.assert_array_equal(conv(x, weight)[0].squeeze(), due)


def test_flip_reverses_the_kernel():
    # 3·0 + 2·1 + 1·3 + 0·4 = 5
    np.testing.assert_array_equal(conv(X, K, flip=True)[0, 0], [[5, 11], [23, 29]])


def test_edge_detection():
    x = np.ones((1, 1, 6, 8))
    x[..., 2:6] = 0
    np.testing.assert_array_equal(conv(x, np.array([[[[1.0, -1.0]]]]))[0, 0], [[0, 1, 0, 0, 0, -1, 0]] * 6)


def test_bias_stride_dilation_and_asymmetric_padding():
    x, k, b = np.arange(1.0, 6).reshape(1, 1, 5), np.array([[[1.0, 10.0]]]), np.array([100.0])
    np.testing.assert_array_equal(conv(x, k, b)[0, 0], [121, 132, 143, 154])
    np.testing.assert_array_equal(conv(x, k, stride=2, dilation=2)[0, 0], [31, 53])
    np.testing.assert_array_equal(conv(x, k, padding=[(2, 0)])[0, 0], [0, 10, 21, 32, 43, 54])
    np.testing.assert_array_equal(conv(x, k, padding=[(-1, -2)])[0, 0], [32])


@pytest.mark.parametrize(
    ("mode", "due"),
    [
        ("zeros", [0, 1, 2, 3, 0, 0]),
        ("reflect", [2, 1, 2, 3, 2, 1]),
        ("replicate", [1, 1, 2, 3, 3, 3]),
        ("circular", [3, 1, 2, 3, 1, 2]),
    ],
)
def test_padding_modes(mode, due):
    x = np.array([[[1, 2, 3]]], np.int32)
    np.testing.assert_array_equal(conv(x, np.ones((1, 1, 1), np.int32), padding=[(1, 2)], padding_mode=mode)[0, 0], due)


def test_gradients_by_hand():
    gradients = conv_gradients(X, K, np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))
    np.testing.assert_array_equal(gradients.x[0, 0], [[0, 1, 2], [2, 10, 10], [6, 17, 12]])
    np.testing.assert_array_equal(gradients.weight[0, 0], [[27, 37], [57, 67]])
    np.testing.assert_array_equal(gradients.bias, [10])


# Against the reference


@pytest.mark.parametrize("row", pairs(), ids=named)
def test_pairwise_grid(row):
    check(NumpyIm2col(), resolved(**row))


@pytest.mark.parametrize("rank", GRID["rank"])
@pytest.mark.parametrize("mode", GRID["padding_mode"])
def test_geometry_grid(rank, mode):
    keys = ("channels", "kernel", "stride", "dilation", "padding", "flip")
    values = ([(2, 4, 2)], [1, 2, 3], [1, 2], [1, 2], ["valid", "same_lower", [1, 2], [-1, 2]], [False, True])
    rows = [
        dict(zip(keys, row, strict=True), rank=rank, padding_mode=mode, input=[5, 4, 5][:rank])
        for row in product(*values)
    ]
    kept = [row for row in rows if possible(row)]
    assert len(kept) > len(rows) / 2
    for row in kept:
        check(NumpyIm2col(), resolved(**row))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32"])
@pytest.mark.parametrize(
    "row",
    [
        {"batch": 0},
        {"channels": (0, 2, 1), "bias": True},
        {"channels": (2, 0, 1)},
        {"channels": (0, 0, 2)},
        {"input": [0, 4], "padding": [1, 1]},
        {"input": [2, 2]},
        {"input": [1, 1], "kernel": 1},
        {"input": [1, 9], "kernel": [1, 9], "channels": (3, 2, 1)},
        {"batch": 0, "kernel": 1, "channels": (2, 2, 2)},
    ],
    ids=named,
)
def test_boundaries(row, dtype):
    check(NumpyIm2col(), resolved(**row, dtype=dtype))


@pytest.mark.parametrize("tile_bytes", [1, 500, 4000])
@pytest.mark.parametrize("rank", GRID["rank"])
def test_tiles_change_nothing(rank, tile_bytes, monkeypatch):
    monkeypatch.setattr(columns, "TILE_BYTES", tile_bytes)
    monkeypatch.setattr(columns, "LEAST_POSITIONS", 1)
    for groups in (1, 3):
        check(NumpyIm2col(), resolved(rank=rank, batch=3, channels=(3, 6, groups), stride=2, padding=[1, 2], bias=True))


def test_tiles_cover_every_position_once_within_the_limit(monkeypatch):
    monkeypatch.setattr(columns, "TILE_BYTES", 3000)
    monkeypatch.setattr(columns, "LEAST_POSITIONS", 1)
    g = geometry(
        (3, 4, 9, 8, 7),
        (6, 2, 2, 2, 2),
        None,
        stride=1,
        dilation=1,
        padding=0,
        padding_mode="zeros",
        groups=2,
        flip=False,
    )
    seen = np.zeros((2, 1, 3, *g.out), int)
    tiles = list(columns.tiles(g, 4))
    for tile in tiles:
        seen[tile.index] += 1
        assert seen[tile.index].size * g.terms * 4 <= 3000
    assert (seen == 1).all()
    assert len(tiles) < 4 * seen.size * g.terms * 4 / 3000  # and not in crumbs


def test_pointwise_goes_straight_to_the_product(monkeypatch):
    monkeypatch.setattr(tiled, "Columns", None)
    x, w = np.random.default_rng(0).normal(size=(3, 8, 8)), np.random.default_rng(1).normal(size=(5, 3))
    np.testing.assert_allclose(
        conv(x[None], w[:, :, None, None])[0], (w @ x.reshape(3, 64)).reshape(5, 8, 8), rtol=1e-12
    )


# Adjoint


@pytest.mark.parametrize("mode", GRID["padding_mode"])
@pytest.mark.parametrize("flip", [False, True])
def test_adjoint_identity(mode, flip):
    rng = np.random.default_rng(5)
    x, w = rng.integers(-4, 5, (2, 4, 7, 6)).astype(float), rng.integers(-4, 5, (6, 2, 3, 2)).astype(float)
    options = {"stride": [2, 1], "dilation": [1, 2], "padding": [(2, 1), (-1, 3)], "groups": 2}
    options |= {"padding_mode": mode, "flip": flip}
    y = conv(x, w, **options)
    grad = rng.integers(-4, 5, y.shape).astype(float)
    found = conv_gradients(x, w, grad, **options)
    assert np.vdot(y, grad) == np.vdot(x, found.x) == np.vdot(w, found.weight)
    assert np.vdot(y, grad) != 0


# Arithmetic


def test_half_precision_is_summed_in_float32_and_rounded_once():
    x, w, b = (np.array(a, np.float16) for a in ([[[2048, 1]]], [[[1, 1]]], [1]))
    assert conv(x, w, b)[0, 0, 0] == 2050  # 2049 is no float16: rounded before the bias it would be 2048
    assert conv(x, np.float16(63) * w)[0, 0, 0] == np.inf


def test_integers_wrap():
    x = np.full((1, 1, 3), 100, np.int8)
    assert conv(x, x)[0, 0, 0] == np.int64(30000).astype(np.int8)
    big = np.full((1, 1, 2), 2**31 - 1, np.int32)
    assert conv(big, big)[0, 0, 0] == 2


@pytest.mark.parametrize(
    ("bits", "due"),
    [
        (0x3F800000, 0x3F80),  # 1
        (0x3F808000, 0x3F80),  # a tie goes to even: down
        (0x3F818000, 0x3F82),  # and up
        (0x3F808001, 0x3F81),
        (0x3F807FFF, 0x3F80),
        (0x7F7FFFFF, 0x7F80),  # the largest float32 overflows
        (0xFF800000, 0xFF80),  # −inf
        (0x80000000, 0x8000),  # −0
        (0x00018000, 0x0002),  # subnormal
    ],
)
def test_bfloat16_rounds_to_nearest_even(bits, due):
    rounded = to_bfloat16(np.array([bits], np.uint32).view(np.float32))
    assert rounded.view(np.uint32)[0] == due << 16


def test_bfloat16_keeps_every_nan():
    nans = np.array([0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF, 0xFF800001], np.uint32).view(np.float32)
    assert np.isnan(to_bfloat16(nans)).all()


def test_bfloat16_does_not_depend_on_the_order_of_channels():
    case = resolved(channels=(64, 2, 1), dtype="bfloat16", kernel=3)
    x, w, *_ = fill(case)
    order = np.random.default_rng(3).permutation(64)
    run = NumpyIm2col().forward(case)
    np.testing.assert_array_equal(run(x, w), run(x[:, order], w[:, order]))
    assert np.abs(run(x, w)).max() > 256  # beyond 256 bfloat16 rounds integers


# Interface


@pytest.mark.parametrize(
    ("keys", "numbers"),
    [
        ({"stride": 0}, "stride must be at least 1 on every axis, not [0, 0]"),
        ({"dilation": [1, 0]}, "[1, 0]"),
        ({"stride": [1, 1, 1]}, "3 numbers for 2"),
        ({"groups": 0}, "not 0"),
        ({"groups": 3}, "4 input channels do not divide into 3"),
        ({"groups": 2}, "4 channels in each of 2 groups, 8 in all; x has 4"),
        ({"weight": (2, 3, 2, 2)}, "3 channels in each of 1 groups, 3 in all; x has 4"),
        ({"weight": (3, 2, 2, 2), "groups": 2}, "3 output channels do not divide into 2"),
        ({"weight": (2, 4, 7, 2)}, "axis 0: the kernel spans 7, the padded input is 6 (6 + 0 + 0)"),
        ({"weight": (2, 4, 3, 3), "dilation": 3}, "spans 7"),
        ({"weight": (2, 4, 0, 2)}, "kernel must be at least 1 on every axis, not [0, 2]"),
        ({"weight": (2, 4, 2)}, "4 axes, weight (2, 4, 2) has 3"),
        ({"bias": (3,)}, "(2,), one value per output channel, not (3,)"),
        ({"padding": [(1, 1)]}, "1 entries for 2"),
        ({"padding": [(1, 2, 3), 0]}, "(low, high)"),
        ({"padding": -3}, "(6 + -3 + -3)"),
        ({"padding": 6, "padding_mode": "reflect"}, "reflect padding of 6 needs more than 6 positions"),
        ({"padding_mode": "mirror"}, "'mirror'"),
    ],
)
def test_refusals_name_the_numbers(keys, numbers):
    weight, bias = keys.pop("weight", (2, 4, 2, 2)), keys.pop("bias", None)
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the text is compared below
        conv(np.zeros((1, 4, 6, 6)), np.zeros(weight), None if bias is None else np.zeros(bias), **keys)
    assert numbers in str(refusal.value)


def test_refuses_other_dtypes_and_shapes():
    with pytest.raises(TypeError, match="float64, float32"):
        conv(X, K.astype(np.float32))
    with pytest.raises(TypeError, match="complex128 is none of"):
        conv(X.astype(complex), K.astype(complex))
    with pytest.raises(TypeError):
        conv(X, K, stride=1.5)
    with pytest.raises(ValueError, match=r"\(1, 1, 2, 2\), not \(1, 1, 3, 3\)"):
        conv_gradients(X, K, X)


@pytest.mark.parametrize("layout", GRID["layout"])
@pytest.mark.parametrize("memory_format", GRID["memory_format"])
def test_operands_lie_in_memory_as_asked(layout, memory_format):
    case = resolved(channels=(3, 2, 1), layout=layout, memory_format=memory_format)
    last = layout == "channels_last"
    for array, operand in zip(fill(case), case.operands, strict=True):
        native = NumpyIm2col().to_native(array, operand, case)
        np.testing.assert_array_equal(NumpyIm2col().to_numpy(native, operand.role, case), array)
        assert (native.shape == array.shape) is not last
        if memory_format == "sliced":
            assert native.strides[-1] == 2 * native.itemsize
            assert native.base.size > native.size
        elif memory_format == "transposed":
            assert native.strides[0] == native.itemsize
            assert native.T.flags.c_contiguous
        elif memory_format == "channels_last" and not last:
            assert native.strides[1] == native.itemsize
        else:
            assert native.flags.c_contiguous


def test_writes_into_no_operand():
    for padding, kernel in product((0, 1), (1, 2)):
        x, w, b = X.copy(), np.full((1, 1, kernel, kernel), 2.0), np.ones(1)
        grad = conv(x, w, b, padding=padding)
        assert not any(np.shares_memory(grad, a) for a in (x, w, b))
        kept = [a.copy() for a in (x, w, b, grad)]
        conv_gradients(x, w, grad, padding=padding)
        for array, before in zip((x, w, b, grad), kept, strict=True):
            np.testing.assert_array_equal(array, before)


def test_any_number_of_axes():
    x = np.arange(prod((1, 1, 3, 3, 3, 3)), dtype=float).reshape(1, 1, 3, 3, 3, 3)
    assert conv(x, np.ones((1, 1, 3, 3, 3, 3))).item() == x.sum()


def test_the_engine_does_not_import_the_reference():
    code = (
        "import sys, convsuite_backends.numpy_im2col\n"
        "print([m for m in sys.modules if m.startswith(('convsuite.operations', 'convsuite.arithmetic'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_no_array_is_refused():
    with pytest.raises(TypeError, match="operands must be NumPy arrays, not builtins"):
        conv(X.tolist(), K)
    with pytest.raises(TypeError, match="operands must be NumPy arrays, not builtins"):
        conv(X, K.tolist())
