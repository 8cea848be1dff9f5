"""Transposed convolution on every backend installed: right, the adjoint of its own convolution, truly declared."""

from __future__ import annotations

import importlib
import os
from functools import cache
from itertools import product

import numpy as np
import pytest

from convsuite.case import Level, Operand
from convsuite.operands import fill
from convsuite.operations.conv_transpose import mirror

pytestmark = pytest.mark.xdist_group("keras")  # Keras can be imported over one framework only in a process
ALL = ["forward", "grad_input", "grad_weight", "grad_bias"]
BACKENDS = {
    "numpy_im2col": ("numpy_im2col", "NumpyIm2col"),
    "torch": ("torch", "Torch"),
    "tensorflow": ("tensorflow", "TensorFlow"),
    "jax": ("jax", "Jax"),
    "keras:torch": ("keras", "KerasTorch"),
    "keras:torch_layer": ("keras", "KerasTorchLayer"),
}
KEYS = [
    {"stride": 2, "padding": 1, "output_padding": 1},
    {"padding": "same_upper", "stride": 3},
    {"padding": "same_lower", "stride": 2, "flip": True},
    {"padding": "same_upper", "dilation": 2, "layout": "channels_first"},
    {"padding": [[0, 1], [2, 0]], "stride": 2, "groups": 2},
    {"padding": [[-1, 0], [0, -2]], "groups": 4, "layout": "channels_last"},
    {"padding": 1, "dtype": "float64"},
    {"stride": 2, "dtype": "bfloat16"},
    {"stride": [1, 3], "dilation": [2, 1], "output_padding": [1, 2]},
]


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    """Each backend, where its framework is installed."""
    return made(request.param)


@cache
def made(backend):
    module, name = BACKENDS[backend]
    cls = getattr(importlib.import_module(f"convsuite_backends.{module}"), name)
    os.environ.update(cls.environment)
    for required in cls.requires:
        pytest.importorskip(required)
    if module == "keras" and importlib.import_module("keras").backend.backend() != "torch":
        pytest.skip("this process has imported Keras over another framework")
    return cls()


def written(write, keys):
    shared = {"passes": ALL, "bias": True, "batch": 2, "input": [3, 4], "kernel": [3, 2], "channels": 4}
    return write("conv_transpose", **shared | keys)


@pytest.mark.parametrize("keys", KEYS, ids=str)
def test_answers(write, wrong, backend, keys):
    case = written(write, keys)
    support = backend.support(case)
    if support.level is Level.UNSUPPORTED:
        assert support.reason
        pytest.skip(support.reason)
    assert wrong(backend, case) == {}


@pytest.mark.parametrize("keys", KEYS, ids=str)
def test_is_the_adjoint_of_the_same_backends_convolution(write, backend, keys):
    """⟨conv(y), x⟩ = ⟨y, conv_transpose(x)⟩, exactly: integers."""
    case = written(write, keys | {"bias": False, "passes": ["forward", "grad_input"], "dtype": "float32"})
    there = mirror(case)
    if Level.UNSUPPORTED in (backend.support(case).level, backend.support(there).level):
        pytest.skip("not both are supported")
    x, w, y = fill(case)
    back = _run(backend, case, (x, w), case.operands)
    forth = _run(backend, there, (y, w), (Operand(role="input", shape=y.shape), case.operands[1]))
    assert back.shape == y.shape
    assert forth.shape == x.shape
    assert np.vdot(back.astype(float), y.astype(float)) == np.vdot(forth.astype(float), x.astype(float))


def _run(backend, case, arrays, operands):
    native = [backend.to_native(a, o, case) for a, o in zip(arrays, operands, strict=False)]
    return backend.to_numpy(backend.forward(case)(*native), "output", case)


