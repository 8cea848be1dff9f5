"""TensorFlow in this process: its answers to the judge and its declarations."""

from __future__ import annotations

import os

import pytest

from convsuite.case import Level, Pass
from convsuite.errors import DeviceError
from convsuite.operands import fill
from convsuite_backends.tensorflow import TensorFlow, TensorFlowNoOnednn, TensorFlowXla
from convsuite_backends.tensorflow.arrays import dtypes_of_onednn

os.environ.update(TensorFlow.environment)  # as the worker does, before TensorFlow is imported
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install 'convsuite[tensorflow]'")

pytestmark = pytest.mark.xdist_group("tensorflow")
ALL = ["forward", "grad_input", "grad_weight"]
SIZES = {1: [9], 2: [8, 7], 3: [6, 5, 4]}


@pytest.fixture(scope="module")
def backend():
    return TensorFlow()


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "keys",
    [
        {"padding": "valid", "stride": 2},
        {"padding": "same_upper", "stride": 3, "dtype": "float64"},
        {"padding": "same_lower", "stride": 2, "flip": True},
        {"padding": "full", "bias": True, "passes": [*ALL, "grad_bias"]},
        {"padding": 1, "padding_mode": "circular"},
        {"padding": 2, "padding_mode": "reflect", "dtype": "float64"},
        {"padding": 2, "padding_mode": "replicate"},
    ],
)
def test_answers(backend, write, wrong, rank, keys):
    case = write(**{"passes": ALL, "batch": 2, "input": SIZES[rank], "kernel": [3, 2, 2][:rank], "channels": 4} | keys)
    assert wrong(backend, case) == {}


def test_what_only_onednn_has(backend, write, wrong):
    for keys in ({"groups": 2, "dilation": 2}, {"layout": "channels_first", "padding": 1}):
        case = write(batch=2, input=[8, 7], kernel=3, channels=4, passes=ALL, **keys)
        if Level.UNSUPPORTED in (backend.support(case).level, backend.gradient_support(case).level):
            pytest.skip("this machine's TensorFlow has no oneDNN")
        assert wrong(backend, case) == {}


def test_pads_that_differ_and_crop(backend, write, wrong):
    for mode in ("zeros", "reflect", "circular"):
        case = write(input=[8, 7], kernel=3, padding=[[2, -1], [-1, 2]], padding_mode=mode, passes=ALL)
        assert wrong(backend, case) == {}


def test_xla_answers_alike(write, wrong):
    case = write(batch=2, input=[8, 7], kernel=3, channels=4, groups=2, dilation=2, padding=2, passes=ALL)
    assert wrong(TensorFlowXla(), case) == {}


@pytest.mark.parametrize(
    ("keys", "level", "words"),
    [
        ({"padding": "same_upper", "stride": 2}, Level.NATIVE, ""),
        ({"padding": [[0, 1], 2]}, Level.NATIVE, ""),
        ({"padding": [[0, 1], 2], "passes": ALL, "dilation": 2}, Level.COMPOSED, "gradient"),
        ({"padding": [[1, 0]], "input": [9], "kernel": [3]}, Level.COMPOSED, "SAME and VALID only"),
        ({"padding": [1, [-1, 0]]}, Level.COMPOSED, "crop"),
        ({"padding": 1, "padding_mode": "replicate"}, Level.COMPOSED, "tf.concat"),
        ({"bias": True, "flip": True}, Level.COMPOSED, "tf.reverse of the weight; tf.nn.bias_add"),
        ({"memory_format": "sliced"}, Level.UNSUPPORTED, "strides"),
        ({"dtype": "int8"}, Level.UNSUPPORTED, "int8"),
        ({"dtype": "float64", "layout": "channels_first"}, Level.UNSUPPORTED, "oneDNN"),
        ({"groups": 0, "expect": {"error": "groups"}}, Level.UNSUPPORTED, "from the shapes"),
        ({"input": [4, 4, 4], "rank": 2, "expect": {"error": "rank"}}, Level.UNSUPPORTED, "batch axes"),
        ({"operation": "max_pool", "input": [4, 4, 4], "rank": 2, "expect": {"error": "rank"}}, Level.NATIVE, ""),
    ],
)
def test_declares(backend, write, keys, level, words):
    support = backend.support(write(**{"input": [9, 8], "kernel": 3} | keys))
    assert support.level is level
    assert words in support.reason


