"""Gradient descent on a kernel in TensorFlow: GradientTape, and a step by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Support
from convsuite_backends import _layout
from convsuite_backends.tensorflow.arrays import TensorFlowArrays

if TYPE_CHECKING:
    from convsuite.operations.learn_kernel import LearnKernelCase

COMPOSED = Support.composed("tf.nn.conv, ** 2 and tf.reduce_sum are the loss, GradientTape and a subtraction each step")


class Learning(TensorFlowArrays):
    """learn_kernel."""

    def learn_kernel_support(self, case: LearnKernelCase) -> Support:
        """Declare the composition, and channels first where a convolution has it."""
        if _layout.channels_last(case) or case.dtype in self._onednn or self._on_gpu:
            return COMPOSED
        return Support.unsupported(f"channels first takes oneDNN on the CPU, {self._why_not(case)}")

    def learn_kernel(self, case: LearnKernelCase, x: Native, target: Native, weight: Native) -> Native:
        """Step by step: the tape's gradient, then subtract it."""
        import tensorflow as tf

        conv = (tf.nn.conv1d, tf.nn.conv2d, tf.nn.conv3d)[case.rank - 1]
        order, stride, rows = _layout.axes(case.rank, _layout.channels_last(case)), [1] * (case.rank + 2), []
        for _ in range(case.steps):
            with tf.GradientTape() as tape:
                tape.watch(weight)
                loss = tf.reduce_sum((conv(x, weight, stride, "VALID", data_format=order) - target) ** 2)
            weight -= case.learning_rate * tape.gradient(loss, weight)
            rows.append(tf.concat([tf.reshape(loss, [1]), tf.reshape(weight, [-1])], 0))
        return tf.stack(rows)
