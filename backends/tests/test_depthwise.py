"""Depthwise and separable convolutions of every framework that is installed."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest

from convsuite.case import Level, Pass
from convsuite.operands import fill

DEPTHWISE = ["forward", "grad_input", "grad_weight"]
SEPARABLE = ["forward", "grad_input", "grad_depthwise", "grad_pointwise"]
GEOMETRIES = [
    {"rank": 1, "input": 9, "kernel": 3, "stride": 2, "multiplier": 2},
    {"rank": 1, "input": 9, "kernel": 2, "dilation": 3, "padding": [[2, 1]]},
    {"input": [8, 7], "kernel": [3, 2], "padding": "same", "multiplier": 3},
    {"input": [8, 7], "kernel": [2, 3], "dilation": [2, 1], "padding": 1},
    {"input": [8, 7], "kernel": 3, "stride": 2, "padding": [[1, -1], [0, 2]], "dtype": "float64"},
]


@pytest.fixture(
    params=[
        ("numpy_im2col", "NumpyIm2col"),
        pytest.param(("torch", "Torch"), marks=pytest.mark.xdist_group("torch")),
        pytest.param(("jax", "Jax"), marks=pytest.mark.xdist_group("jax")),
        pytest.param(("tensorflow", "TensorFlow"), marks=pytest.mark.xdist_group("tensorflow")),
        pytest.param(("keras", "KerasTorch"), marks=pytest.mark.xdist_group("torch")),
        pytest.param(("keras", "KerasTorchLayer"), marks=pytest.mark.xdist_group("torch")),
    ],
    ids=lambda param: param[1],
    scope="module",
)
def backend(request):
    package, name = request.param
    if package != "numpy_im2col" and find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install 'convsuite[{package}]'")
    cls = getattr(import_module(f"convsuite_backends.{package}"), name)
    if missing := [module for module in cls.requires if find_spec(module) is None]:
        pytest.skip(f"{missing[0]} is not installed")
    os.environ.update({key: value for key, value in cls.environment.items() if key != "KERAS_BACKEND"})
    return cls()


@pytest.mark.parametrize("keys", GEOMETRIES)
def test_depthwise_answers(backend, write, wrong, keys):
    case = write("depthwise_conv", batch=2, channels=3, bias=True, passes=[*DEPTHWISE, "grad_bias"], **keys)
    assert backend.support(case).level is not Level.UNSUPPORTED
    assert wrong(backend, case) == {}


@pytest.mark.parametrize("keys", GEOMETRIES)
def test_separable_answers(backend, write, wrong, keys):
    channels = {"in": 3, "out": 4}
    case = write("separable_conv", batch=2, channels=channels, bias=True, passes=[*SEPARABLE, "grad_bias"], **keys)
    assert backend.support(case).level is not Level.UNSUPPORTED
    assert wrong(backend, case) == {}


def test_outputs_of_a_channel_stand_together(backend, write):
    """Outputs c·m + j, and the weight's axes go in and out by the same way."""
    weight = [[[1]], [[10]], [[100]], [[1000]]]
    case = write("depthwise_conv", rank=1, multiplier=2, input={"values": [[1, 2], [3, 4]]}, kernel={"values": weight})
    x, w = (backend.to_native(a, o, case) for a, o in zip(fill(case), case.operands, strict=True))
    assert np.array_equal(backend.to_numpy(w, "weight", case), weight)
    y = backend.to_numpy(backend.forward(case)(x, w), "output", case)
    assert y.tolist() == [[[1, 2], [10, 20], [300, 400], [3000, 4000]]]


@pytest.mark.xdist_group("jax")
@pytest.mark.parametrize("operation", ["depthwise_conv", "separable_conv"])
def test_jax_takes_both_layouts(write, wrong, operation):
    pytest.importorskip("jax", reason="JAX is not installed: pip install 'convsuite[jax]'")
    from convsuite_backends.jax import Jax

    passes = DEPTHWISE if operation == "depthwise_conv" else SEPARABLE
    for layout in ("channels_first", "channels_last"):
        case = write(operation, channels=2, multiplier=2, input=[5, 4], kernel=2, layout=layout, passes=passes)
        assert wrong(Jax(), case) == {}