def test_a_wrong_answer_is_seen(write, wrong, backend, monkeypatch):
    case = written(write, {"stride": 2, "passes": ["forward"]})
    right = type(backend).conv_transpose
    monkeypatch.setattr(type(backend), "conv_transpose", lambda self, c, x, w, b: right(self, c, x, -w, b))
    assert "forward" in wrong(backend, case)


def test_jax_words_are_what_jax_computes():
    """Every kernel and stride: what `SAME` and `VALID` crop there, measured by where each input is put."""
    jax = pytest.importorskip("jax")
    from convsuite.operations.window import same_pads
    from convsuite_backends.jax.conv_transpose import crops

    for kernel, stride, word in product(range(1, 6), range(1, 5), ("SAME", "VALID")):
        low, high = crops(word, kernel, stride)
        full = np.zeros((2 * stride + kernel + 8, 1))  # of three inputs, between margins of 4
        for p, t in product(range(3), range(kernel)):
            full[4 + p * stride + t] += (p + 1) * (t + 1)
        x, w = np.arange(1.0, 4).reshape(1, 3, 1), np.arange(1.0, kernel + 1).reshape(kernel, 1, 1)
        got = jax.lax.conv_transpose(x, w, (stride,), word, transpose_kernel=True)[0]
        np.testing.assert_array_equal(got, full[4 + low : len(full) - 4 - high])
        if word == "SAME" and kernel >= stride:
            assert (low, high) == same_pads(3 * stride, kernel, stride)


@pytest.mark.parametrize(
    ("name", "keys", "level", "words"),
    [
        ("torch", {"stride": 2, "padding": 1, "output_padding": 1}, Level.NATIVE, ""),
        (
            "torch",
            {"padding": "same_lower", "stride": 2, "kernel": 3},
            Level.NATIVE,
            "",
        ),  # as padding and output_padding 1
        ("torch", {"padding": "same_upper", "stride": 2, "kernel": 3}, Level.COMPOSED, "cropped"),
        ("torch", {"padding": -1}, Level.COMPOSED, "padded with zeros"),
        ("torch", {"flip": True}, Level.COMPOSED, "torch.flip"),
        ("torch", {"dtype": "int32"}, Level.UNSUPPORTED, "int32"),
        ("jax", {"padding": [[0, 1], [2, 0]], "stride": 2, "output_padding": 1}, Level.NATIVE, ""),
        ("jax", {"flip": True}, Level.NATIVE, ""),
        ("jax", {"groups": 2, "channels": 4}, Level.COMPOSED, "no groups"),
        ("tensorflow", {"padding": "same", "stride": 2}, Level.NATIVE, ""),
        ("tensorflow", {"stride": 2, "output_padding": 1}, Level.NATIVE, ""),
        ("tensorflow", {"padding": 1}, Level.NATIVE, ""),
        ("tensorflow", {"padding": [1], "input": [4], "kernel": [4]}, Level.COMPOSED, "cropped"),
        ("tensorflow", {"dtype": "int8"}, Level.UNSUPPORTED, "int8"),
        ("keras:torch", {"padding": "same", "stride": 2}, Level.NATIVE, ""),
        ("keras:torch", {"padding": 1, "kernel": 3}, Level.NATIVE, ""),  # what same means for a stride of 1
        ("keras:torch", {"padding": [[0, 1], 0]}, Level.COMPOSED, "cropped"),
        ("keras:torch", {"groups": 2, "channels": 4}, Level.COMPOSED, "split"),
        ("keras:torch_layer", {"bias": True, "stride": 2, "output_padding": 1}, Level.NATIVE, ""),
        ("keras:torch_layer", {"groups": 2, "channels": 4}, Level.UNSUPPORTED, "groups"),
        ("keras:torch_layer", {"stride": 2, "dilation": 2}, Level.UNSUPPORTED, "refuse"),
    ],
)
def test_declares(write, name, keys, level, words):
    support = made(name).support(write("conv_transpose", **{"input": [4, 5], "kernel": [3, 2]} | keys))
    assert (support.level, words in support.reason) == (level, True), support.reason
