"""Keras's locally connected convolution, of which Keras 3 has none: patches times weights, position by position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Numerics, Pass, Support
from convsuite_backends import _columns, _layout
from convsuite_backends.keras.patches import Patches

if TYPE_CHECKING:
    from convsuite.operations.local_conv import LocalConvCase


class LocalConvolutions(Patches):
    """local_conv."""

    def local_conv_support(self, case: LocalConvCase) -> Support:
        """Declare how it is composed."""
        if case.dtype == "int8":
            return Support.unsupported("keras.ops.einsum answers int8 with int32")
        patches = self.patches_support(case.patches("channel_last"))
        return _columns.local_support(case, patches, "Keras", "keras.ops.einsum")

    def local_conv_numerics(self, case: LocalConvCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare what is rounded between the calls."""
        if case.dtype in _layout.HALVES and pass_ is not Pass.GRAD_BIAS and self._product_sums_in_16_bits(case):
            return _layout.narrowed(
                declared, case, None, f"TensorFlow's Eigen products round partial sums to {case.dtype}"
            )
        patches = self.patches_numerics(case.patches("channel_last"), pass_, declared)
        bias = self.name == "jax" or (self.name == "tensorflow" and case.dtype == "float16")
        return _columns.local_numerics(case, pass_, declared, patches, bias)

    def _product_sums_in_16_bits(self, case: LocalConvCase) -> bool:
        return False

    def local_conv(self, case: LocalConvCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Multiply the patches by the weight with keras.ops.einsum, and add the bias."""
        from keras import ops

        columns, last = self.patches(case.patches("channel_last"), x), _layout.channels_last(case)
        y = _columns.local_product(case, columns, weight, last, ops.reshape, ops.einsum)
        return y if bias is None else ops.add(y, bias)


class LocalConvolutionLayers(LocalConvolutions):
    """There are no such layers any more."""

    def local_conv_support(self, case: LocalConvCase) -> Support:
        """Declare that there is no layer."""
        return Support.unsupported("Keras 3 has no LocallyConnected layers")
