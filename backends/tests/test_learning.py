"""Learning a kernel and receptive fields: what is made of a backend's convolution and its gradients."""

from __future__ import annotations

import pytest

from convsuite.case import Level
from convsuite_backends.numpy_im2col import NumpyIm2col
from convsuite_backends.torch import Torch, TorchCompile

STACK = [{"kernel": 3, "stride": 2, "padding": "same_lower"}, {"kernel": 2, "dilation": 2, "padding": [[1, 0], [0, 2]]}]
IMAGE = [[1, 1, 0, 0, 0, 0, 1, 1]] * 6
EDGES = [[0, 1, 0, 0, 0, -1, 0]] * 6


@pytest.fixture(params=["numpy_im2col", "torch"], scope="module")
def backend(request):
    if request.param == "torch":
        pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'convsuite[torch]'")
    return {"numpy_im2col": NumpyIm2col, "torch": Torch}[request.param]()


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("at", [0, None])
def test_a_stack_counts_its_paths(backend, write, wrong, dtype, at):
    assert wrong(backend, write("receptive_field", input=[9, 8], layers=STACK, dtype=dtype, at=at)) == {}


def test_a_layer_that_is_forgotten_is_found(backend, write, wrong, monkeypatch):
    case = write("receptive_field", input=[9, 9], layers=[{"kernel": 3, "padding": 1}] * 2)
    monkeypatch.setattr(type(backend), "receptive_field", lambda self, c, x: x)
    assert "forward" in wrong(backend, case)


def test_the_edge_detector_is_learned(backend, write, wrong):
    keys = {"input": {"values": IMAGE}, "target": {"values": EDGES}, "kernel": {"values": [[0.25, -0.5]]}}
    assert wrong(backend, write("learn_kernel", **keys, learning_rate=0.03, steps=20)) == {}


@pytest.mark.parametrize("keys", [{"input": [7], "kernel": [3]}, {"input": [4, 4, 4], "kernel": [2, 1, 3], "batch": 2}])
def test_kernels_of_other_ranks_are_learned(backend, write, wrong, keys):
    assert wrong(backend, write("learn_kernel", **keys, fill="normal", learning_rate=0.002, steps=4)) == {}


def test_another_learning_rate_is_found(backend, write, wrong, monkeypatch):
    case = write("learn_kernel", input=[5, 5], kernel=[2, 2], fill="normal", learning_rate=0.002)
    other = write("learn_kernel", input=[5, 5], kernel=[2, 2], fill="normal", learning_rate=0.00200001)
    learn = type(backend).learn_kernel
    monkeypatch.setattr(type(backend), "learn_kernel", lambda self, c, *operands: learn(self, other, *operands))
    assert "forward" in wrong(backend, case)


def test_layers_declare_what_they_take(write):
    pytest.importorskip("torch")
    stack = write("receptive_field", input=[9, 8], layers=STACK)
    support = Torch().support(stack)
    assert support.level is Level.COMPOSED
    assert support.reason.startswith("layer 0: F.pad before")


def test_a_training_loop_is_no_graph(write):
    pytest.importorskip("torch")
    case = write("learn_kernel", input=[5, 5], kernel=[2, 2])
    assert TorchCompile().support(case).level is Level.UNSUPPORTED
