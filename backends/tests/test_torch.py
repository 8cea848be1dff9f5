"""PyTorch in this process: its answers to the judge, its declarations, its views."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'convsuite[torch]'")

from convsuite.case import Level, Operand, Pass  # noqa: E402
from convsuite.errors import DeviceError  # noqa: E402
from convsuite.operands import fill  # noqa: E402
from convsuite_backends.torch import Torch, TorchChannelsLast, TorchNoMkldnn  # noqa: E402

pytestmark = pytest.mark.xdist_group("torch")
ALL = ["forward", "grad_input", "grad_weight"]
SIZES = {1: [9], 2: [8, 7], 3: [6, 5, 4]}


@pytest.fixture(scope="module")
def backend():
    return Torch()


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "keys",
    [
        {"padding": "valid", "stride": 2, "groups": 2},
        {"padding": "same_upper", "dilation": 2},
        {"padding": "same_lower", "stride": 3, "flip": True},
        {"padding": "causal", "dtype": "bfloat16"},
        {"padding": "full", "dtype": "float16"},
        {"padding": 1, "padding_mode": "circular", "dtype": "float64"},
        {"padding": "same_upper", "padding_mode": "reflect", "bias": True, "passes": [*ALL, "grad_bias"]},
        {"padding": 2, "padding_mode": "replicate", "dtype": "bfloat16", "fill": "normal"},
        {"padding": 1, "memory_format": "channels_last"},
        {"padding": 1, "memory_format": {"input": "sliced", "weight": "transposed", "grad_output": "sliced"}},
        {"padding": 1, "dtype": "int8", "passes": ["forward"]},
    ],
)
def test_answers(backend, write, wrong, rank, keys):
    case = write(**{"passes": ALL, "batch": 2, "input": SIZES[rank], "kernel": [3, 2, 2][:rank], "channels": 4} | keys)
    assert wrong(backend, case) == {}


def test_pads_that_differ_and_crop(backend, write, wrong):
    for mode in ("zeros", "reflect", "circular"):
        case = write(input=[8, 7], kernel=3, padding=[[2, -1], [-1, 2]], padding_mode=mode, passes=ALL)
        assert wrong(backend, case) == {}


def test_variants_answer_alike(write, wrong):
    try:
        for variant in (TorchChannelsLast(), TorchNoMkldnn()):
            for dtype in ("float32", "bfloat16"):
                case = write(batch=3, input=[8, 7], kernel=3, channels=4, padding=1, dtype=dtype, passes=ALL)
                assert wrong(variant, case) == {}
    finally:
        torch.backends.mkldnn.enabled = True


@pytest.mark.parametrize(
    ("keys", "level", "words"),
    [
        ({"padding": "same_upper"}, Level.NATIVE, ""),
        ({"padding": 2, "stride": 2}, Level.NATIVE, ""),
        ({"padding": "same_upper", "stride": 2, "kernel": 2}, Level.COMPOSED, "F.pad"),
        ({"padding": [1, [-1, 0]]}, Level.COMPOSED, "F.pad"),
        ({"padding": 1, "padding_mode": "reflect"}, Level.COMPOSED, "nn.Conv2d(padding_mode) calls F.pad as well"),
        ({"flip": True}, Level.COMPOSED, "torch.flip"),
        ({"layout": "channels_last"}, Level.UNSUPPORTED, "memory format"),
        ({"dtype": "int32", "dilation": 2}, Level.UNSUPPORTED, "int32"),
    ],
)
def test_declares(backend, write, keys, level, words):
    support = backend.support(write(**{"input": [9, 8], "kernel": 3} | keys))
    assert support.level is level
    assert words in support.reason


@pytest.mark.parametrize(
    "keys",
    [
        {"stride": 0},
        {"dilation": 0},
        {"groups": 0},
        {"groups": 3, "channels": 4},
        {"padding": "same_upper", "stride": 0},
    ],
)
def test_the_framework_itself_refuses(backend, write, keys):
    case = write(**{"input": [9, 8], "kernel": 3, "expect": {"error": "stride"}} | keys)
    native = [backend.to_native(a, o, case) for a, o in zip(fill(case), case.operands, strict=True)]
    with pytest.raises(RuntimeError):
        backend.forward(case)(*native)


@pytest.mark.parametrize("shape", [(2, 3, 6), (2, 3, 6, 5), (2, 1, 6, 5), (2, 3, 6, 5, 4)])
@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last", "sliced", "transposed"])
def test_memory_formats_change_strides_only(backend, write, shape, memory_format):
    import numpy as np

    case = write(input=[4], kernel=[1])
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    tensor = backend.to_native(array, Operand(role="input", shape=shape, memory_format=memory_format), case)
    np.testing.assert_array_equal(tensor.numpy(), array)
    dense = memory_format == "contiguous" or (memory_format == "channels_last" and shape[1] == 1)
    assert tensor.is_contiguous() is dense


def test_only_the_native_kernels_round_on_the_way(write):
    case = write(batch=3, input=[8, 7], kernel=3, dtype="bfloat16", passes=ALL)
    try:
        backend = TorchNoMkldnn()
        assert backend.numerics(case, Pass.FORWARD).intermediate is None
        assert backend.numerics(case, Pass.GRAD_WEIGHT).intermediate_roundings == 3
        assert backend.numerics(case, Pass.GRAD_INPUT).intermediate_roundings == 18
    finally:
        torch.backends.mkldnn.enabled = True


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_an_absent_gpu_is_one_clear_sentence(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="finds no GPU"):
        Torch(device)


@pytest.mark.parametrize("device", ["cuda:2", "cuda:x", "cuda:-1"])
def test_a_gpu_beyond_those_there_are(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(DeviceError, match=f"finds no {device}: this machine has cuda:0 to cuda:1"):
        Torch(device)


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_every_gpu_declares_as_a_gpu(monkeypatch, write, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    gpu = Torch(device)
    assert gpu.numerics(write(input=[5], kernel=[3]), Pass.FORWARD).tf32
    assert "on GPUs" in gpu.support(write(input=[5], kernel=[3], dtype="int32")).reason
    assert "cudnn" in gpu.versions()


def test_an_operand_that_the_output_ignores_is_an_error(backend, write):
    case = write(input=[5], kernel=[3], passes=ALL)
    x, w, grad = (backend.to_native(a, o, case) for a, o in zip(fill(case), case.operands, strict=True))
    with pytest.raises(RuntimeError, match="not have been used"):
        backend.gradient(lambda x, w: x[..., :3] * 2, case)([x, w], grad)
