"""TensorFlow's transposed convolutions: tf.nn.conv1d_transpose, conv2d_transpose and conv3d_transpose."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Numerics, Pass, Support
from convsuite_backends import _layout
from convsuite_backends.tensorflow.arrays import TensorFlowArrays
from convsuite_backends.tensorflow.conv import adds_bias_in_16_bits, beyond_int32, no_dtype, pad, per_axis

if TYPE_CHECKING:
    from convsuite.operations.conv_transpose import ConvTransposeCase


class TransposedConvolutions(TensorFlowArrays):
    """conv_transpose."""

    def conv_transpose_support(self, case: ConvTransposeCase) -> Support:
        """Declare what TensorFlow's kernels lack, and what takes other calls beside the transposed convolution."""
        if case.groups < 1:
            return Support.unsupported("TensorFlow takes no groups: it reads them from the shapes")
        if case.expect.error == "input" or (case.expect.error == "kernel" and min(case.kernel) == 0):
            return Support.unsupported("TensorFlow answers with zeros where the input or the kernel has no elements")
        lack = no_dtype(case) or beyond_int32(case) or self._conv_transpose_lack(case)
        return Support.unsupported(lack) if lack else _layout.composition(self._transposed_steps(case))

    def conv_transpose_numerics(self, case: ConvTransposeCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare where 16-bit sums are rounded on the way."""
        if case.dtype not in _layout.HALVES:
            return declared
        if self._transposed_sums_in_16_bits(case, pass_):
            note = f"TensorFlow's Eigen kernels round partial sums to {case.dtype}"
            return _layout.narrowed(declared, case, None, note)
        return _layout.composed_numerics(declared, case, pass_)

    def conv_transpose(self, case: ConvTransposeCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call conv1d_transpose, conv2d_transpose or conv3d_transpose; other crops, flip and bias are more calls."""
        import tensorflow as tf

        last = _layout.channels_last(case)
        order = _layout.axes(case.rank, last)
        if case.flip:
            weight = tf.reverse(weight, range(case.rank))
        ends = self._ends(case)
        padding, sizes = ends or ("VALID", _layout.full_sizes(case))
        shape = [case.input_shape[0], *sizes, case.out_channels]
        y = (tf.nn.conv1d_transpose, tf.nn.conv2d_transpose, tf.nn.conv3d_transpose)[case.rank - 1](
            x,
            weight,
            shape if last else [shape[0], shape[-1], *sizes],
            per_axis(case.stride, case),
            padding,
            data_format=order,
            dilations=per_axis(case.dilation, case),
        )
        if ends is None:
            y = pad(_layout.cut(case), y)
        return y if bias is None else tf.nn.bias_add(y, bias, data_format=order)

    def _conv_transpose_lack(self, case: ConvTransposeCase) -> str:
        if self._on_gpu:
            return "TensorFlow has no int32 transposed convolution on GPUs" if case.dtype == "int32" else ""
        if case.rank == 3 and case.groups > 1:
            return "tf.nn.conv3d_transpose has no groups on the CPU"
        if case.dtype in self._onednn:
            return ""
        if not case.out_channels and case.expect.error is None:
            return "TensorFlow's own kernels refuse a weight without elements"
        for what, asked in (
            ("channels first takes", not _layout.channels_last(case)),
            ("a dilation takes", max(case.dilation) > 1),
            ("groups take", case.groups > 1),
        ):
            if asked:
                return f"{what} oneDNN on the CPU, {self._why_not(case)}"
        return ""

    def _ends(self, case: ConvTransposeCase) -> tuple[str | list[tuple[int, int]], tuple[int, ...]] | None:
        """Return the padding that crops as the case does with the sizes of its output, None where TensorFlow has none.

        The sizes are an argument, so any output_padding less than the stride is part of a word's meaning.
        """
        if case.expect.error is not None:
            return self._as_asked(case)
        if any(-high >= s for (_, high), s in zip(case.cropped, case.stride, strict=True)):
            return None
        if all(low == 0 and high <= 0 for low, high in case.cropped) and "same_upper" not in case.padding.kinds:
            return "VALID", case.output_sizes
        if _is_same(case):
            return "SAME", case.output_sizes
        if case.rank != 2 or min(low for low, _ in case.cropped) < 0 or self._word_needed(case):
            return None
        return _around(case), case.output_sizes

    def _as_asked(self, case: ConvTransposeCase) -> tuple[str | list[tuple[int, int]], tuple[int, ...]]:
        """Return what a case to be refused asks for, with the sizes that its output would have if it were valid."""
        kernel, stride, dilation = (tuple(max(1, n) for n in v) for v in (case.kernel, case.stride, case.dilation))
        shape = (*case.input_shape[:2], *(*case.input_shape[2:], *case.kernel)[: case.rank])  # too few axes or too many
        sizes = replace(case, input_shape=shape, kernel=kernel, stride=stride, dilation=dilation).output_sizes
        explicit = case.rank == 2 and "explicit" in case.padding.kinds
        return (_around(case) if explicit else "VALID"), sizes

    def _word_needed(self, case: ConvTransposeCase) -> bool:
        """Tell whether the case has what explicit padding, which never goes by oneDNN, lacks on the CPU."""
        return not self._on_gpu and (case.groups > 1 or max(case.dilation) > 1 or not _layout.channels_last(case))

    def _transposed_sums_in_16_bits(self, case: ConvTransposeCase, pass_: Pass) -> bool:
        """Tell whether Eigen computes, and in the operands' own 16 bits."""
        if self._on_gpu:
            return False
        match pass_:
            case Pass.GRAD_BIAS:
                return adds_bias_in_16_bits(case)
            case Pass.GRAD_INPUT:  # the convolution itself
                return case.rank == 3 and case.dtype not in self._onednn
        ends = self._ends(case)
        return case.dtype not in self._onednn or (ends is not None and not isinstance(ends[0], str))

    def _transposed_steps(self, case: ConvTransposeCase) -> list[str]:
        """Say what is called beside the transposed convolution."""
        steps = []
        if self._ends(case) is None:
            steps.append(f"the full result is {_layout.cuts(case)}: there is no padding argument that says it")
        if case.flip:
            steps.append("tf.reverse of the weight")
        if case.bias:
            steps.append("tf.nn.bias_add: the transposed convolution takes no bias")
        return steps


def _around(case: ConvTransposeCase) -> list[tuple[int, int]]:
    """Return explicit padding as TensorFlow takes it; what is added at the end is in the sizes instead."""
    pads = [(low, max(0, high)) for low, high in case.cropped]
    return [(0, 0), *pads, (0, 0)] if _layout.channels_last(case) else [(0, 0), (0, 0), *pads]


def _is_same(case: ConvTransposeCase) -> bool:
    """Tell whether the case crops as SAME does: an output of ⌈size / stride⌉ = n, an odd crop at the high end."""
    axes = zip(case.output_sizes, case.input_shape[2:], case.stride, case.cropped, strict=True)
    return all(-(-size // s) == n and low == max(0, low + high) // 2 for size, n, s, (low, high) in axes)
