"""Max pools of every backend: right answers, and what each declares of a NaN, of ties and of padding."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from convsuite.case import Level, Pass
from convsuite.operands import fill

NAN = float("nan")
INF = float("inf")
BOTH = ["forward", "grad_input"]
ALL = ["forward", "indices", "grad_input"]
SIZES = {1: [9], 2: [9, 10], 3: [5, 6, 5]}
BACKENDS = {
    "numpy": ("convsuite_backends.numpy_im2col", "NumpyIm2col"),
    "torch": ("convsuite_backends.torch", "Torch"),
    "tensorflow": ("convsuite_backends.tensorflow", "TensorFlow"),
    "tensorflow:xla": ("convsuite_backends.tensorflow", "TensorFlowXla"),
    "jax": ("convsuite_backends.jax", "Jax"),
    "keras": ("convsuite_backends.keras", "KerasTorch"),
    "keras:layer": ("convsuite_backends.keras", "KerasTorchLayer"),
}
MEANINGS = {  # nan, and tie in 1 and 2 dimensions and in 3
    "numpy": ("propagate", "first", "first"),
    "torch": ("propagate", "last_nan", "last_nan"),
    "tensorflow": ("ignore", "leading_nan", "all"),
    "tensorflow:xla": ("ignore", "behind_nan", "behind_nan"),
    "jax": ("propagate", "behind_nan_padded", "behind_nan_padded"),
    "keras": ("propagate", "last_nan", "last_nan"),
    "keras:layer": ("propagate", "last_nan", "last_nan"),
}


def made(name):
    if name != "numpy":
        framework = name.partition(":")[0]
        pytest.importorskip(framework, reason=f"{framework} is not installed")
    module, cls = BACKENDS[name]
    return getattr(import_module(module), cls)()


@pytest.fixture(scope="module", params=list(BACKENDS))
def named(request):
    return request.param, made(request.param)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"padding": 1},
        {"padding": 1, "ceil_mode": True},
        {"padding": "same_upper"},
        {"padding": "same_lower"},
        {"padding": [[0, 1]]},
        {"padding": [[-1, 2]]},
        {"stride": 1, "dilation": 2},
        {"dtype": "float16", "fill": "normal"},
        {"dtype": "bfloat16", "fill": "normal", "stride": 1},
        {"dtype": "int8", "passes": ["forward"], "padding": 1},
        {"layout": "channels_last"},
        {"layout": "channels_first"},
    ],
    ids=str,
)
def test_answers(named, write, wrong, rank, keys):
    _, backend = named
    keys = {k: v * rank if isinstance(v, list) and k == "padding" else v for k, v in keys.items()}
    case = write(
        **{"operation": "max_pool", "rank": rank, "passes": BOTH, "batch": 2, "channels": 2, "stride": 2}
        | {"input": SIZES[rank], "kernel": 3}
        | keys
    )
    declared = [backend.support(case)] + ([backend.gradient_support(case)] if case.wants_gradient else [])
    for support in declared:
        if support.level is Level.UNSUPPORTED:
            pytest.skip(support.reason)
    assert wrong(backend, case) == {}


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_each_passes_what_it_means_and_declares_what_it_does_not(named, write, wrong, rank):
    name, backend = named
    nan, tie = MEANINGS[name][0], MEANINGS[name][2 if rank == 3 else 1]
    row = [NAN, 3, 1, 3, NAN, 1, 3, 1, NAN, NAN, 2, NAN, 4, 4, 1]
    shared = {"operation": "max_pool", "input": {"values": [[row]]}, "kernel": [1] * (rank - 1) + [3], "passes": BOTH}
    case = write(**shared, nan=nan, tie=tie)
    assert backend.gradient_support(case).level is Level.NATIVE
    assert wrong(backend, case) == {}
    other = write(**shared, nan="ignore" if nan == "propagate" else "propagate", tie=tie)
    if name != "numpy":  # which has both
        assert f"`nan: {nan}`" in backend.support(other).reason
        assert "forward" in wrong(backend, other), "the policy is declared, and told apart"
    wrong_tie = write(**shared, nan=nan, tie="last_nan" if tie != "last_nan" else "first")
    assert f"`tie: {tie}`" in backend.gradient_support(wrong_tie).reason
    assert "grad_input" in wrong(backend, wrong_tie), "the rule is declared, and told apart"


@pytest.mark.parametrize(
    "keys", [{}, {"padding": 1}, {"padding": "same_upper"}, {"padding": [[2, 1], [-1, 3]]}], ids=str
)
@pytest.mark.parametrize("name", ["numpy", "torch", "tensorflow"])
def test_indices_count_positions_of_the_input(name, write, wrong, keys):
    backend = made(name)
    case = write(
        operation="max_pool", input=[7, 6], channels=3, batch=2, kernel=3, stride=2, passes=["indices"], **keys
    )
    if (support := backend.indices_support(case)).level is Level.UNSUPPORTED:
        pytest.skip(support.reason)
    assert wrong(backend, case) == {}


def test_an_index_of_padding_is_none(write):
    backend = made("torch")
    case = write(operation="max_pool", input={"values": [5, 4]}, rank=1, kernel=2, padding=[[2, 2]], passes=["indices"])
    (x,) = (backend.to_native(a, o, case) for a, o in zip(fill(case), case.operands, strict=True))
    assert backend.to_numpy(backend.max_pool_indices(case, x), "indices", case).tolist() == [[[-1, 0, -1]]]


@pytest.mark.parametrize(
    ("name", "keys", "support", "words"),
    [
        ("torch", {}, Level.NATIVE, ""),
        ("torch", {"padding": 1, "ceil_mode": True}, Level.NATIVE, ""),
        ("torch", {"padding": "same_lower"}, Level.COMPOSED, "F.pad(value=-inf)"),
        ("torch", {"padding": 2}, Level.COMPOSED, "by half a window"),
        ("torch", {"rank": 1, "dtype": "int32"}, Level.COMPOSED, "without the indices it has no int32"),
        ("tensorflow", {"padding": "same_upper"}, Level.NATIVE, ""),
        ("tensorflow", {"padding": [[0, 1], [1, 0]]}, Level.NATIVE, ""),
        ("tensorflow", {"rank": 3, "padding": 1}, Level.COMPOSED, "tf.pad(constant_values=-inf)"),
        ("tensorflow", {"padding": 3}, Level.COMPOSED, "tf.pad"),
        ("tensorflow", {"ceil_mode": True}, Level.COMPOSED, "ceil_mode by padding"),
        ("tensorflow", {"dilation": 2}, Level.UNSUPPORTED, "a stride together with a dilation"),
        ("tensorflow", {"rank": 3, "dtype": "float64"}, Level.UNSUPPORTED, "tf.nn.max_pool3d has no float64"),
        ("tensorflow", {"layout": "channels_first", "dtype": "float64"}, Level.UNSUPPORTED, "oneDNN"),
        ("tensorflow:xla", {"layout": "channels_first", "dtype": "float64"}, Level.NATIVE, ""),
        ("tensorflow:xla", {"padding": [[0, 1], [1, 0]]}, Level.COMPOSED, "tf.pad"),
        ("jax", {"padding": [[0, 1], [1, 0]]}, Level.NATIVE, ""),
        ("jax", {"padding": [[-1, 1], [1, 0]]}, Level.COMPOSED, "a slice before the pool"),
        ("jax", {"ceil_mode": True}, Level.COMPOSED, "ceil_mode by padding"),
        ("jax", {"kernel": 9, "expect": {"error": "kernel"}}, Level.UNSUPPORTED, "an empty array"),
        ("keras", {"padding": "same_upper"}, Level.NATIVE, ""),
        ("keras", {"padding": 1}, Level.COMPOSED, "keras.ops.pad(constant_values=-inf)"),
        ("keras", {"dilation": 2}, Level.UNSUPPORTED, "no dilation"),
    ],
)
def test_support(name, keys, support, words, write):
    case = write(**{"operation": "max_pool", "rank": 2, "input": 6, "kernel": 3, "stride": 2} | keys)
    declared = made(name).support(case)
    assert declared.level is support
    assert words in declared.reason


@pytest.mark.parametrize(
    ("name", "keys", "words"),
    [
        ("torch", {"padding": "same_lower"}, "F.pad(value=-inf) makes padding a value"),
        ("tensorflow", {"padding": 3, "nan": "ignore", "tie": "leading_nan"}, "makes padding a value"),
        ("tensorflow", {"layout": "channels_first", "fill": "integers"}, "channels first on the CPU"),
        ("tensorflow", {"rank": 3, "fill": "impulse"}, "`tie: all`"),
        ("jax", {"dilation": 2, "fill": "integers"}, "window_dilation"),
        ("keras", {"padding": 1}, "makes padding a value"),
    ],
)
def test_gradients_that_are_declared_off(name, keys, words, write):
    keys = {"fill": "special", "tie": "last_nan"} | keys
    case = write(**{"operation": "max_pool", "rank": 2, "input": 6, "kernel": 3, "stride": 2, "passes": BOTH} | keys)
    assert words in made(name).gradient_support(case).reason


def test_rules_differ_only_where_there_is_something_to_differ_on(write):
    backend = made("numpy")
    shared = {"operation": "max_pool", "rank": 1, "kernel": 2, "passes": ALL}
    for keys in ({"input": 4, "tie": "all", "passes": BOTH}, {"input": 4, "tie": "behind_nan_padded", "padding": 1}):
        assert backend.gradient_support(write(**shared | keys)).level is Level.NATIVE
    lowest = {"input": {"values": [-INF, 1]}, "tie": "behind_nan_padded"}
    assert backend.gradient_support(write(**shared, **lowest)).level is Level.NATIVE
    assert backend.gradient_support(write(**shared, **lowest, padding=1)).level is Level.UNSUPPORTED
    assert backend.indices_support(write(**shared, **lowest, padding=1)).level is Level.UNSUPPORTED


def test_16_bit_gradients_declare_how_often_they_are_rounded(write):
    case = write(operation="max_pool", input=6, kernel=3, stride=1, dtype="bfloat16", passes=BOTH)
    numerics = made("torch").numerics(case, Pass.GRAD_INPUT)
    assert (numerics.intermediate, numerics.intermediate_roundings) == ("bfloat16", 8)
    assert made("torch").numerics(case, Pass.FORWARD).intermediate is None


def test_naive_loops_are_the_definition(write, wrong):
    from convsuite_backends.naive import Naive

    case = write(operation="max_pool", input=[7, 6], channels=2, kernel=[3, 2], stride=2, padding=1, ceil_mode=True)
    assert wrong(Naive(), case) == {}
    ignored = write(operation="max_pool", input={"values": [NAN, 1]}, rank=1, kernel=2, nan="ignore")
    assert Naive().support(ignored).level is Level.UNSUPPORTED
    assert np.isnan(Naive().max_pool(ignored, fill(ignored)[0])).all()
