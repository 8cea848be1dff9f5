"""JAX in this process: its answers to the judge and its declarations. Each geometry costs a compilation."""

from __future__ import annotations

import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'convsuite[jax]'")

from convsuite.case import Level, Pass  # noqa: E402
from convsuite.errors import DeviceError  # noqa: E402
from convsuite.operands import fill  # noqa: E402
from convsuite_backends.jax import Jax, JaxEager, JaxHighest  # noqa: E402

pytestmark = pytest.mark.xdist_group("jax")
ALL = ["forward", "grad_input", "grad_weight"]
SIZES = {1: [9], 2: [8, 7], 3: [6, 5, 4]}


@pytest.fixture(scope="module")
def backend():
    return Jax()


@pytest.mark.parametrize(
    ("rank", "keys"),
    [
        (1, {"padding": "valid", "stride": 2, "groups": 2, "dtype": "float64"}),
        (2, {"padding": "same_upper", "dilation": 2, "layout": "channels_last", "dtype": "bfloat16"}),
        (3, {"padding": "same_lower", "stride": 3, "flip": True, "layout": "channels_last"}),
        (2, {"padding": [[1, 2], [2, 0]], "flip": True, "bias": True, "passes": [*ALL, "grad_bias"]}),
        (2, {"padding": [[2, -1], 1], "padding_mode": "circular"}),
        (1, {"padding": 2, "padding_mode": "reflect", "layout": "channels_last", "dtype": "float16"}),
        (2, {"padding": 1, "dtype": "int8", "passes": ["forward"]}),
    ],
)
def test_answers(backend, write, wrong, rank, keys):
    case = write(**{"passes": ALL, "batch": 2, "input": SIZES[rank], "kernel": [3, 2, 2][:rank], "channels": 4} | keys)
    assert wrong(backend, case) == {}


def test_eager_answers_alike(write, wrong):
    assert wrong(JaxEager(), write(input=[9], kernel=[3], channels=2, padding=1, passes=ALL)) == {}


@pytest.mark.parametrize(
    ("keys", "level", "words"),
    [
        ({"padding": "same_upper", "stride": 2}, Level.NATIVE, ""),
        ({"padding": "same_lower", "stride": 2}, Level.NATIVE, ""),
        ({"padding": [1, [-1, 0]]}, Level.NATIVE, ""),
        ({"layout": "channels_last"}, Level.NATIVE, ""),
        ({"padding": 1, "padding_mode": "replicate"}, Level.COMPOSED, "edge"),
        ({"flip": True}, Level.COMPOSED, "jnp.flip"),
        ({"bias": True}, Level.COMPOSED, "bias"),
        ({"memory_format": "sliced"}, Level.UNSUPPORTED, "strides"),
        ({"kernel": 12, "expect": {"error": "kernel"}}, Level.UNSUPPORTED, "empty"),
    ],
)
def test_declares(backend, write, keys, level, words):
    support = backend.support(write(**{"input": [9, 8], "kernel": 3} | keys))
    assert support.level is level
    assert words in support.reason


@pytest.mark.parametrize(
    "keys", [{"groups": 0}, {"groups": 3, "channels": 4}, {"channels": 4, "padding": "same_upper"}]
)
def test_the_framework_itself_refuses(backend, write, keys):
    kernel = {"size": [3, 3], "channels": 3}  # and the input has 1 or 4
    case = write(**{"input": [9, 8], "kernel": kernel, "expect": {"error": "channels"}} | keys)
    native = [backend.to_native(a, o, case) for a, o in zip(fill(case), case.operands, strict=True)]
    with pytest.raises(ValueError, match="conv_general_dilated"):
        backend.forward(case)(*native)


def test_bias_and_copies_round_in_16_bits_only(backend, write):
    case = write(input=[9, 8], kernel=3, padding=1, padding_mode="reflect", bias=True, dtype="bfloat16", passes=ALL)
    assert backend.numerics(case, Pass.FORWARD).intermediate_roundings == 1
    assert backend.numerics(case, Pass.GRAD_INPUT).intermediate_roundings == 9  # an edge is shown thrice on each axis
    assert backend.numerics(case, Pass.GRAD_WEIGHT).intermediate is None


def test_compiled_geometries_are_forgotten(monkeypatch, write):
    cleared = []
    monkeypatch.setattr(jax, "clear_caches", lambda: cleared.append(1))
    backend, case = Jax(), write(input=[9], kernel=[3])
    for _ in range(2 * Jax._CLEAR_EVERY):
        backend.forward(case)
    assert len(cleared) == 2


def test_an_absent_gpu_is_one_clear_sentence(monkeypatch):
    def none(kind):
        raise RuntimeError(f"Unknown backend {kind}")

    monkeypatch.setattr(jax, "devices", none)
    with pytest.raises(DeviceError, match="finds no cuda device"):
        Jax("cuda")


@pytest.mark.parametrize(("device", "due"), [("cuda", "a"), ("cuda:0", "a"), ("cuda:1", "b")])
def test_a_gpu_by_its_number(monkeypatch, write, device, due):
    monkeypatch.setattr(jax, "devices", {"cuda": ["a", "b"]}.__getitem__)
    gpu = Jax(device)
    assert gpu._device == due
    assert gpu.numerics(write(input=[5], kernel=[3]), Pass.FORWARD).tf32
    assert "on GPUs" in gpu.support(write(input=[5], kernel=[3], dtype="int32")).reason


def test_what_a_gpu_multiplies_and_adds_up_in_16_bits(monkeypatch, write):
    monkeypatch.setattr(jax, "devices", {"cuda": ["a"], "cpu": ["b"]}.__getitem__)
    keys = {"operation": "local_conv", "input": [5, 5], "kernel": 3, "fill": "normal"}
    half, single = write(dtype="float16", **keys), write(dtype="float32", **keys)
    assert Jax("cuda").numerics(half, Pass.FORWARD).intermediate_roundings is None
    assert Jax("cuda").numerics(half, Pass.FORWARD).intermediate == "float16"
    assert Jax().numerics(half, Pass.FORWARD).intermediate != "float16"
    assert Jax("cuda").numerics(single, Pass.FORWARD).intermediate is None


def test_without_tf32(monkeypatch, write):
    monkeypatch.setattr(jax, "devices", {"cuda": ["a"]}.__getitem__)
    case = write(input=[5], kernel=[3], bias=True, passes=["forward", "grad_bias"])
    try:
        assert not JaxHighest("cuda").numerics(case, Pass.FORWARD).tf32
    finally:
        jax.config.update("jax_default_matmul_precision", None)
    assert [Jax("cuda").numerics(case, p).tf32 for p in case.passes] == [True, False]


def test_a_gpu_beyond_those_there_are(monkeypatch):
    monkeypatch.setattr(jax, "devices", {"cuda": ["a", "b"]}.__getitem__)
    with pytest.raises(DeviceError, match="finds no cuda:2: this machine has cuda:0 to cuda:1"):
        Jax("cuda:2")
