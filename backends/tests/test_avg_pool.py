"""Average pools of every backend: right answers, and what each declares of divisors that are not its own."""

from __future__ import annotations

from importlib import import_module

import pytest

from convsuite.case import Level

PASSES = ["forward", "grad_input"]
SIZES = {1: [9], 2: [9, 10], 3: [5, 6, 5]}
BACKENDS = {
    "numpy": ("convsuite_backends.numpy_im2col", "NumpyIm2col"),
    "torch": ("convsuite_backends.torch", "Torch"),
    "tensorflow": ("convsuite_backends.tensorflow", "TensorFlow"),
    "jax": ("convsuite_backends.jax", "Jax"),
    "keras": ("convsuite_backends.keras", "KerasTorch"),
    "keras_layer": ("convsuite_backends.keras", "KerasTorchLayer"),
}
HANGS = {"padding": 1, "ceil_mode": True}
SAME = {"padding": "same_upper", "count_include_pad": False}


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
        {"padding": 1},
        {"padding": 1, "count_include_pad": False},
        HANGS,
        {**HANGS, "count_include_pad": False},
        {**HANGS, "divisor": 5},
        {"padding": [[0, 1]], "divisor": -2},
        SAME,
        {"padding": [[-1, 2]]},
        {"stride": 1, "dilation": 2, "fill": "normal"},
        {"dtype": "float16", "fill": "normal"},
        {"dtype": "bfloat16", "padding": 1, "fill": "normal"},
        {"dtype": "float64", "fill": "normal"},
    ],
    ids=str,
)
def test_answers(backend, write, wrong, rank, keys):
    keys = {k: v * rank if isinstance(v, list) else v for k, v in keys.items()}
    case = write(
        **{"operation": "avg_pool", "rank": rank, "passes": PASSES, "batch": 2, "channels": 2, "stride": 2}
        | {"input": SIZES[rank], "kernel": 3}
        | keys
    )
    if backend.support(case).level is Level.UNSUPPORTED or repeats_the_edge(backend, case):
        pytest.skip(backend.support(case).reason or "a known failure")
    assert wrong(backend, case) == {}


def repeats_the_edge(backend, case):
    """True of Keras on torch where `same` is uneven: a known failure."""
    return (
        getattr(backend, "name", "") == "torch" and case.padding.kinds[0] == "same_upper" and not case.padding.symmetric
    )


@pytest.mark.parametrize(
    ("name", "keys", "level", "words"),
    [
        ("torch", HANGS, Level.NATIVE, ""),
        ("torch", {"divisor": 3}, Level.NATIVE, ""),
        ("torch", {"divisor": 3, "rank": 1}, Level.COMPOSED, "F.avg_pool2d of one row"),
        ("torch", {"padding": [[0, 1], [1, 0]]}, Level.COMPOSED, "F.pad"),
        ("torch", {"padding": [[0, 1], [1, 0]], "count_include_pad": False}, Level.UNSUPPORTED, "count the zeros"),
        ("torch", {"dilation": 2}, Level.UNSUPPORTED, "no dilation"),
        ("tensorflow", SAME, Level.NATIVE, ""),
        ("tensorflow", {**SAME, "count_include_pad": True}, Level.COMPOSED, "tf.pad"),
        ("tensorflow", {"padding": 1, "count_include_pad": False}, Level.UNSUPPORTED, "counts the zeros"),
        ("tensorflow", {"divisor": 3}, Level.UNSUPPORTED, "no divisor"),
        ("tensorflow", {**HANGS, "input": [10, 10]}, Level.UNSUPPORTED, "no ceil_mode"),
        ("tensorflow", {"divisor": 9}, Level.NATIVE, ""),
        ("jax", SAME, Level.COMPOSED, "reduce_window"),
        ("keras", SAME, Level.NATIVE, ""),
        ("keras", {"padding": 1, "count_include_pad": False}, Level.UNSUPPORTED, "counts the zeros"),
    ],
)
def test_declares(write, name, keys, level, words):
    pytest.importorskip(name, reason=f"{name} is not installed")
    module, cls = BACKENDS[name]
    case = write(**{"operation": "avg_pool", "rank": 2, "input": 9, "kernel": 3, "stride": 2} | keys)
    support = getattr(import_module(module), cls)().support(case)
    assert support.level is level
    assert words in support.reason


def test_literal_loops_agree(write):
    import numpy as np

    from convsuite.operands import fill
    from convsuite_backends.naive import Naive
    from convsuite_backends.numpy_im2col import NumpyIm2col

    for keys in ({}, {"count_include_pad": False}, {"divisor": 4}):
        case = write(operation="avg_pool", input=[10, 9], kernel=[3, 2], stride=2, dilation=[2, 1], **HANGS, **keys)
        x = fill(case)[0]
        np.testing.assert_allclose(Naive().avg_pool(case, x), NumpyIm2col().avg_pool(case, x), rtol=1e-6)
