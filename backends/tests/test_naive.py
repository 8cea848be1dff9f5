"""The literal loops: hand-computed numbers, the reference, the adjoint identity, the limit."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from convsuite.case import Level, Origin, Pass
from convsuite.dtypes import round_to
from convsuite.entry import ChannelsEntry, KernelEntry
from convsuite.operands import fill
from convsuite.operations import conv as operation
from convsuite.operations.common import Common
from convsuite_backends.naive import MOST_OUTPUTS, Naive

ALL = ["forward", "grad_input", "grad_weight", "grad_bias"]


def resolved(input, kernel, channels=(1, 1, 1), **keys):  # noqa: A002 - the case file's word
    c_in, c_out, groups = channels
    entry = operation.ConvEntry(
        name="case",
        input=KernelEntry(**({"size": input} if np.ndim(input) == 1 else {"values": input})),
        kernel=KernelEntry(**({"size": kernel} if np.ndim(kernel) == 1 else {"values": kernel})),
        channels=None if np.ndim(input) > 1 else ChannelsEntry(in_=c_in, out=c_out),
        groups=groups,
        **keys,
    )
    return operation.resolve(entry, Common(id="case", origin=Origin(file="", line=1)))


def answers(case, arrays):
    backend, count = Naive(), 3 if case.bias else 2
    native = [backend.to_native(a.copy(), o, case) for a, o in zip(arrays, case.operands, strict=True)]
    results = {Pass.FORWARD: backend.forward(case)(*native[:count])}
    if case.wants_gradient:
        results |= dict(zip(operation.PASSES[1:], backend.backward(case)(native[:count], native[-1]), strict=False))
    return {p: backend.to_numpy(results[p], p.role, case) for p in case.passes}


def check(case):
    assert operation.violations(case) == []
    arrays = fill(case)
    for pass_, got in answers(case, arrays).items():
        due = round_to(operation.reference(case, arrays, pass_).value, case.dtype)
        assert got.dtype == due.dtype
        np.testing.assert_array_equal(got, due, err_msg=f"{pass_} of {case}")


@pytest.mark.parametrize(
    ("x", "kernel", "due"),
    [
        ([[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[0, 1], [2, 3]], [[19, 25], [37, 43]]),
        (
            [[[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]],
            [[[0, 1], [2, 3]], [[1, 2], [3, 4]]],
            [[56, 72], [104, 120]],
        ),
        ([[1, 1, 0, 0, 0, 0, 1, 1]] * 6, [[1, -1]], [[0, 1, 0, 0, 0, -1, 0]] * 6),
    ],
    ids=["corr2d", "two_channels", "edges"],
)
def test_worked_examples(x, kernel, due):
    case = resolved(x, kernel)
    np.testing.assert_array_equal(answers(case, fill(case))[Pass.FORWARD][0, 0], due)


def test_gradients_by_hand():
    case = resolved([[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[0, 1], [2, 3]], passes=ALL, bias=True)
    arrays = [*fill(case)[:3], np.array([[[[1, 2], [3, 4]]]], np.float32)]
    found = answers(case, arrays)
    np.testing.assert_array_equal(found[Pass.GRAD_INPUT][0, 0], [[0, 1, 2], [2, 10, 10], [6, 17, 12]])
    np.testing.assert_array_equal(found[Pass.GRAD_WEIGHT][0, 0], [[27, 37], [57, 67]])
    np.testing.assert_array_equal(found[Pass.GRAD_BIAS], [10])


@pytest.mark.parametrize("sizes", [[6], [5, 4], [4, 3, 4]], ids=["1d", "2d", "3d"])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_geometry_grid(sizes, mode):
    compared = 0
    for kernel, stride, dilation, pads, flip in product(
        [1, 2], [1, 2], [1, 2], [[0, 0], [1, 2], [-1, 2]], [False, True]
    ):
        case = resolved(
            sizes, [kernel] * len(sizes), (2, 4, 2), stride=stride, dilation=dilation, padding=[pads] * len(sizes),
            padding_mode=mode, flip=flip, bias=True, passes=ALL,
        )  # fmt: skip
        if not operation.violations(case):
            check(case)
            compared += 1
    assert compared > 30


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last", "sliced", "transposed"])
def test_dtypes_and_layouts(dtype, layout, memory_format):
    check(resolved(
        [5, 4], [3, 2], (4, 6, 2), batch=2, padding="same", stride=2, bias=True, passes=ALL, dtype=dtype, layout=layout,
        memory_format=memory_format,
    ))  # fmt: skip


@pytest.mark.parametrize("dtype", ["int32", "int8"])
def test_integers(dtype):
    check(resolved([5, 4], [3, 2], (3, 6, 3), padding="full", bias=True, dtype=dtype))


@pytest.mark.parametrize("keys", [{"batch": 0}, {"channels": (0, 2, 1), "bias": True}, {"input": [0, 3], "padding": 1}])
def test_empty(keys):
    check(resolved(**{"input": [3, 3], "kernel": [2, 2], "passes": ALL[:3]} | keys))


def test_adjoint_identity():
    case = resolved(
        [6, 5], [3, 2], (4, 6, 2), stride=2, padding=[[1, 2], [2, 0]], padding_mode="reflect", passes=ALL[:3]
    )
    x, w, grad = fill(case)
    found = answers(case, (x, w, grad))
    inner = np.vdot(found[Pass.FORWARD], grad)
    assert inner == np.vdot(x, found[Pass.GRAD_INPUT]) == np.vdot(w, found[Pass.GRAD_WEIGHT])
    assert inner != 0


def test_half_precision_is_summed_in_float32():
    case = resolved([2], [2], dtype="float16")
    x, w = (np.array(a, np.float16) for a in ([[[35, 1]]], [[[63, 1]]]))
    assert answers(case, (x, w))[Pass.FORWARD] == 2206  # 35 · 63 = 2205 is no float16: rounded, it would be 2204


def test_declines_what_would_take_minutes():
    case = resolved([500, 400], [1, 1])
    assert Naive().support(case).level is Level.NATIVE
    too_many = Naive().support(replace(case, out_channels=2))
    assert too_many.level is Level.UNSUPPORTED
    assert too_many.reason == f"too slow for literal loops ({2 * MOST_OUTPUTS} outputs, at most {MOST_OUTPUTS})"


@pytest.mark.parametrize(
    "keys",
    [
        {"stride": 0},
        {"dilation": 0},
        {"groups": 3},
        {"groups": 0},
        {"kernel": (7, 1)},
        {"kernel": (2, 2, 2)},
        {"input_shape": (1, 2, 4)},
    ],
)
def test_refuses_invalid_arguments(keys):
    case = resolved([4, 4], [2, 2], (2, 2, 1))
    x, w = fill(case)
    keys = {k: (v, v) if k in ("stride", "dilation") else v for k, v in keys.items()}
    if "kernel" in keys:
        w = np.zeros((2, 2, *keys["kernel"]), w.dtype)
    if "input_shape" in keys:
        x = np.zeros(keys["input_shape"], x.dtype)
    broken = replace(case, **keys)
    Naive().support(broken)
    with pytest.raises(ValueError, match=r"must|spans|divide|axes"):
        Naive().forward(broken)(x, w)
