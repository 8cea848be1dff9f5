"""Keras over PyTorch, its lightest backend to import, in this process; over the others only what is declared."""

from __future__ import annotations

import os

import pytest

from convsuite.case import Level, Pass
from convsuite.operands import fill
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
        (KerasTorch, {"padding": 1, "padding_mode": "reflect"}, Level.COMPOSED, "reflect"),
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


def test_a_layer_is_built_once_a_case(write):
    case, backend = write(input=[9], kernel=[3]), KerasTorchLayer()
    native = [backend.to_native(a, o, case) for a, o in zip(fill(case), case.operands, strict=True)]
    backend.conv(case, *native)
    layer = backend._built[1]
    backend.conv(case, *native)
    assert backend._built[1] is layer


def test_the_bias_is_added_afterwards(write):
    case = write(input=[9, 8], kernel=3, bias=True, dtype="bfloat16")
    assert KerasTorch().numerics(case, Pass.FORWARD).intermediate_roundings == 1


def test_each_variant_says_its_keras_backend():
    said = [v.environment["KERAS_BACKEND"] for v in (KerasTensorFlow, KerasJax, KerasTorch)]
    assert said == ["tensorflow", "jax", "torch"]
