"""Keras over PyTorch, its lightest backend to import, in this process; over the others only what is declared."""

from __future__ import annotations

import os

import pytest

from convsuite.case import Level, Pass
from convsuite.operands import fill
from convsuite.operations import of
from convsuite_backends.keras import KerasJax, KerasTensorFlow, KerasTorch, KerasTorchLayer

os.environ.update(KerasTorch.environment)  # as the worker does, before Keras is imported
pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'convsuite[torch]'")
keras = pytest.importorskip("keras", reason="Keras is not installed: pip install 'convsuite[keras]'")
if keras.backend.backend() != "torch":
    pytest.skip(f"this process has imported Keras over {keras.backend.backend()}", allow_module_level=True)

pytestmark = pytest.mark.xdist_group("keras")
ALL = ["forward", "grad_input", "grad_weight"]
SIZES = {1: [9], 2: [8, 7], 3: [6, 5, 4]}


@pytest.mark.parametrize("variant", [KerasTorch, KerasTorchLayer])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "keys",
    [
        {"padding": "valid", "stride": 2, "groups": 2},
        {"padding": "same_upper", "dilation": 2, "layout": "channels_first"},
        {"padding": "same_upper", "stride": 3, "dtype": "bfloat16"},
        {"padding": "causal", "dilation": 2, "bias": True, "flip": True, "passes": [*ALL, "grad_bias"]},
        {"padding": 1, "padding_mode": "circular", "dtype": "float64"},
        {"padding": 2, "padding_mode": "reflect", "layout": "channels_first"},
        {"padding": [[2, -1], 1, [-1, 2]], "padding_mode": "replicate"},
    ],
)
def test_answers(write, wrong, variant, rank, keys):
    keys = keys | ({"padding": keys["padding"][:rank]} if isinstance(keys["padding"], list) else {})
    case = write(**{"passes": ALL, "batch": 2, "input": SIZES[rank], "kernel": [3, 2, 2][:rank], "channels": 4} | keys)
    assert wrong(variant(), case) == {}


@pytest.mark.parametrize(
    ("variant", "keys", "level", "words"),
    [
        (KerasTorch, {"padding": "same_upper", "stride": 2}, Level.NATIVE, ""),
        (KerasTorchLayer, {"bias": True}, Level.NATIVE, ""),
        (KerasTorchLayer, {"padding": "causal", "input": [9], "kernel": [3]}, Level.NATIVE, ""),
        (KerasTorch, {"padding": "causal", "input": [9], "kernel": [3]}, Level.COMPOSED, "keras.ops.pad"),
        (KerasTorch, {"bias": True}, Level.COMPOSED, "bias"),
        (KerasTorch, {"padding": 1, "padding_mode": "reflect"}, Level.COMPOSED, "keras.ops.pad(reflect)"),
        (KerasTorch, {"padding": 1, "padding_mode": "replicate"}, Level.COMPOSED, "keras.ops.concatenate"),
        (KerasJax, {"padding": 1, "padding_mode": "replicate"}, Level.COMPOSED, "keras.ops.pad(edge)"),
        (KerasTorch, {"memory_format": "sliced"}, Level.UNSUPPORTED, "memory"),
        (KerasTorch, {"groups": 0, "expect": {"error": "groups"}}, Level.UNSUPPORTED, "from the shapes"),
        (KerasTorch, {"stride": 2, "dilation": 2}, Level.NATIVE, ""),
        (KerasTorchLayer, {"stride": 2, "dilation": 2}, Level.UNSUPPORTED, "refuse"),
        (KerasTorchLayer, {"dtype": "int8"}, Level.UNSUPPORTED, "floating point"),
    ],
)
def test_declares(write, variant, keys, level, words):
    support = variant().support(write(**{"input": [9, 8], "kernel": 3} | keys))
    assert support.level is level
    assert words in support.reason


