"""Power-average pools of every backend: right answers, and what each says of its composition."""

from __future__ import annotations

from importlib import import_module

import pytest

from convsuite.case import Level

PASSES = ["forward", "grad_input"]
BACKENDS = {
    "numpy": ("convsuite_backends.numpy_im2col", "NumpyIm2col"),
    "torch": ("convsuite_backends.torch", "Torch"),
    "tensorflow": ("convsuite_backends.tensorflow", "TensorFlow"),
    "jax": ("convsuite_backends.jax", "Jax"),
    "keras": ("convsuite_backends.keras", "KerasTorch"),
    "keras_layer": ("convsuite_backends.keras", "KerasTorchLayer"),
}


@pytest.fixture(scope="module", params=list(BACKENDS))
def backend(request):
    if request.param != "numpy":
        pytest.importorskip(request.param.partition("_")[0], reason=f"{request.param} is not installed")
    module, name = BACKENDS[request.param]
    return getattr(import_module(module), name)()


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"power": 1},
        {"power": 1, "absolute": False},
        {"power": 3, "padding": 1},
        {"power": 1.5, "dtype": "float64", "fill": "normal"},
        {"power": 0.5, "fill": "normal"},
        {"dtype": "bfloat16", "fill": "normal"},
        {"dtype": "float16"},
    ],
    ids=str,
)
def test_answers(backend, write, wrong, rank, keys):
    case = write(
        **{"operation": "lp_pool", "rank": rank, "passes": PASSES, "batch": 2, "channels": 2, "kernel": 2}
        | {"input": [5, 4, 4][:rank], "stride": 1}
        | keys
    )
    if backend.support(case).level is Level.UNSUPPORTED:
        pytest.skip(backend.support(case).reason)
    assert wrong(backend, case) == {}


def test_zeros_pass_no_gradient(backend, write, wrong):
    case = write(operation="lp_pool", rank=1, passes=PASSES, kernel=2, input={"values": [0, 0, 3, 4]})
    assert wrong(backend, case) == {}


@pytest.mark.parametrize(
    ("name", "keys", "level", "words"),
    [
        ("torch", {}, Level.NATIVE, ""),
        ("torch", {"power": 1, "absolute": False}, Level.NATIVE, ""),
        ("torch", {"power": 3}, Level.COMPOSED, "abs"),
        ("torch", {"padding": 1}, Level.COMPOSED, "F.pad"),
        ("torch", {"dilation": 2}, Level.UNSUPPORTED, "no dilation"),
        ("tensorflow", {}, Level.COMPOSED, "tf.nn.avg_pool"),
        ("tensorflow", {"dtype": "float16"}, Level.COMPOSED, "in float32"),
        ("jax", {}, Level.COMPOSED, "reduce_window"),
        ("keras", {}, Level.COMPOSED, "keras.ops.average_pool"),
    ],
)
def test_declares(write, name, keys, level, words):
    pytest.importorskip(name, reason=f"{name} is not installed")
    module, cls = BACKENDS[name]
    case = write(**{"operation": "lp_pool", "rank": 2, "input": 9, "kernel": 3} | keys)
    support = getattr(import_module(module), cls)().support(case)
    assert support.level is level
    assert words in support.reason
