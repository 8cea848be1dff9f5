"""Patches, folds and unshared weights on every backend installed: right, round trips, truly declared."""

from __future__ import annotations

import importlib
import os
from functools import cache

import numpy as np
import pytest

from convsuite.case import Level
from convsuite.operands import fill

pytestmark = pytest.mark.xdist_group("keras")  # Keras can be imported over one framework only in a process
BACKENDS = {
    "numpy_im2col": ("numpy_im2col", "NumpyIm2col"),
    "torch": ("torch", "Torch"),
    "tensorflow": ("tensorflow", "TensorFlow"),
    "jax": ("jax", "Jax"),
    "keras:torch": ("keras", "KerasTorch"),
}
BOTH = ["forward", "grad_input"]
SIZES = {1: [7], 2: [5, 6], 3: [4, 5, 3]}
KEYS = [
    (1, {"stride": 2, "padding": "same_lower"}),
    (2, {"dilation": [1, 2], "padding": "same_upper"}),
    (2, {"padding": [[0, 1], [2, -1]], "layout": "channels_last"}),
    (2, {"stride": [2, 1], "layout": "channels_first", "dtype": "bfloat16", "fill": "normal"}),
    (3, {"padding": 1, "stride": [1, 2, 1]}),
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


def computed(backend, case, *arrays):
    """Return the forward pass of a case for these arrays."""
    native = [backend.to_native(a.copy(), o, case) for a, o in zip(arrays, case.operands, strict=False)]
    return backend.to_numpy(backend.forward(case)(*native), "output", case)


def supported(backend, case):
    if backend.support(case).level is Level.UNSUPPORTED:
        pytest.skip(backend.support(case).reason)
    return case


@pytest.mark.parametrize("order", ["channel_first", "channel_last"])
@pytest.mark.parametrize(("rank", "keys"), KEYS)
@pytest.mark.parametrize(("operation", "size"), [("patches", "input"), ("fold", "output")])
def test_answers(backend, write, wrong, operation, size, rank, keys, order):
    shared = {size: SIZES[rank], "kernel": [3, 2, 2][:rank], "channels": 2, "batch": 2, "order": order, "passes": BOTH}
    assert wrong(backend, supported(backend, write(operation, **shared | keys))) == {}


@pytest.mark.parametrize(("rank", "keys"), KEYS)
def test_local_conv_answers(backend, write, wrong, rank, keys):
    shared = {"input": SIZES[rank], "kernel": [3, 2, 2][:rank], "channels": {"in": 2, "out": 3}, "batch": 2}
    passes = [*BOTH, "grad_weight", "grad_bias"]
    assert wrong(backend, supported(backend, write("local_conv", **shared | keys, bias=True, passes=passes))) == {}


@pytest.mark.parametrize(("rank", "keys"), KEYS[:3] + KEYS[4:])
def test_folded_patches_are_the_input_times_the_windows_over_each_position(backend, write, rank, keys):
    shared = {"kernel": [3, 2, 2][:rank], "channels": 2, **keys}
    unfold = supported(backend, write("patches", input=SIZES[rank], **shared))
    fold = write("fold", output=SIZES[rank], **shared)
    x = fill(unfold)[0]
    times = computed(backend, fold, computed(backend, unfold, np.ones_like(x)))
    assert times.max() > 1
    assert np.array_equal(computed(backend, fold, computed(backend, unfold, x)), x * times)


@pytest.mark.parametrize("order", ["channel_first", "channel_last"])
def test_a_convolution_is_patches_times_weights(backend, write, order):
    x = np.arange(75, dtype=np.float32).reshape(1, 5, 5, 3).transpose(0, 3, 1, 2)
    weight = np.arange(1728, dtype=np.float32).reshape(3, 3, 3, 64)  # (row, column, channel, filter)
    conv = write("conv", input=[5, 5], kernel=3, padding="same", channels={"in": 3, "out": 64})
    unfold = write("patches", input=[5, 5], kernel=3, padding="same", channels=3, order=order)
    columns = computed(backend, unfold, x).reshape(27, 25).T
    rows = (weight if order == "channel_last" else weight.transpose(2, 0, 1, 3)).reshape(27, 64)
    y = computed(backend, conv, x, weight.transpose(3, 2, 0, 1)).reshape(64, 25)
    assert np.abs((columns @ rows).T - y).max() == 0


@pytest.mark.parametrize(
    ("operation", "keys", "levels"),
    [
        ("patches", {"input": [5, 5], "order": "channel_first"}, {"torch": "native", "jax": "native"}),
        ("patches", {"input": [5, 5], "order": "channel_last"}, {"tensorflow": "native", "keras:torch": "native"}),
        ("patches", {"input": [5, 5], "order": "channel_last"}, {"torch": "composed", "jax": "composed"}),
        ("patches", {"input": [5, 5], "order": "channel_first"}, {"tensorflow": "composed", "keras:torch": "composed"}),
        ("patches", {"input": [5, 5], "padding": [[0, 1], 0]}, {"torch": "composed", "jax": "native"}),
        ("patches", {"input": [5, 5, 5], "rank": 3}, {"torch": "composed", "jax": "native"}),
        ("patches", {"input": [5, 5, 5], "rank": 3, "dilation": 2}, {"tensorflow": "unsupported"}),
        ("fold", {"output": [5, 5]}, {"torch": "native", "jax": "composed", "tensorflow": "composed"}),
        ("fold", {"output": [5, 5, 5], "rank": 3}, {"torch": "composed", "keras:torch": "composed"}),
        ("local_conv", {"input": [5, 5]}, {"numpy_im2col": "native", "jax": "native", "torch": "composed"}),
        ("local_conv", {"input": [5, 5], "layout": "channels_last"}, {"jax": "composed", "tensorflow": "composed"}),
    ],
)
def test_declares(write, operation, keys, levels):
    case = write(operation, kernel=2, **keys)
    declared = {name: made(name).support(case) for name in levels}
    assert {name: support.level.value for name, support in declared.items()} == levels
    assert all(support.reason for support in declared.values() if support.level is not Level.NATIVE)


def test_an_infinity_spreads_where_patches_are_a_convolution(write, wrong):
    case = write("patches", rank=1, input={"values": [1, float("inf"), 2]}, kernel=2)
    assert wrong(made("numpy_im2col"), case) == {}
    assert "got nan, 1 was due" in wrong(made("jax"), case)["forward"]