@pytest.mark.parametrize("keys", [{"stride": 0}, {"dilation": 0}, {"groups": 0}, {"groups": 3, "channels": 4}])
def test_a_layer_itself_refuses(write, keys):
    case, backend = write(**{"input": [9, 8], "kernel": 3, "expect": {"error": "stride"}} | keys), KerasTorchLayer()
    native = [backend.to_native(a, o, case) for a, o in zip(fill(case), case.operands, strict=True)]
    with pytest.raises((ValueError, RuntimeError)):
        backend.forward(case)(*native)


@pytest.mark.parametrize(
    ("operation", "keys"),
    [
        ("conv", {"kernel": [3]}),
        ("conv_transpose", {"kernel": [3]}),
        ("depthwise_conv", {"kernel": [3]}),
        ("max_pool", {"kernel": [3]}),
        ("avg_pool", {"kernel": [3]}),
        ("lp_pool", {"kernel": [3], "dtype": "bfloat16"}),
        ("adaptive_max_pool", {"rank": 1, "output": 2}),
    ],
)
def test_a_layer_is_built_once_a_case(write, operation, keys):
    case, backend = write(operation, input=[9], **keys), KerasTorchLayer()
    native = [backend.to_native(a, o, case) for a, o in zip(fill(case), case.operands, strict=True)]
    backend.forward(case)(*native)
    layer = backend._built[1]
    assert layer is not None
    backend.forward(case)(*native)
    assert backend._built[1] is layer


def test_a_layer_pools_integers(write, wrong):
    assert wrong(KerasTorchLayer(), write("max_pool", input=[9, 8], kernel=2, dtype="int32")) == {}


@pytest.mark.parametrize("mode", ["reflect", "circular"])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("pads", [[[0, 0], [0, 0], [2, 1]], [[0, 0], [1, 2], [0, 0]], [[2, 1], [0, 0], [0, 0]]])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_pads_one_axis(write, wrong, mode, layout, pads, rank):
    keys = {"padding": pads[3 - rank :], "padding_mode": mode, "layout": layout, "passes": ALL}
    assert wrong(KerasTorch(), write(input=SIZES[rank], kernel=[2] * rank, **keys)) == {}


def test_learns_in_float64_and_leaves_floatx_as_it_was(write):
    keys = {"input": [7], "kernel": [3], "fill": "normal", "learning_rate": 0.002, "steps": 4, "dtype": "float64"}
    case, backend = write("learn_kernel", **keys), KerasTorch()
    arrays = fill(case)
    native = [backend.to_native(a, o, case) for a, o in zip(arrays, case.operands, strict=True)]
    rows = backend.to_numpy(backend.forward(case)(*native), "output", case)
    due = of(case).reference(case, arrays, Pass.FORWARD).value
    assert abs(rows[:, 1:] - due[:, 1:]).max() < 1e-14  # the kernels: the loss goes by way of float32 on torch
    assert (keras.config.floatx(), keras.config.dtype_policy().name) == ("float32", "float32")


@pytest.mark.parametrize("variant", [KerasTorch, KerasJax, KerasTensorFlow])
def test_one_window_is_asked_of_the_adaptive_pool(write, variant, monkeypatch):
    case, asked = write("adaptive_max_pool", rank=2, input=4, output=1), []
    monkeypatch.setattr(keras.ops, "adaptive_max_pool", lambda *arguments: asked.append(arguments))
    variant.adaptive_max_pool(object.__new__(variant), case, "x")
    assert asked == [("x", (1, 1), "channels_last")]


def test_the_bias_is_added_afterwards(write):
    case = write(input=[9, 8], kernel=3, bias=True, dtype="bfloat16")
    assert KerasTorch().numerics(case, Pass.FORWARD).intermediate_roundings == 1


def test_each_variant_says_its_keras_backend():
    said = [v.environment["KERAS_BACKEND"] for v in (KerasTensorFlow, KerasJax, KerasTorch)]
    assert said == ["tensorflow", "jax", "torch"]
