"""TensorFlow: tf.nn.conv1d, conv2d and conv3d, as its users call them."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from convsuite.backend import Function, Gradient, Native
from convsuite.case import Case, Numerics, Pass, Support
from convsuite.errors import DeviceError
from convsuite.operations.window import span
from convsuite_backends import _layout
from convsuite_backends._framework import ChannelsLast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from convsuite.case import Array
    from convsuite.operations.conv import ConvCase

WORDS = {"valid": "VALID", "same_upper": "SAME"}


class TensorFlow(ChannelsLast):
    """Eager tf.nn with oneDNN; NHWC and HWIO unless the case asks for channels first."""

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
        """Return the version, and whether oneDNN may compute."""
        import tensorflow as tf

        return {"tensorflow": tf.__version__, "onednn": "on" if self._onednn else "off"}

    def support(self, case: Case) -> Support:
        """Declare what TensorFlow's kernels lack, and what takes other calls beside the convolution."""
        case = cast("ConvCase", case)
        lack = _misread(case) or self._lack(case)
        return Support.unsupported(lack) if lack else _layout.composition(self._steps(case))

    def gradient_support(self, case: Case) -> Support:
        """Declare the gradients that only oneDNN has, which has them in 16 and 32 bits."""
        lack = self._gradient_lack(cast("ConvCase", case))
        return Support.unsupported(lack) if lack else Support.native()

    def numerics(self, case: Case, pass_: Pass) -> Numerics:
        """Declare TF32 on GPUs, and where 16-bit sums are rounded on the way."""
        import tensorflow as tf

        case = cast("ConvCase", case)
        numerics = super().numerics(case, pass_)
        if self._on_gpu and case.dtype == "float32":
            return replace(numerics, tf32=tf.config.experimental.tensor_float_32_execution_enabled())
        if case.dtype not in _layout.HALVES:
            return numerics
        if self._sums_in_16_bits(case, pass_):
            note = f"TensorFlow's Eigen kernels round partial sums to {case.dtype}"
            return _layout.narrowed(numerics, case, None, note)
        return _layout.composed_numerics(numerics, case, pass_)

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

    def conv(self, case: ConvCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call conv1d, conv2d or conv3d; other pads, a flip and a bias are calls of their own."""
        import tensorflow as tf

        call = (tf.nn.conv1d, tf.nn.conv2d, tf.nn.conv3d)[case.rank - 1]
        order = _layout.axes(case.rank, _layout.channels_last(case))
        if case.flip:
            weight = tf.reverse(weight, range(case.rank))
        padding = self._padding(case)
        if padding is None:
            x, padding = _pad(case, x), "VALID"
        stride, dilation = _per_axis(case.stride, case), _per_axis(case.dilation, case)
        y = call(x, weight, stride, padding, data_format=order, dilations=dilation)
        return y if bias is None else tf.nn.bias_add(y, bias, data_format=order)

    def _lack(self, case: ConvCase) -> str:
        if lack := _no_dtype(case):
            return lack
        if self._on_gpu:
            return "TensorFlow has no int32 convolution on GPUs" if case.dtype == "int32" else ""
        if case.rank == 3 and case.groups > 1:
            return "tf.nn.conv3d has no groups on the CPU"
        if self._refuses_empty(case):
            return "TensorFlow refuses a weight without elements"
        if case.dtype in self._onednn:
            return ""
        if not _layout.channels_last(case):
            return f"channels first takes oneDNN on the CPU, {self._why_not(case)}"
        if case.rank == 3 and _dilated(case):
            return f"a dilated conv3d takes oneDNN on the CPU, {self._why_not(case)}"
        return _beyond_int32(case) or _no_window(case)

    def _refuses_empty(self, case: ConvCase) -> bool:
        """Tell whether the case's weight has no elements, and the kernels that would compute it mind."""
        _, channels, *_ = case.weight_shape
        minds = case.dtype in self._onednn or case.rank == 3 or channels == 0
        return minds and not all(case.weight_shape) and case.expect.error is None

    def _gradient_lack(self, case: ConvCase) -> str:
        if self._on_gpu or case.dtype in self._onednn or (case.groups == 1 and not _dilated(case)):
            return ""
        return f"the gradients of groups and of dilation take oneDNN on the CPU, {self._why_not(case)}"

    def _why_not(self, case: Case) -> str:
        return f"which has no {case.dtype} here" if self._onednn else "which is off or absent"

    def _sums_in_16_bits(self, case: ConvCase, pass_: Pass) -> bool:
        """Tell whether Eigen computes, and in the operands' own 16 bits."""
        if self._on_gpu:
            return False
        match pass_:
            case Pass.GRAD_BIAS:
                return case.dtype == "bfloat16" or not _layout.channels_last(case)  # bias_add's own kernel
            case Pass.FORWARD:
                return case.rank == 3 and case.dtype not in self._onednn
        return case.dtype not in self._onednn or isinstance(self._padding(case), list)

    def _padding(self, case: ConvCase) -> str | list[tuple[int, int]] | None:
        """Return the padding as TensorFlow's own argument, or None where tf.pad must do it."""
        padding = case.padding
        if _layout.same(padding.kinds, "explicit") and not any(map(any, padding.pads)):
            return "VALID"
        for kind, word in WORDS.items():
            if _layout.same(padding.kinds, kind) and (kind == "valid" or padding.mode == "zeros"):
                return word
        if case.rank != 2 or padding.mode != "zeros" or padding.negative or self._gradient_needs_word(case):
            return None
        return [(0, 0), *padding.pads, (0, 0)] if _layout.channels_last(case) else [(0, 0), (0, 0), *padding.pads]

    def _gradient_needs_word(self, case: ConvCase) -> bool:
        """Tell whether the case has what the gradient of explicit padding, which never goes by oneDNN, lacks."""
        return (
            not self._on_gpu
            and case.wants_gradient
            and (case.groups > 1 or _dilated(case) or not _layout.channels_last(case))
        )

    def _steps(self, case: ConvCase) -> list[str]:
        """Say what is called beside the convolution."""
        steps = []
        if self._padding(case) is None:
            wrap = {"circular": "tf.concat of the opposite edges", "replicate": "tf.concat of the repeated edges"}
            steps.append(f"{wrap.get(case.padding.mode, 'tf.pad')} before the convolution, which {_why_pad(case)}")
        if case.flip:
            steps.append("tf.reverse of the weight")
        if case.bias:
            steps.append("tf.nn.bias_add: the convolution takes no bias")
        return steps


class TensorFlowNoOnednn(TensorFlow):
    """Eager, without oneDNN: TensorFlow's own Eigen kernels."""

    environment: ClassVar[Mapping[str, str]] = {**TensorFlow.environment, "TF_ENABLE_ONEDNN_OPTS": "0"}
    devices: ClassVar[tuple[str, ...]] = ("cpu",)


class TensorFlowXla(TensorFlow):
    """tf.function(jit_compile=True): the same calls, compiled by XLA."""

    def compile(self, function: Function, case: Case) -> Function:
        """Return the function compiled for one geometry."""
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)  # type: ignore[no-any-return]

    def _lack(self, case: ConvCase) -> str:
        return _no_dtype(case) or _no_input_channels(case) or _beyond_int32(case)

    def _gradient_lack(self, case: ConvCase) -> str:
        return ""

    def _gradient_needs_word(self, case: ConvCase) -> bool:
        return False

    def _sums_in_16_bits(self, case: ConvCase, pass_: Pass) -> bool:
        return False


