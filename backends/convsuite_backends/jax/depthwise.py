"""JAX's depthwise convolution, a convolution of as many groups as channels, and its separable one, which is two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Numerics, Pass, Support
from convsuite_backends import _layout
from convsuite_backends._separable import SeparableByTwo
from convsuite_backends.jax.conv import Convolutions

if TYPE_CHECKING:
    from convsuite.operations.depthwise_conv import DepthwiseCase


class DepthwiseConvolutions(Convolutions, SeparableByTwo):
    """depthwise_conv and separable_conv."""

    def depthwise_conv_support(self, case: DepthwiseCase) -> Support:
        """Declare what the convolution does; groups are an option of its own."""
        lack = _layout.multiplier_unsaid(case, "JAX")
        return Support.unsupported(lack) if lack else self.conv_support(case)

    def depthwise_conv_numerics(self, case: DepthwiseCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare what the convolution does."""
        return self.conv_numerics(case, pass_, declared)

    def depthwise_conv(self, case: DepthwiseCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call the convolution."""
        return self.conv(case, x, weight, bias)
