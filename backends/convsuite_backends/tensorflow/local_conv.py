"""TensorFlow's locally connected convolution, of which it has none: patches times weights, position by position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Numerics, Pass, Support
from convsuite_backends import _columns, _layout
from convsuite_backends.tensorflow.patches import Patches

if TYPE_CHECKING:
    from convsuite.operations.local_conv import LocalConvCase


class LocalConvolutions(Patches):
    """local_conv."""

    def local_conv_support(self, case: LocalConvCase) -> Support:
        """Declare how it is composed."""
        if case.dtype == "int8":
            return Support.unsupported("tf.einsum has no int8")
        return _columns.local_support(
            case, self.patches_support(case.patches("channel_last")), "TensorFlow", "tf.einsum"
        )

    def local_conv_numerics(self, case: LocalConvCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare what is rounded between the calls."""
        if case.dtype in _layout.HALVES and pass_ is not Pass.GRAD_BIAS and self._product_sums_in_16_bits(case):
            return _layout.narrowed(
                declared, case, None, f"TensorFlow's Eigen products round partial sums to {case.dtype}"
            )
        patches = self.patches_numerics(case.patches("channel_last"), pass_, declared)
        return _columns.local_numerics(case, pass_, declared, patches, bias=case.dtype == "float16")

    def _product_sums_in_16_bits(self, case: LocalConvCase) -> bool:
        return not self._on_gpu and case.dtype not in self._onednn

    def local_conv(self, case: LocalConvCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Multiply the patches by the weight with tf.einsum, and add the bias."""
        import tensorflow as tf

        columns, last = self.patches(case.patches("channel_last"), x), _layout.channels_last(case)
        y = _columns.local_product(case, columns, weight, last, tf.reshape, tf.einsum)
        return y if bias is None else y + bias
