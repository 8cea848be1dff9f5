"""Keras's convolutions: keras.ops.conv, and the Conv1D, Conv2D and Conv3D layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convsuite.backend import Native
from convsuite.case import INTEGERS, Case, Numerics, Pass, Support
from convsuite_backends import _layout
from convsuite_backends.jax.conv import nothing_to_refuse
from convsuite_backends.keras import arguments
from convsuite_backends.keras.arguments import Built, around, data_format, kept
from convsuite_backends.keras.arrays import KerasArrays

if TYPE_CHECKING:
    from convsuite.operations.conv import ConvCase

MODES = {  # of keras.ops.pad, which says what each framework below has
    "tensorflow": {"zeros": "constant", "reflect": "reflect"},
    "torch": {"zeros": "constant", "reflect": "reflect", "circular": "circular"},
    "jax": {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"},
}


class Convolutions(KerasArrays):
    """conv by keras.ops."""

    def conv_support(self, case: ConvCase) -> Support:
        """Declare what Keras refuses or cannot be told, and what takes other calls beside the convolution."""
        if lack := self._nothing_to_refuse(case) or self._conv_lack(case) or self._conv_lack_below(case):
            return Support.unsupported(lack)
        return _layout.composition(self._steps(case))

    def conv_gradient_support(self, case: ConvCase) -> Support:
        """Declare gradients wherever there is the operation: Keras goes around what its backends lack."""
        return Support.native()

    def conv_numerics(self, case: ConvCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare what the framework below does, and what it costs that the bias is added afterwards."""
        below: Numerics = super().conv_numerics(case, pass_, declared)  # type: ignore[misc]
        if below.intermediate is not None:
            return below
        if pass_ is Pass.GRAD_BIAS and case.dtype in _layout.HALVES and self.name != "torch":
            return _layout.narrowed(below, case, None, f"{self.name} adds the bias gradient up in {case.dtype}")
        return _layout.composed_numerics(below, case, pass_)

    def conv(self, case: ConvCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call keras.ops.conv; other pads, a flip and a bias are calls of their own."""
        from keras import ops

        x, weight, padding = self._prepared(case, x, weight)
        y = ops.conv(x, weight, case.stride, padding, data_format=data_format(case), dilation_rate=case.dilation)
        return with_bias(case, y, bias)

    def _prepared(self, case: ConvCase, x: Native, weight: Native) -> tuple[Native, Native, str]:
        """Return the input, padded where Keras has no word for it, the weight, flipped if asked, and the word."""
        from keras import ops

        if case.flip:
            weight = ops.flip(weight, tuple(range(case.rank)))
        word = self._word(case)
        return (x, weight, word) if word else (self._surrounded(case, x), weight, "valid")

    def _surrounded(self, case: ConvCase, x: Native) -> Native:
        """Pad by the case's mode, then crop where a pad is negative."""
        from keras import ops

        mode = self._mode(case)
        if mode is None:
            first = 1 if _layout.channels_last(case) else 2
            return kept(case, _layout.concatenated_pad(case, x, first, ops.concatenate))
        return kept(case, ops.pad(x, around(case, _layout.grown(case)), mode=mode))

    def _mode(self, case: ConvCase) -> str | None:
        """Return the padding mode as keras.ops.pad calls it, or None where it has none on the framework below."""
        mode = case.padding.mode
        if self.name == "torch" and mode != "zeros" and not _padded_by_torch(case):
            return None
        return MODES[self.name].get(mode)

    def _word(self, case: ConvCase) -> str | None:
        """Return the padding as Keras's own argument, or None where pads must come first."""
        return arguments.word(case)

    def _nothing_to_refuse(self, case: ConvCase) -> str:
        """Say why pads that are too long for their mode are not refused."""
        if case.expect.error == "padding" and self.name == "jax":
            return nothing_to_refuse(case)
        modes = [] if self._mode(case) is None else [case.padding.mode]
        return _layout.no_mode(case, f"keras.ops.pad on {self.name}", modes)

    def _conv_lack(self, case: ConvCase) -> str:
        if self.name == "tensorflow" and strided(case) and dilated(case):
            return "keras.ops.conv on TensorFlow refuses a stride together with a dilation"
        if not case.out_channels and case.expect.error is None:
            return "Keras refuses a convolution whose output would be empty"
        return _layout.groups_unsaid(case, "keras.ops.conv")

    def _conv_lack_below(self, case: ConvCase) -> str:
        """Say what the framework below lacks, whatever Keras does."""
        return ""

    def _steps(self, case: ConvCase) -> list[str]:
        """Say what is called beside the convolution."""
        steps = []
        if self._word(case) is None:
            mode = self._mode(case)
            how = f"keras.ops.pad({mode})" if mode else f"keras.ops.concatenate of slices ({case.padding.mode})"
            steps.append(f"{how} before the convolution, which takes {self._words} only")
        if case.flip:
            steps.append("keras.ops.flip of the weight")
        if case.bias and not self._takes_bias:
            steps.append("the bias is added: keras.ops.conv takes none")
        return steps

    _words = "valid and same"
    _takes_bias = False


class ConvolutionLayers(Convolutions, Built):
    """A Conv1D, Conv2D or Conv3D layer, built once a geometry and called with the case's weights."""

    _words = "valid, same and, in Conv1D, causal"
    _takes_bias = True

    def conv(self, case: ConvCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call the layer as a function of its weights."""
        layer = self._once(case, lambda: self._convolution(case))
        x, weight, _ = self._prepared(case, x, weight)
        weights = [weight] if bias is None else [weight, bias]
        return layer.stateless_call(weights, [], x)[0]

    def _convolution(self, case: ConvCase) -> Any:
        from keras import layers

        layer = (layers.Conv1D, layers.Conv2D, layers.Conv3D)[case.rank - 1](
            case.out_channels,
            case.kernel,
            strides=case.stride,
            padding=self._word(case) or "valid",
            data_format=data_format(case),
            dilation_rate=case.dilation,
            groups=case.groups,
            use_bias=case.bias,
            dtype=case.dtype,
        )
        sizes = arguments.padded_sizes(case) if self._word(case) is None else case.input_shape[2:]
        layer.build(arguments.ordered(case, sizes))
        return layer

    def _word(self, case: ConvCase) -> str | None:
        causal = case.padding.kinds == ("causal",) and case.padding.mode == "zeros"
        return "causal" if causal else super()._word(case)

    def _conv_lack(self, case: ConvCase) -> str:
        if case.dtype in INTEGERS:
            return "Keras layers compute in floating point"
        if strided(case) and dilated(case):
            return "Keras layers refuse a stride together with a dilation"
        if case.expect.error is None and not case.out_channels:
            return "a Keras layer needs a filter at least"
        if case.expect.error == "channels":
            return "a Keras layer makes its weight to fit the input"
        return ""


def strided(case: Case) -> bool:
    """Tell whether windows step by more than 1 on an axis."""
    return max(case.stride) > 1


def dilated(case: Case) -> bool:
    """Tell whether taps are spread on an axis."""
    return max(case.dilation) > 1


def _padded_by_torch(case: Case) -> bool:
    """Tell whether F.pad has a mode other than zeros for the axes from the first that is padded to the last of all."""
    pairs = around(case, _layout.grown(case))
    first = next((axis for axis, pair in enumerate(pairs) if any(pair)), len(pairs))
    return len(pairs) - first in range(case.rank, min(case.rank + 2, 4))


def with_bias(case: Case, y: Native, bias: Native) -> Native:
    """Add the bias, where there is one."""
    from keras import ops

    if bias is None:
        return y
    return ops.add(y, bias if _layout.channels_last(case) else ops.reshape(bias, (-1, *(1,) * case.rank)))


def pad(case: Case, x: Native) -> Native:
    """Pad with zeros, then crop where a pad is negative."""
    from keras import ops

    return kept(case, ops.pad(x, around(case, _layout.grown(case))))