def test_without_onednn_gradients_lack_groups(write):
    backend, case = TensorFlowNoOnednn(), write(input=[9, 8], kernel=3, channels=4, groups=2, passes=ALL)
    assert backend.support(case).level is Level.NATIVE
    assert backend.gradient_support(case).level is Level.UNSUPPORTED
    assert TensorFlowNoOnednn.environment["TF_ENABLE_ONEDNN_OPTS"] == "0"


@pytest.mark.parametrize(
    ("flags", "dtypes"),
    [
        ({"avx2"}, {"float32"}),
        ({"avx512f", "avx512bw"}, {"float32", "bfloat16"}),
        ({"avx512f", "avx512bw", "avx512_fp16"}, {"float32", "bfloat16", "float16"}),
        ({"avx512f", "avx512bw", "amx_fp16"}, {"float32", "bfloat16", "float16"}),
        ({"avx2", "avx_ne_convert"}, {"float32", "bfloat16", "float16"}),
    ],
)
def test_the_processor_decides_on_16_bits(flags, dtypes):
    assert dtypes_of_onednn(flags) == dtypes


def test_gradients_of_a_transposed_input_are_the_convolution(write):
    backend = TensorFlowNoOnednn()
    for rank, due in ((1, None), (2, None), (3, "bfloat16")):
        case = write("conv_transpose", input=[5, 5, 5][:rank], kernel=[3, 3, 3][:rank], dtype="bfloat16", passes=ALL)
        assert backend.numerics(case, Pass.GRAD_INPUT).intermediate == due


def test_eigen_rounds_on_the_way(write):
    backend, case = TensorFlowNoOnednn(), write(input=[9, 8], kernel=3, dtype="bfloat16", passes=ALL)
    assert backend.numerics(case, Pass.FORWARD).intermediate is None
    assert backend.numerics(case, Pass.GRAD_WEIGHT).intermediate == "bfloat16"


@pytest.mark.parametrize("keys", [{"stride": 0}, {"dilation": 0}, {"groups": 4, "channels": {"in": 4, "out": 6}}])
def test_the_framework_itself_refuses(backend, write, keys):
    case = write(**{"input": [9, 8], "kernel": 3, "expect": {"error": "stride"}} | keys)
    native = [backend.to_native(a, o, case) for a, o in zip(fill(case), case.operands, strict=True)]
    with pytest.raises((tf.errors.OpError, ValueError)):
        backend.forward(case)(*native)


def test_an_operand_that_the_output_ignores_has_no_gradient(backend, write):
    case = write(input=[5], kernel=[3], passes=ALL)
    x, w, grad = (backend.to_native(a, o, case) for a, o in zip(fill(case), case.operands, strict=True))
    assert backend.gradient(lambda x, w: x[:, :3] * 2, case)([x, w], grad)[1] is None


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_an_absent_gpu_is_one_clear_sentence(monkeypatch, device):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(DeviceError, match="finds no GPU"):
        TensorFlow(device)


@pytest.mark.parametrize(("device", "seen"), [("cuda", "a"), ("cuda:0", "a"), ("cuda:1", "b")])
def test_every_gpu_declares_as_a_gpu_and_is_the_only_one_seen(monkeypatch, write, device, seen):
    visible = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a", "b"])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: visible.append(devices))
    gpu = TensorFlow(device)
    assert visible == [[seen]]
    tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    assert gpu.numerics(write(input=[5], kernel=[3]), Pass.FORWARD).tf32 == tf32
    assert gpu.support(write(input=[5], kernel=[3], dtype="int32")).reason.endswith("on GPUs")


def test_a_gpu_beyond_those_there_are(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a"])
    with pytest.raises(DeviceError, match="finds no cuda:1: this machine has cuda:0 alone"):
        TensorFlow("cuda:1")
