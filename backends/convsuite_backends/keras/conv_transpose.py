"""Keras's transposed convolutions: keras.ops.conv_transpose, and the Conv1DTranspose to Conv3DTranspose layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convsuite.backend import Native
from convsuite.case import INTEGERS, Expect, Level, Numerics, Pass, Support
from convsuite.operations.window import span
from convsuite_backends import _layout
from convsuite_backends.keras.arguments import Built, data_format, ordered
from convsuite_backends.keras.arrays import KerasArrays
from convsuite_backends.keras.conv import dilated, pad, strided, with_bias

if TYPE_CHECKING:
    from convsuite.operations.conv_transpose import ConvTransposeCase

Ends = tuple[str, tuple[int, ...] | None]  # Keras's padding and output_padding


class TransposedConvolutions(KerasArrays, Built):
    """conv_transpose by keras.ops."""

    def conv_transpose_support(self, case: ConvTransposeCase) -> Support:
        """Declare what Keras refuses or cannot be told, and what takes other calls beside."""
        if lack := self._transposed_lack(case) or _not_refused(case, self.name):
            return Support.unsupported(lack)
        bare = replace(case, groups=1, expect=Expect())  # what is to be refused, Keras refuses, not the framework
        below: Support = super().conv_transpose_support(bare)  # type: ignore[misc]
        return below if below.level is Level.UNSUPPORTED else _layout.composition(self._transposed_steps(case))

    def conv_transpose_gradient_support(self, case: ConvTransposeCase) -> Support:
        """Declare gradients wherever there is the operation."""
        return Support.native()

    def conv_transpose_numerics(self, case: ConvTransposeCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare what the framework below does, and what it costs that the bias is added afterwards."""
        below: Numerics = super().conv_transpose_numerics(case, pass_, declared)  # type: ignore[misc]
        if below.intermediate is not None:
            return below
        if pass_ is Pass.GRAD_BIAS and case.dtype in _layout.HALVES and self.name != "torch":
            return _layout.narrowed(below, case, None, f"{self.name} adds the bias gradient up in {case.dtype}")
        return _layout.composed_numerics(below, case, pass_)

    def conv_transpose(self, case: ConvTransposeCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call keras.ops.conv_transpose, once a group; other crops, a flip and a bias are calls of their own."""
        from keras import ops

        if case.flip:
            weight = ops.flip(weight, tuple(range(case.rank)))
        axis = -1 if _layout.channels_last(case) else 1
        parts = [(x, weight)]
        if case.groups > 1:
            parts = list(zip(ops.split(x, case.groups, axis), ops.split(weight, case.groups, -1), strict=True))
        said = self._once(case, lambda: ends(case))
        calls = [_call(case, said or _whole(case), *part) for part in parts]
        return with_bias(case, _cut(case, said, ops.concatenate(calls, axis) if case.groups > 1 else calls[0]), bias)

    def _transposed_lack(self, case: ConvTransposeCase) -> str:
        if case.groups < 1 or case.expect.error == "groups":
            return "keras.ops.conv_transpose takes no groups"
        if case.expect.error == "output_padding" and self.name != "tensorflow":
            return f"keras.ops.conv_transpose on {self.name} takes any output_padding"
        if case.expect.error == "kernel" and self.name == "tensorflow":
            return "keras.ops.conv_transpose leaves it to TensorFlow to refuse a kernel of size 0, which it takes"
        return ""

    def _transposed_steps(self, case: ConvTransposeCase) -> list[str]:
        """Say what is called beside the transposed convolution."""
        steps = []
        if case.groups > 1:
            steps.append(
                "one call for each group between keras.ops.split and concatenate: conv_transpose has no groups"
            )
        if ends(case) is None:
            steps.append(
                f"the full result is {_layout.cuts(case)} by keras.ops.pad and a slice: valid and same do not say it"
            )
        if case.flip:
            steps.append("keras.ops.flip of the weight")
        if case.bias and (ends(case) is None or not self._takes_bias):
            steps.append("the bias is added after that" if self._takes_bias else "the bias is added: ops takes none")
        return steps

    _takes_bias = False


class TransposedConvolutionLayers(TransposedConvolutions):
    """A Conv1DTranspose, Conv2DTranspose or Conv3DTranspose layer, built once a geometry, with the case's weights."""

    _takes_bias = True

    def conv_transpose(self, case: ConvTransposeCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call the layer as a function of its weights."""
        from keras import ops

        if case.flip:
            weight = ops.flip(weight, tuple(range(case.rank)))
        said, layer = self._once(case, lambda: _layer(case))
        weights = [weight, bias] if layer.use_bias else [weight]
        y = _cut(case, said, layer.stateless_call(weights, [], x)[0])
        return y if layer.use_bias else with_bias(case, y, bias)

    def _transposed_lack(self, case: ConvTransposeCase) -> str:
        if case.dtype in INTEGERS:
            return "Keras layers compute in floating point"
        if case.groups != 1:
            return "Keras's transposed layers have no groups"
        if strided(case) and dilated(case):
            return "Keras layers refuse a stride together with a dilation"
        if case.expect.error == "channels":
            return "a Keras layer makes its weight to fit the input"
        return "" if case.out_channels else "a Keras layer needs a filter at least"


def _not_refused(case: ConvTransposeCase, below: str) -> str:
    """Say what Keras does not look at, and the framework below takes."""
    if case.expect.error == "padding":
        return "Keras takes valid and same, and no padding to refuse"
    takes = case.expect.error == "input" and below != "torch"
    return f"Keras leaves it to {below} to refuse an input without positions, which it takes" if takes else ""


def ends(case: ConvTransposeCase) -> Ends | None:
    """Return Keras's padding and output_padding where they crop as the case does, or None.

    `valid` crops nothing; unless output_padding is said, it adds zeros where the kernel spans less than the stride.
    `same` gives n·stride, or (n − 1)·stride + span % 2 + output_padding, an odd crop at the high end.
    """
    if case.expect.error is not None:
        return "valid", case.output_padding
    if _layout.same(case.padding.kinds, "same_upper"):
        return "same", None
    axes = list(zip(case.cropped, case.kernel, case.dilation, case.stride, strict=True))
    if all(low == 0 <= -high < s for (low, high), _, _, s in axes):
        return "valid", tuple(-high for _, high in case.cropped)
    spans = [span(k, d) for _, k, d, _ in axes]
    more = tuple(n - n % 2 - low - high for n, (low, high) in zip(spans, case.cropped, strict=True))
    odd = all(low == (low + high) // 2 for low, high in case.cropped)
    fits = all(p >= 0 and 1 <= n % 2 + p <= s and p < s for p, n, s in zip(more, spans, case.stride, strict=True))
    return ("same", more) if odd and fits else None


def _whole(case: ConvTransposeCase) -> Ends:
    """Return the arguments of the full result, which is to be cut."""
    return "valid", (0,) * case.rank


def _call(case: ConvTransposeCase, said: Ends, x: Native, weight: Native) -> Native:
    from keras import ops

    padding, more = said
    return ops.conv_transpose(x, weight, case.stride, padding, more, data_format(case), case.dilation)


def _cut(case: ConvTransposeCase, said: Ends | None, y: Native) -> Native:
    """Return the result cut to the case's output, where Keras's own arguments did not say it."""
    return pad(_layout.cut(case), y) if said is None else y


def _layer(case: ConvTransposeCase) -> tuple[Ends | None, Any]:
    """Return what `ends` says of a case, and its layer."""
    from keras import layers

    said = ends(case)
    padding, more = said or _whole(case)
    layer = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)[case.rank - 1](
        case.out_channels,
        case.kernel,
        strides=case.stride,
        padding=padding,
        output_padding=more,
        data_format=data_format(case),
        dilation_rate=case.dilation,
        use_bias=case.bias and said is not None,
        dtype=case.dtype,
    )
    layer.build(ordered(case, case.input_shape[2:]))
    return said, layer
