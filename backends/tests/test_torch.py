"""PyTorch in this process: its answers to the judge, its declarations, its views."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'convsuite[torch]'")

from convsuite.case import Level, Operand, Pass  # noqa: E402
from convsuite.errors import DeviceError  # noqa: E402
from convsuite.operands import fill  # noqa: E402
from convsuite_backends.torch import Torch, TorchChannelsLast, TorchNoMkldnn, TorchNoTf32  # noqa: E402

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


@pytest.fixture
def gpu(monkeypatch):
    """A GPU to declare for, and TF32 as torch has it by default, whatever a test makes of it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    cublas = torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cuda.matmul.allow_tf32 = cublas


def test_tf32_is_where_cudnn_multiplies(gpu, write):
    conv = write(input=[5, 5], kernel=3, bias=True, passes=[*ALL, "grad_bias"])
    pool = write(operation="max_pool", input=[5, 5], kernel=3)
    unfolded = write(operation="patches", input=[5, 5], kernel=3)
    local = write(operation="local_conv", input=[5, 5], kernel=3)
    assert [Torch("cuda").numerics(conv, p).tf32 for p in conv.passes] == [True, True, True, False]
    assert not any(Torch("cuda").numerics(case, Pass.FORWARD).tf32 for case in (pool, local, unfolded))
    torch.backends.cuda.matmul.allow_tf32 = True
    assert not any(TorchNoTf32("cuda").numerics(conv, p).tf32 for p in conv.passes)
    assert not torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    assert Torch("cuda").numerics(local, Pass.FORWARD).tf32


# what a GPU computes, and how often it rounds to 16 bits on the way at most
ROUNDED = [
    ({"bias": True}, "forward", 1),  # before the bias
    ({}, "forward", None),
    ({"rank": 3, "input": [5, 5, 5], "channels": 4, "groups": 4}, "grad_weight", 9),
    ({"rank": 3, "input": [5, 5, 5], "channels": 4, "groups": 2}, "grad_weight", None),
    ({"channels": 4, "groups": 4}, "grad_weight", None),
    ({"operation": "conv_transpose", "bias": True}, "forward", 1),
    ({"operation": "avg_pool", "stride": 1}, "grad_input", 1),
    ({"operation": "avg_pool", "stride": 1, "rank": 3, "input": [5, 5, 5]}, "grad_input", 27),
    ({"operation": "avg_pool"}, "forward", None),
    ({"operation": "adaptive_avg_pool", "kernel": None, "output": [2, 3]}, "forward", None),
    (
        {"operation": "adaptive_avg_pool", "kernel": None, "output": [2, 3], "memory_format": "channels_last"},
        "forward",
        1,
    ),
    ({"operation": "adaptive_avg_pool", "kernel": None, "output": [2, 3]}, "grad_input", 8),
    ({"operation": "adaptive_avg_pool", "kernel": None, "output": [2, 2, 3], "input": [5, 5, 5]}, "forward", None),
    ({"operation": "adaptive_avg_pool", "kernel": None, "output": 1}, "forward", None),
    ({"operation": "local_conv"}, "forward", None),
]


@pytest.mark.parametrize(("keys", "pass_", "due"), ROUNDED)
def test_what_a_gpu_rounds_on_the_way(gpu, write, keys, pass_, due):
    keys = {"input": [5, 5], "kernel": 3, "dtype": "float16", "fill": "normal", "passes": [pass_]} | keys
    declared = Torch("cuda").numerics(write(**{k: v for k, v in keys.items() if v is not None}), Pass(pass_))
    assert (declared.intermediate, declared.intermediate_roundings) == (("float16", due) if due else (None, None))


def test_what_a_gpu_has_no_integers_for(gpu, write):
    for operation in ("max_pool", "local_conv"):
        case = write(operation=operation, input=[5, 5], kernel=3, dtype="int8", passes=["forward"])
        assert "on GPUs" in Torch("cuda").support(case).reason
        assert Torch().support(case).level is not Level.UNSUPPORTED


def test_an_operand_that_the_output_ignores_is_an_error(backend, write):
    case = write(input=[5], kernel=[3], passes=ALL)
    x, w, grad = (backend.to_native(a, o, case) for a, o in zip(fill(case), case.operands, strict=True))
    with pytest.raises(RuntimeError, match="not have been used"):
        backend.gradient(lambda x, w: x[..., :3] * 2, case)([x, w], grad)