def test_what_is_called(write):
    """TensorFlow and Keras have calls of their own, torch and JAX groups; a separable convolution is two there."""
    levels = {}
    for package, name in (("torch", "Torch"), ("jax", "Jax"), ("tensorflow", "TensorFlow"), ("keras", "KerasTorch")):
        if find_spec(package) is None or find_spec("torch") is None:
            continue
        backend = object.__new__(getattr(import_module(f"convsuite_backends.{package}"), name))
        backend.device, backend._onednn = "cpu", frozenset({"float32"})
        cases = [write(o, input=[8, 7], kernel=3) for o in ("depthwise_conv", "separable_conv")]
        levels[name] = [backend.support(case).level.value for case in cases]
    due = {name: ["native", "composed" if name in ("Torch", "Jax") else "native"] for name in levels}
    assert levels == due


def test_tensorflow_has_two_axes_and_no_integers(write):
    from convsuite_backends.tensorflow import TensorFlow, TensorFlowNoOnednn

    backend = object.__new__(TensorFlow)
    backend.device, backend._onednn = "cpu", frozenset({"float32"})
    for keys, level, words in (
        ({"rank": 1, "input": 9}, Level.COMPOSED, "expand_dims"),
        ({"rank": 3, "input": 9}, Level.UNSUPPORTED, "three axes"),
        ({"input": [9, 8], "dtype": "int32"}, Level.UNSUPPORTED, "int32"),
        ({"input": [9, 8], "stride": [1, 2]}, Level.NATIVE, ""),
        ({"input": [9, 8], "stride": [1, 2], "dtype": "float64"}, Level.UNSUPPORTED, "unequal strides"),
        ({"input": [9, 8], "layout": "channels_first", "dtype": "float64"}, Level.UNSUPPORTED, "channels first"),
        ({"input": [9, 8], "padding": [1, [0, 2]]}, Level.NATIVE, ""),
        ({"input": [9, 8], "padding": [1, [0, 2]], "stride": [1, 2], "passes": DEPTHWISE}, Level.COMPOSED, "tf.pad"),
        ({"input": [9, 8], "padding": [1, [0, -2]]}, Level.COMPOSED, "crop"),
    ):
        support = backend.support(write("depthwise_conv", kernel=3, **keys))
        assert (support.level, words in support.reason) == (level, True), keys
    assert TensorFlowNoOnednn.environment["TF_ENABLE_ONEDNN_OPTS"] == "0"


@pytest.mark.parametrize(("operation", "passes"), [("depthwise_conv", DEPTHWISE), ("separable_conv", SEPARABLE)])
def test_sixteen_bits_between_two_steps_are_declared(write, operation, passes):
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'convsuite[torch]'")
    assert torch.__version__
    from convsuite_backends.torch import Torch

    case = write(operation, input=[8, 7], kernel=3, dtype="bfloat16", passes=passes)
    declared = Torch().numerics(case, Pass.FORWARD)
    assert (declared.intermediate, declared.intermediate_roundings) == (
        ("bfloat16", 1) if operation == "separable_conv" else (None, None)
    )


def test_a_weight_for_other_channels_is_no_multiplier(write):
    """Eight outputs of four channels would be a multiplier of 2, where that is read from the shapes."""
    pytest.importorskip("torch", reason="torch is not installed: pip install 'convsuite[torch]'")
    from convsuite_backends.torch import Torch

    keys = {"input": [6, 6], "channels": 4, "expect": {"error": "channels"}}
    said = Torch().support(write("depthwise_conv", kernel={"size": 3, "channels": 8}, **keys))
    assert (said.level, "would read 2" in said.reason) == (Level.UNSUPPORTED, True)
    assert Torch().support(write("depthwise_conv", kernel={"size": 3, "channels": 5}, **keys)).level is Level.NATIVE
