"""Adaptive and global pools of every framework that is installed."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec

import pytest

from convsuite.case import Level

VARIANTS = [
    ("numpy_im2col", "NumpyIm2col", ""),
    ("torch", "Torch", "torch"),
    ("jax", "Jax", "jax"),
    ("tensorflow", "TensorFlow", "tensorflow"),
    ("keras", "KerasTorch", "torch"),
    ("keras", "KerasTorchLayer", "torch"),
]
ALL = ("NumpyIm2col", "Torch", "KerasTorch", "KerasTorchLayer")  # that have windows which overlap


@pytest.fixture(
    params=[pytest.param(v, marks=[pytest.mark.xdist_group(v[2])] if v[2] else []) for v in VARIANTS],
    ids=lambda param: param[1],
    scope="module",
)
def backend(request):
    package, name, below = request.param
    if missing := [m for m in (package, below) if m not in ("", "numpy_im2col") and find_spec(m) is None]:
        pytest.skip(f"{missing[0]} is not installed: pip install 'convsuite[{missing[0]}]'")
    cls = getattr(import_module(f"convsuite_backends.{package}"), name)
    os.environ.update({key: value for key, value in cls.environment.items() if key != "KERAS_BACKEND"})
    return cls()


@pytest.mark.parametrize("operation", ["adaptive_avg_pool", "adaptive_max_pool"])
@pytest.mark.parametrize(
    "keys",
    [
        {"rank": 1, "output": 1},
        {"rank": 2, "output": 1, "fill": "normal"},
        {"rank": 3, "output": 1, "input": 4},
        {"rank": 1, "output": 4},
        {"rank": 2, "output": [2, 4], "dtype": "float64"},
    ],
)
def test_answers(backend, write, wrong, operation, keys):
    case = write(operation, **({"batch": 2, "channels": 3, "input": 8, "passes": ["forward", "grad_input"]} | keys))
    support = backend.support(case)
    reduces = type(backend).__name__ not in ALL and keys["output"] != 1
    assert support.level is (Level.COMPOSED if reduces else Level.NATIVE)
    assert wrong(backend, case) == {}


@pytest.mark.parametrize("operation", ["adaptive_avg_pool", "adaptive_max_pool"])
@pytest.mark.parametrize(
    "keys", [{"rank": 1, "output": 3}, {"rank": 2, "output": [5, 9]}, {"rank": 3, "output": [2, 3, 1]}]
)
def test_windows_that_overlap(backend, write, wrong, operation, keys):
    case = write(operation, batch=2, channels=3, input=7, passes=["forward", "grad_input"], **keys)
    if type(backend).__name__ not in ALL:
        assert "no adaptive pool" in backend.support(case).reason
        return
    assert wrong(backend, case) == {}


def test_indices_are_where_the_gradient_goes(backend, write, wrong):
    if not hasattr(backend, "adaptive_max_pool_indices"):
        pytest.skip("gives no indices")
    passes = ["forward", "indices", "grad_input"]
    for output in (1, 3, 8):
        case = write("adaptive_max_pool", rank=2, channels=2, input=[5, 6], output=output, passes=passes)
        assert wrong(backend, case) == {}


def test_a_reduction_has_no_place_for_one_of_equal_maxima(write):
    pytest.importorskip("jax", reason="JAX is not installed: pip install 'convsuite[jax]'")
    from convsuite_backends.jax import Jax

    keys = {"rank": 1, "output": 1, "passes": ["forward", "grad_input"]}
    tied = write("adaptive_max_pool", input={"values": [5, 5, 1]}, **keys)
    apart = write("adaptive_max_pool", input={"values": [4, 5, 1]}, **keys)
    levels = [Jax().gradient_support(case).level for case in (tied, apart)]
    assert levels == [Level.UNSUPPORTED, Level.NATIVE]


def test_torch_divides_axis_after_axis(write):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'convsuite[torch]'")
    from convsuite.case import Pass
    from convsuite_backends.torch import Torch

    declared = [
        Torch().numerics(write("adaptive_avg_pool", rank=3, input=6, output=o, dtype=d), Pass.FORWARD)
        for o, d in ((2, "float32"), (2, "bfloat16"), (1, "bfloat16"))
    ]
    assert [d.intermediate_roundings for d in declared] == [2, 29, None]