def _no_dtype(case: Case) -> str:
    absent = case.dtype == "int8" or (case.dtype == "int32" and case.rank == 3)
    return f"tf.nn.conv{case.rank}d has no {case.dtype}" if absent else ""


def _no_input_channels(case: ConvCase) -> str:
    refused = case.weight_shape[1] == 0 and case.expect.error is None
    return "TensorFlow refuses a weight without input channels" if refused else ""


def _beyond_int32(case: Case) -> str:
    largest = max(*case.stride, *case.dilation)
    return "TensorFlow holds strides and dilations in 32 bits" if largest >= 2**31 and not case.expect.error else ""


def _no_window(case: ConvCase) -> str:
    """Say that an empty output is the answer, by design, where a window lacks less than two strides of its input."""
    if case.expect.error != "kernel" or min(case.kernel) < 1:
        return ""
    sizes = (n + low + high for n, (low, high) in zip(case.input_shape[2:], case.padding.pads, strict=True))
    axes = zip(sizes, case.kernel, case.stride, case.dilation, strict=True)
    missing = any(size + 2 * s <= span(k, d) for size, k, s, d in axes)
    return "" if missing else "TensorFlow answers with an empty output where a window is a little too large"


def _dilated(case: Case) -> bool:
    return max(case.dilation) > 1


def _onednn_dtypes() -> frozenset[str]:
    """Return the dtypes that TensorFlow gives to oneDNN, which it has on x86 only; the processor decides on 16 bits."""
    try:
        flags = set(re.findall(r"^flags\s*:(.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)[0].split())
    except (OSError, IndexError):
        return frozenset()
    needs = {"float32": set(), "bfloat16": {"avx512f"}, "float16": {"avx512bw", "avx512_fp16"}}
    return frozenset(dtype for dtype, needed in needs.items() if needed <= flags)


def _per_axis(values: tuple[int, ...], case: Case) -> list[int]:
    """Return strides or dilations with the 1s that conv2d and conv3d want for batch and channels."""
    return [1, *values, 1] if _layout.channels_last(case) else [1, 1, *values]


def _misread(case: ConvCase) -> str:
    """Say why a call would mean something else than the case; strides in memory and groups cannot be said at all."""
    if case.memory_formats:
        return "TensorFlow's tensors have no strides"
    if len(case.input_shape) > case.rank + 2:
        return "TensorFlow takes further axes of the input as batch axes"
    return _layout.groups_unsaid(case, "TensorFlow") or _layout.no_mode(case, "TensorFlow", ("reflect",))


def _pad(case: ConvCase, x: Native) -> Native:
    """Pad, then crop where a pad is negative."""
    import tensorflow as tf

    first = 1 if _layout.channels_last(case) else 2
    mode, grown = case.padding.mode, _layout.grown(case)
    if mode in ("zeros", "reflect"):
        around = [(0, 0)] * first + grown + [(0, 0)] * (2 - first)
        x = tf.pad(x, around, mode={"zeros": "CONSTANT", "reflect": "REFLECT"}[mode])
    else:
        x = _layout.concatenated_pad(case, x, first, tf.concat)
    return x[(*(slice(None),) * first, *_layout.kept(case))]


def _why_pad(case: ConvCase) -> str:
    if case.padding.mode != "zeros":
        return "pads with zeros only"
    if case.padding.negative:
        return "does not crop"
    return "takes SAME and VALID only" if case.rank != 2 else "has no such gradient with explicit padding"
