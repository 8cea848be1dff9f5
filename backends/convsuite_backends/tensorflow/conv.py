"""TensorFlow's convolutions: tf.nn.conv1d, conv2d and conv3d."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Case, Numerics, Pass, Support
from convsuite.operations.window import span
from convsuite_backends import _layout
from convsuite_backends.tensorflow.arrays import TensorFlowArrays

if TYPE_CHECKING:
    from convsuite.operations.conv import ConvCase

WORDS = {"valid": "VALID", "same_upper": "SAME"}


class Convolutions(TensorFlowArrays):
    """conv."""

    def conv_support(self, case: ConvCase) -> Support:
        """Declare what TensorFlow's kernels lack, and what takes other calls beside the convolution."""
        lack = _misread(case) or self._conv_lack(case)
        return Support.unsupported(lack) if lack else _layout.composition(self._steps(case))

    def conv_gradient_support(self, case: ConvCase) -> Support:
        """Declare the gradients that only oneDNN has, which has them in 16 and 32 bits."""
        lack = self._conv_gradient_lack(case)
        return Support.unsupported(lack) if lack else Support.native()

    def conv_numerics(self, case: ConvCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare where 16-bit sums are rounded on the way."""
        if case.dtype not in _layout.HALVES:
            return declared
        if self._conv_sums_in_16_bits(case, pass_):
            note = f"TensorFlow's Eigen kernels round partial sums to {case.dtype}"
            return _layout.narrowed(declared, case, None, note)
        return _layout.composed_numerics(declared, case, pass_)

    def conv(self, case: ConvCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call conv1d, conv2d or conv3d; other pads, a flip and a bias are calls of their own."""
        import tensorflow as tf

        call = (tf.nn.conv1d, tf.nn.conv2d, tf.nn.conv3d)[case.rank - 1]
        order = _layout.axes(case.rank, _layout.channels_last(case))
        if case.flip:
            weight = tf.reverse(weight, range(case.rank))
        padding = self._padding(case)
        if padding is None:
            x, padding = pad(case, x), "VALID"
        stride, dilation = per_axis(case.stride, case), per_axis(case.dilation, case)
        y = call(x, weight, stride, padding, data_format=order, dilations=dilation)
        return y if bias is None else tf.nn.bias_add(y, bias, data_format=order)

    def _conv_lack(self, case: ConvCase) -> str:
        if lack := no_dtype(case):
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
        return beyond_int32(case) or no_window(case)

    def _refuses_empty(self, case: ConvCase) -> bool:
        """Tell whether the case's weight has no elements, and the kernels that would compute it mind."""
        _, channels, *_ = case.weight_shape
        minds = case.dtype in self._onednn or case.rank == 3 or channels == 0
        return minds and not all(case.weight_shape) and case.expect.error is None

    def _conv_gradient_lack(self, case: ConvCase) -> str:
        if self._on_gpu or case.dtype in self._onednn or (case.groups == 1 and not _dilated(case)):
            return ""
        return f"the gradients of groups and of dilation take oneDNN on the CPU, {self._why_not(case)}"

    def _conv_sums_in_16_bits(self, case: ConvCase, pass_: Pass) -> bool:
        """Tell whether Eigen computes, and in the operands' own 16 bits."""
        if self._on_gpu:
            return False
        match pass_:
            case Pass.GRAD_BIAS:
                return adds_bias_in_16_bits(case)
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


def adds_bias_in_16_bits(case: Case) -> bool:
    """Tell whether the kernel of bias_add's own gradient sums in 16 bits."""
    return case.dtype == "bfloat16" or not _layout.channels_last(case)


def no_dtype(case: Case) -> str:
    """Say that tf.nn has no convolution of integers of 8 bits, nor any of three axes."""
    absent = case.dtype == "int8" or (case.dtype == "int32" and case.rank == 3)
    return f"tf.nn.conv{case.rank}d has no {case.dtype}" if absent else ""


def no_input_channels(case: ConvCase) -> str:
    """Say that a weight without input channels is refused."""
    refused = case.weight_shape[1] == 0 and case.expect.error is None
    return "TensorFlow refuses a weight without input channels" if refused else ""


def beyond_int32(case: Case) -> str:
    """Say that strides and dilations are held in 32 bits."""
    largest = max(*case.stride, *case.dilation)
    return "TensorFlow holds strides and dilations in 32 bits" if largest >= 2**31 and not case.expect.error else ""


def no_window(case: Case) -> str:
    """Say that an empty output is the answer, by design, where a window lacks less than two strides of its input."""
    if case.expect.error != "kernel" or min(case.kernel) < 1:
        return ""
    sizes = (n + low + high for n, (low, high) in zip(case.input_shape[2:], case.padding.pads, strict=True))
    axes = zip(sizes, case.kernel, case.stride, case.dilation, strict=True)
    missing = any(size + 2 * s <= span(k, d) for size, k, s, d in axes)
    return "" if missing else "TensorFlow answers with an empty output where a window is a little too large"


def _dilated(case: Case) -> bool:
    return max(case.dilation) > 1


def per_axis(values: tuple[int, ...], case: Case) -> list[int]:
    """Return strides or dilations with the 1s that conv2d and conv3d want for batch and channels."""
    return [1, *values, 1] if _layout.channels_last(case) else [1, 1, *values]


def _misread(case: ConvCase) -> str:
    """Say why a call would mean something else than the case; groups cannot be said at all."""
    if len(case.input_shape) > case.rank + 2:
        return "tf.nn's convolutions take further axes of the input as batch axes"
    return _layout.groups_unsaid(case, "TensorFlow") or _layout.no_mode(case, "TensorFlow", ("reflect",))


def pad(case: Case, x: Native) -> Native:
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
