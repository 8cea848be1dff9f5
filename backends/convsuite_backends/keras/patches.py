"""Keras's patches, keras.ops.image.extract_patches, and a fold by keras.ops.segment_sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Numerics, Operand, Pass, Support
from convsuite.operations.conv import ConvCase
from convsuite_backends import _columns, _layout
from convsuite_backends.keras.conv import WORDS, Convolutions, pad

if TYPE_CHECKING:
    from convsuite.operations.fold import FoldCase
    from convsuite.operations.patches import PatchesCase


class Patches(Convolutions):
    """patches and fold."""

    def patches_support(self, case: PatchesCase) -> Support:
        """Declare what the convolution lacks that extract_patches is, and what is called beside it."""
        if len(case.input_shape) == case.rank + 1:
            return Support.unsupported("Keras reads an input with one axis less as one sample without a batch axis")
        convolution = _convolution(case)
        if lack := self._conv_lack(convolution) or self._conv_lack_below(convolution):
            return Support.unsupported(lack)
        return _layout.composition(_steps(case))

    def patches_numerics(self, case: PatchesCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare what the gradients of that convolution do."""
        return self.conv_numerics(_convolution(case), pass_, declared) if pass_.gradient else declared

    def patches(self, case: PatchesCase, x: Native) -> Native:
        """Call extract_patches, of one row where there is one axis: a convolution with one weight of 1 for each tap."""
        from keras import ops

        last = _layout.channels_last(case)
        word = _word(case)
        if word is None:
            x, word = pad(case, x), "valid"
        kernel, stride, dilation = case.kernel, case.stride, case.dilation
        row = 1 if last else 2
        if case.rank == 1:
            x = ops.expand_dims(x, row)
            kernel, stride, dilation = (1, *kernel), (1, *stride), (1, *dilation)
        order = "channels_last" if last else "channels_first"
        y = ops.image.extract_patches(x, kernel, stride, dilation, word, data_format=order)
        y = ops.squeeze(y, row) if case.rank == 1 else y
        if case.order == "channel_last":
            return y
        at = 1 + case.rank if last else 1
        split = ops.reshape(y, (*y.shape[:at], y.shape[at] // case.channels, case.channels, *y.shape[at + 1 :]))
        return ops.reshape(ops.swapaxes(split, at, at + 1), y.shape)

    def fold_support(self, case: FoldCase) -> Support:
        """Declare that Keras has no such call."""
        return _columns.fold_support(case, "Keras", "keras.ops.segment_sum")

    def fold_numerics(self, case: FoldCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how overlapping patches are added up."""
        return declared if pass_.gradient else _columns.added(declared, case.unfolded, "keras.ops.segment_sum")

    def fold(self, case: FoldCase, x: Native) -> Native:
        """Add up by position."""
        from keras import ops

        return _columns.fold(case, x, _layout.channels_last(case), ops.reshape, ops.transpose, ops.segment_sum)


class PatchesLayers(Patches):
    """Neither is there as a layer."""

    def patches_support(self, case: PatchesCase) -> Support:
        """Declare that there is no layer."""
        return Support.unsupported("Keras has no layer that gives patches")

    def fold_support(self, case: FoldCase) -> Support:
        """Declare that there is no layer."""
        return Support.unsupported("Keras has no layer that folds")


def _convolution(case: PatchesCase) -> ConvCase:
    """Return the convolution by which Keras takes patches."""
    weight = Operand(role="weight", shape=(case.rows, case.channels, *case.kernel))
    return ConvCase(
        id=case.id,
        operation="conv",
        input_shape=case.input_shape,
        kernel=case.kernel,
        stride=case.stride,
        dilation=case.dilation,
        padding=case.padding,
        dtype=case.dtype,
        layout=case.layout,
        passes=case.passes,
        operands=(*case.operands[:1], weight),
        expect=case.expect,
        out_channels=case.rows,
    )


def _word(case: PatchesCase) -> str | None:
    """Return the padding as Keras's own argument, or None where pads must come first."""
    return next((word for kind, word in WORDS.items() if _layout.same(case.padding.kinds, kind)), None)


def _steps(case: PatchesCase) -> list[str]:
    steps = []
    if case.rank == 1:
        steps.append("keras.ops.image.extract_patches of one row: it is for two axes and three")
    if _word(case) is None:
        steps.append("keras.ops.pad before it: it takes valid and same only")
    if case.order == "channel_first":
        steps.append("a transpose: Keras's patches have the channel last")
    return steps
