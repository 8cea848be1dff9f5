"""TensorFlow's depthwise and separable convolutions: tf.nn.depthwise_conv2d and tf.nn.separable_conv2d."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import INTEGERS, Case, Numerics, Pass, Support
from convsuite_backends import _layout
from convsuite_backends._separable import SeparableByTwo
from convsuite_backends.tensorflow.arrays import TensorFlowArrays
from convsuite_backends.tensorflow.conv import WORDS, adds_bias_in_16_bits, beyond_int32, no_window, pad

if TYPE_CHECKING:
    from convsuite.operations.depthwise_conv import DepthwiseCase
    from convsuite.operations.separable_conv import SeparableCase


class DepthwiseConvolutions(TensorFlowArrays, SeparableByTwo):
    """depthwise_conv and separable_conv."""

    def depthwise_conv_support(self, case: DepthwiseCase) -> Support:
        """Declare what the kernels lack, and what takes other calls beside the convolution."""
        lack = self._depthwise_lack(case)
        return Support.unsupported(lack) if lack else _layout.composition(self._depthwise_steps(case, case.bias))

    def separable_conv_support(self, case: SeparableCase) -> Support:
        """Declare the same; the convolution that mixes refuses a weight without elements beside."""
        lack = self._depthwise_lack(case)
        if not (lack or case.out_channels or case.expect.error):
            lack = "TensorFlow refuses a weight without elements"
        return Support.unsupported(lack) if lack else _layout.composition(self._depthwise_steps(case, case.bias))

    def depthwise_conv_numerics(self, case: DepthwiseCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare where 16-bit sums are rounded on the way: in Eigen's kernels each product and each addition is."""
        if case.dtype in _layout.HALVES and self._depthwise_sums_in_16_bits(case, pass_):
            note = f"TensorFlow's own kernels round partial sums to {case.dtype}"
            return _layout.narrowed(declared, case, None, note)
        return _layout.composed_numerics(declared, case, pass_)

    def depthwise_conv(self, case: DepthwiseCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call depthwise_conv2d; one axis is put into two, and other pads and a bias are calls of their own."""
        import tensorflow as tf

        return self._slid(case, tf.nn.depthwise_conv2d, x, (weight,), bias)

    def separable_conv(
        self, case: SeparableCase, x: Native, depthwise: Native, pointwise: Native, bias: Native = None
    ) -> Native:
        """Call separable_conv2d, in the same way."""
        import tensorflow as tf

        return self._slid(case, tf.nn.separable_conv2d, x, (depthwise, pointwise), bias)

    def _slid(
        self, case: Case, call: Callable[..., Native], x: Native, weights: tuple[Native, ...], bias: Native
    ) -> Native:
        """Call an operation of two spatial axes; in a case of one, another of size 1 comes before it."""
        import tensorflow as tf

        last, one = _layout.channels_last(case), case.rank == 1
        padding = self._depthwise_padding(case)
        if padding is None:
            x, padding = pad(case, x), "VALID"
        if one:
            x, weights = tf.expand_dims(x, 1 if last else 2), tuple(tf.expand_dims(w, 0) for w in weights)
        strides = case.stride * 2 if one else case.stride  # along an axis of size 1 any stride is right, if it is equal
        dilations = (1, *case.dilation) if one else case.dilation
        each = [1, *strides, 1] if last else [1, 1, *strides]
        y = call(x, *weights, each, padding, data_format=_layout.axes(2, last), dilations=dilations)
        y = tf.squeeze(y, [1 if last else 2]) if one else y
        return y if bias is None else tf.nn.bias_add(y, bias, data_format=_layout.axes(case.rank, last))

    def _depthwise_padding(self, case: Case) -> str | list[tuple[int, int]] | None:
        """Return the padding as TensorFlow's own argument, or None where tf.pad must do it."""
        for kind, word in WORDS.items():
            if _layout.same(case.padding.kinds, kind):
                return word
        if case.padding.negative or self._depthwise_gradient_needs_word(case):
            return None
        pads = [*([(0, 0)] if case.rank == 1 else []), *case.padding.pads]
        return [(0, 0), *pads, (0, 0)] if _layout.channels_last(case) else [(0, 0), (0, 0), *pads]

    def _depthwise_gradient_needs_word(self, case: Case) -> bool:
        """Tell whether the case has what the gradient of explicit padding, which never goes by oneDNN, lacks."""
        asks = not _layout.channels_last(case) or len(set(case.stride)) > 1
        return not self._on_gpu and case.wants_gradient and asks

    def _depthwise_lack(self, case: Case) -> str:
        if case.dtype in INTEGERS:
            return f"tf.nn has no depthwise convolution of {case.dtype}"
        if case.rank == 3:
            return "tf.nn has no depthwise convolution of three axes"
        return beyond_int32(case) or self._depthwise_kernel_lack(case)

    def _depthwise_kernel_lack(self, case: Case) -> str:
        """Say what only oneDNN has."""
        if self._on_gpu or case.dtype in self._onednn:
            return ""
        if not _layout.channels_last(case):
            return f"channels first takes oneDNN on the CPU, {self._why_not(case)}"
        return self._unequal_lack(case) or no_window(case)

    def _unequal_lack(self, case: Case) -> str:
        """Say that without oneDNN strides are one number for both axes."""
        fine = self._on_gpu or case.dtype in self._onednn or len(set(case.stride)) == 1 or case.expect.error
        return "" if fine else f"unequal strides take oneDNN on the CPU, {self._why_not(case)}"

    def _depthwise_sums_in_16_bits(self, case: DepthwiseCase, pass_: Pass) -> bool:
        """Tell whether TensorFlow's own kernels compute, on the CPU, and not oneDNN's."""
        if self._on_gpu:
            return False
        if pass_ is Pass.GRAD_BIAS:
            return adds_bias_in_16_bits(case)
        explicit = isinstance(self._depthwise_padding(case), list)
        return case.dtype not in self._onednn or (explicit and pass_.gradient)

    def _depthwise_steps(self, case: Case, bias: bool) -> list[str]:
        """Say what is called beside the convolution."""
        steps = ["tf.expand_dims and tf.squeeze: tf.nn has one of two axes only"] if case.rank == 1 else []
        if self._depthwise_padding(case) is None:
            why = "does not crop" if case.padding.negative else "has no such gradient with explicit padding"
            steps.append(f"tf.pad before the convolution, which {why}")
        return [*steps, "tf.nn.bias_add: the convolution takes no bias"] if bias else steps
