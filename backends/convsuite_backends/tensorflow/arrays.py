"""TensorFlow's tensors in and out, GradientTape, and what oneDNN may compute."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from convsuite.backend import Function, Gradient, GradientCall, Native
from convsuite.case import Case, Numerics, Pass
from convsuite.errors import DeviceError
from convsuite_backends._framework import ChannelsLast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence, Set

    import numpy as np
    from numpy.typing import NDArray

    from convsuite.case import Array


class TensorFlowArrays(ChannelsLast):
    """What every operation on TensorFlow needs, and Keras on TensorFlow."""

    requires: ClassVar[tuple[str, ...]] = ("tensorflow",)
    environment: ClassVar[Mapping[str, str]] = {
        "TF_ENABLE_ONEDNN_OPTS": "1",  # said explicitly: the default depends on the processor
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if self._on_gpu and not gpus:
            hint = "install tensorflow[and-cuda], or run with --device cpu"
            raise DeviceError(f"tensorflow {tf.__version__} finds no GPU: {hint}")
        number = self._device_number(len(gpus) if self._on_gpu else 1)
        tf.config.set_visible_devices([gpus[number]] if self._on_gpu else [], "GPU")
        if threads := os.environ.get("CONVSUITE_THREADS"):
            tf.config.threading.set_intra_op_parallelism_threads(int(threads))
            tf.config.threading.set_inter_op_parallelism_threads(int(threads))
        self._onednn = _onednn_dtypes() if self.environment["TF_ENABLE_ONEDNN_OPTS"] == "1" else frozenset()

    def versions(self) -> Mapping[str, str]:
        """Return the version, and whether oneDNN may compute, or the GPU that does."""
        import tensorflow as tf

        if self._on_gpu:
            gpu = tf.config.get_visible_devices("GPU")[0]
            name = tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            return {"tensorflow": tf.__version__, "gpu": name}
        return {"tensorflow": tf.__version__, "onednn": "on" if self._onednn else "off"}

    def lack(self, case: Case) -> str:
        """Say that strides in memory do not exist."""
        return "TensorFlow's tensors have no strides" if case.memory_formats else ""

    def numerics(self, case: Case, pass_: Pass) -> Numerics:
        """Declare TF32 on GPUs, beside what the operation declares."""
        import tensorflow as tf

        allowed = tf.config.experimental.tensor_float_32_execution_enabled()
        return replace(super().numerics(case, pass_), tf32=self._tensor_cores(case, pass_) and allowed)

    def _why_not(self, case: Case) -> str:
        """Say why oneDNN does not compute what only it has."""
        return f"which has no {case.dtype} here" if self._onednn else "which is off or absent"

    def _tensor(self, array: Array, case: Case) -> Native:
        import tensorflow as tf

        return tf.constant(array.astype(tf.as_dtype(case.dtype).as_numpy_dtype))

    def _array(self, result: Native) -> NDArray[np.generic]:
        return result.numpy().astype("float32") if result.dtype.name == "bfloat16" else result.numpy()  # type: ignore[no-any-return]

    def dtype_name(self, result: Native, case: Case) -> str:
        """Return the dtype's name."""
        return str(result.dtype.name)

    def synchronize(self, result: Native) -> None:
        """Wait for the GPU; on the CPU TensorFlow returns when it has computed."""
        if self._on_gpu:
            import tensorflow as tf

            tf.test.experimental.sync_devices()

    def gradient(self, function: Function, case: Case) -> Gradient:
        """Return GradientTape's gradients; None for an operand that the output does not depend on."""
        import tensorflow as tf

        def gradients(operands: Sequence[Native], grad_output: Native) -> Sequence[Native]:
            with tf.GradientTape() as tape:
                tape.watch(operands)
                y = function(*operands)
            return tape.gradient(y, operands, output_gradients=grad_output)  # type: ignore[no-any-return]

        return gradients

    def gradient_of(self, case: Case, pass_: Pass) -> GradientCall:
        """Return a persistent tape's gradient to one operand: what the forward pass recorded is kept.

        TensorFlow's gradient of a convolution computes those to the input and to the weight whichever is asked for.
        """
        import tensorflow as tf

        function, number = self.forward(case), self.role_number(case, pass_)

        def bind(operands: Sequence[Native], grad_output: Native) -> Callable[[], Native]:
            operand = operands[number]
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(operand)
                y = function(*operands)
            return lambda: tape.gradient(y, operand, output_gradients=grad_output)

        return bind


def _onednn_dtypes() -> frozenset[str]:
    """Return the dtypes that TensorFlow gives to oneDNN, which it has on x86 only; the processor decides on 16 bits.

    As its `IsBF16SupportedByOneDNNOnThisCPU` and `IsFP16SupportedByOneDNNOnThisCPU` do.
    """
    try:
        flags = set(re.findall(r"^flags\s*:(.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)[0].split())
    except (OSError, IndexError):
        return frozenset()
    return dtypes_of_onednn(flags)


def dtypes_of_onednn(flags: Set[str]) -> frozenset[str]:
    """Return the dtypes for a processor with these flags, named as in /proc/cpuinfo."""
    needs: dict[str, list[set[str]]] = {
        "float32": [set()],
        "bfloat16": [{"avx512f"}, {"avx_ne_convert"}],
        "float16": [{"avx512bw", "avx512_fp16"}, {"avx512bw", "amx_fp16"}, {"avx_ne_convert"}],
    }
    return frozenset(dtype for dtype, ways in needs.items() if any(way <= flags for way in ways))
