"""Keras's depthwise and separable convolutions: keras.ops.depthwise_conv and separable_conv, and their layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convsuite.backend import Native
from convsuite.case import INTEGERS, Case, Numerics, Pass, Support
from convsuite_backends import _layout
from convsuite_backends._separable import SeparableByTwo
from convsuite_backends.jax.max_pool import no_window
from convsuite_backends.keras.arguments import Built, data_format, ordered, padded_sizes, word
from convsuite_backends.keras.arrays import KerasArrays
from convsuite_backends.keras.conv import pad, with_bias

if TYPE_CHECKING:
    from convsuite.operations.depthwise_conv import DepthwiseCase
    from convsuite.operations.separable_conv import SeparableCase


class DepthwiseConvolutions(KerasArrays, SeparableByTwo):
    """depthwise_conv and separable_conv by keras.ops."""

    def depthwise_conv_support(self, case: DepthwiseCase) -> Support:
        """Declare what Keras refuses, and what takes other calls beside the convolution."""
        lack = self._depthwise_lack(case)
        return Support.unsupported(lack) if lack else _layout.composition(self._depthwise_steps(case, case.bias))

    def separable_conv_support(self, case: SeparableCase) -> Support:
        """Declare the same, and that there is no output without channels."""
        lack = self._depthwise_lack(case)
        if not (lack or case.out_channels or case.expect.error):
            lack = "Keras refuses a convolution whose output would be empty"
        return Support.unsupported(lack) if lack else _layout.composition(self._depthwise_steps(case, case.bias))

    def depthwise_conv_numerics(self, case: DepthwiseCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare what the framework below does, and what it costs that the bias is added afterwards."""
        if pass_ is Pass.GRAD_BIAS:
            return self.conv_numerics(case, pass_, declared)  # type: ignore[attr-defined, no-any-return]
        below: Numerics = super().depthwise_conv_numerics(case, pass_, declared)  # type: ignore[misc]
        return below if below.intermediate else _layout.composed_numerics(below, case, pass_)

    def depthwise_conv(self, case: DepthwiseCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call keras.ops.depthwise_conv; other pads and a bias are calls of their own."""
        from keras import ops

        return with_bias(case, ops.depthwise_conv(*self._padded(case, x, weight)), bias)

    def separable_conv(
        self, case: SeparableCase, x: Native, depthwise: Native, pointwise: Native, bias: Native = None
    ) -> Native:
        """Call keras.ops.separable_conv, in the same way."""
        from keras import ops

        return with_bias(case, ops.separable_conv(*self._padded(case, x, depthwise, pointwise)), bias)

    def _padded(self, case: Case, x: Native, *weights: Native) -> tuple[Any, ...]:
        """Return the arguments that both functions take."""
        said = word(case)
        return x if said else pad(case, x), *weights, case.stride, said or "valid", data_format(case), case.dilation

    def _depthwise_lack(self, case: Case) -> str:
        if case.rank == 3:
            return "Keras has depthwise convolutions of one and two axes"
        return self._depthwise_answers_below(case) or self._depthwise_lack_below(case)

    def _depthwise_answers_below(self, case: Case) -> str:
        """Say what the framework below answers by design where others refuse."""
        return no_window(case) if self.name == "jax" else ""

    def _depthwise_lack_below(self, case: Case) -> str:
        """Say what the framework below lacks, whatever Keras does."""
        return ""

    def _depthwise_steps(self, case: Case, bias: bool) -> list[str]:
        """Say what is called beside the convolution."""
        steps = ["keras.ops.pad before the convolution, which takes valid and same only"] if not word(case) else []
        if bias and not self._takes_bias:
            steps.append("the bias is added: the functions of keras.ops take none")
        return steps

    _takes_bias = False


class DepthwiseConvolutionLayers(DepthwiseConvolutions, Built):
    """A DepthwiseConv1D or 2D, SeparableConv1D or 2D layer, built once a geometry, with the case's weights."""

    _takes_bias = True

    def depthwise_conv(self, case: DepthwiseCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call the layer as a function of its weights."""
        return self._called(case, x, weight, bias)

    def separable_conv(
        self, case: SeparableCase, x: Native, depthwise: Native, pointwise: Native, bias: Native = None
    ) -> Native:
        """Call the layer as a function of its weights."""
        return self._called(case, x, depthwise, pointwise, bias)

    def _called(self, case: DepthwiseCase | SeparableCase, x: Native, *weights: Native) -> Native:
        layer = self._once(case, lambda: _layer(case))
        x = x if word(case) else pad(case, x)
        return layer.stateless_call([w for w in weights if w is not None], [], x)[0]

    def _depthwise_lack(self, case: Case) -> str:
        if case.dtype in INTEGERS:
            return "Keras layers compute in floating point"
        if case.expect.error == "channels":
            return "a Keras layer makes its weights to fit the input"
        return super()._depthwise_lack(case)

    def _depthwise_answers_below(self, case: Case) -> str:
        return ""  # a layer checks its window itself


def _layer(case: DepthwiseCase | SeparableCase) -> Any:
    from keras import layers

    options = {
        "strides": case.stride,
        "padding": word(case) or "valid",
        "data_format": data_format(case),
        "dilation_rate": case.dilation,
        "depth_multiplier": case.multiplier,
        "use_bias": case.bias,
        "dtype": case.dtype,
    }
    if case.operation == "depthwise_conv":
        layer = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)[case.rank - 1](case.kernel, **options)
    else:
        layer = (layers.SeparableConv1D, layers.SeparableConv2D)[case.rank - 1](
            case.out_channels, case.kernel, **options
        )
    layer.build(ordered(case, case.input_shape[2:] if word(case) else padded_sizes(case)))
    return layer
